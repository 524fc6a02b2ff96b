"""The paper's figures, drawn anew from this run; each returns the numbers it shows.

Each function takes what `drawing.draw` read from the files and returns the figure and tidy
rows for the CSV beside it.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from temdenoise.images.noise import NOISES
from temdenoise.images.storage import Images
from temdenoise.report.comparison import compared
from temdenoise.report.examples import Examples
from temdenoise.report.methods import COMPARED, METHODS
from temdenoise.report.style import (
    DOUBLE_COLUMN,
    ERROR,
    EXTRAPOLATION,
    INTENSITY,
    darkest_window,
    show_image,
)
from temdenoise.report.workflow_graph import essential, layout

Rows = list[dict[str, Any]]


def figure_1(
    *,
    atoms: Mapping[str, Atoms],
    maps: Mapping[str, Images],
    joined: Images,
    shifted: Images,
    joints: Mapping[str, Any],
    shown: Examples,
    fade_width: float,
) -> tuple[Figure, Rows]:
    """From structures to noisy images.

    Parameters
    ----------
    atoms, maps
        Some structures and their projected densities [e/Å²], by name.
    joined, shifted
        The first joined image before its shift, and the stack of shifted images [e/Å²].
    joints
        Record of the joined images.
    shown
        The first test image with each noise, at one C.
    fade_width
        Rim over which displacements fade [Å].
    """
    rows: Rows = []

    def note(panel: str, item: str, quantity: str, value: Any) -> None:
        rows.append({"panel": panel, "item": item, "quantity": quantity, "value": value})

    figure = plt.figure(figsize=(DOUBLE_COLUMN, 7.6), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[2.9, 2.6, 1.75])
    top = grid[0].subgridspec(2, len(atoms))
    span = [min(m.data.min() for m in maps.values()), max(m.data.max() for m in maps.values())]
    for column, name in enumerate(atoms):
        axes = figure.add_subplot(top[0, column])
        _draw_atoms(axes, atoms[name], fade_width)
        axes.set_title(f"{'a  ' if column == 0 else ''}{name}")
        axes = figure.add_subplot(top[1, column])
        image = maps[name]
        drawn = show_image(
            axes, image.data, sampling=image.sampling, bar=True, vmin=span[0], vmax=span[1]
        )
        note("a", name, "n_atoms", len(atoms[name]))
        note("a", name, "defects", atoms[name].info["defects"])
        if "electrons" in image.metadata:
            note("a", name, "electrons_in_map", image.metadata["electrons"])
    # beside both rows, so that atoms and maps stand in one column
    unit = next(iter(maps.values())).unit
    label = "Projected density (e/Å²)" if unit == "e/angstrom^2" else f"Intensity ({unit})"
    figure.colorbar(drawn, ax=figure.axes, label=label, aspect=25)

    middle = grid[1].subgridspec(1, 2)
    for column, (title, pixels) in enumerate(
        [("b  Joined maps (joints dashed)", joined.data), ("c  Shifted image", shifted.data[0])]
    ):
        axes = figure.add_subplot(middle[column])
        show_image(axes, pixels, sampling=joined.sampling, bar=True)
        axes.set_title(title)
        if column == 0:
            tile = next(iter(maps.values()))
            for draw, limit, n, step in zip(
                (axes.axvline, axes.axhline),
                (axes.get_xlim(), axes.get_ylim()),
                tile.data.shape,
                tile.sampling,
                strict=True,
            ):
                for edge in np.arange(n * step / 10, limit[1], n * step / 10):
                    draw(edge, color="white", lw=0.5, ls=(0, (4, 4)))
    note("b", "all images", "worst_joint_ratio", joints["worst_joint_ratio"])
    for axis, value in zip("xy", joints["images"][0]["origin_angstrom"], strict=True):
        note("c", "first image", f"shift_{axis}_angstrom", value)

    bottom = grid[2].subgridspec(1, 1 + len(shown.noisy))
    data, c_noise = next(iter(shown.data.values())), shown.c_noise[0]
    noisy = {noise: images[c_noise] for noise, images in shown.noisy.items()}
    side = min(64, *data.clean.shape[1:])
    crop = data.clean[0, :side, :side]
    panels = [("d  clean", crop)] + [
        (f"{NOISES[noise].symbol}, C = {c_noise:g}", pixels[:side, :side])
        for noise, pixels in noisy.items()
    ]
    for column, (title, pixels) in enumerate(panels):
        axes = figure.add_subplot(bottom[column])
        show_image(axes, pixels, sampling=data.sampling, bar=True, vmin=-0.2, vmax=1.2)
        axes.set_title(title)
    for noise, pixels in noisy.items():
        note("d", noise, "c_noise", c_noise)
        note("d", noise, "rms_difference", float(np.std(pixels - data.clean[0])))
    return figure, rows


def _draw_atoms(axes: Axes, atoms: Atoms, fade_width: float) -> None:
    extent = atoms.cell.lengths()[:2] / 10
    for number, (x, y, _) in zip(atoms.numbers, atoms.positions / 10, strict=True):
        axes.add_patch(
            Circle(
                (x, y),
                0.06 * covalent_radii[number],
                facecolor=jmol_colors[number],
                edgecolor="black",
                lw=0.4,
            )
        )
    rim = fade_width / 10
    axes.add_patch(
        Rectangle((rim, rim), *(extent - 2 * rim), fill=False, ec="#D55E00", lw=0.8, ls="--")
    )
    axes.set(xlim=(0, extent[0]), ylim=(0, extent[1]), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(True)


def figure_2(*, quality: Rows, shown: Examples) -> tuple[Figure, Rows]:
    """Enlarged corrupted and predicted images, bars, and MS-SSIM against C.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.
    shown
        The first test image of each noise, at the C to show enlarged.
    """
    data, c_noise = shown.data, shown.c_noise
    noises = list(data)
    rows = compared(quality)
    figure = plt.figure(figsize=(DOUBLE_COLUMN, 7.4), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[len(noises) * 0.8, 1.7, 1.9])
    images = grid[0].subgridspec(len(noises), 1 + (1 + len(shown.denoised)) * len(c_noise))
    for row, noise in enumerate(noises):
        window = darkest_window(data[noise].clean[0], side=48)
        panels = [("clean", data[noise].clean[0])]
        for c in c_noise:
            panels.append((f"noisy, C = {c:g}", shown.noisy[noise][c]))
            panels += [(METHODS[m].short, by[noise][c]) for m, by in shown.denoised.items()]
        for column, (title, image) in enumerate(panels):
            axes = figure.add_subplot(images[row, column])
            show_image(
                axes,
                image[window],
                sampling=data[noise].sampling,
                bar=column == 0,
                **INTENSITY,
            )
            if row == 0:
                axes.set_title(f"a  {title}" if column == 0 else title, fontsize=5.5)
            if column == 0:
                axes.set_ylabel(NOISES[noise].title.replace(" + ", " +\n"), fontsize=6)
    bars = grid[1].subgridspec(1, len(c_noise))
    for column, c in enumerate(c_noise):
        axes = figure.add_subplot(bars[column])
        for offset, method in enumerate(COMPARED):
            values = [1 - _curve(rows, noise, method)[c] for noise in noises]
            places = np.arange(len(noises)) + (offset - 2) * 0.17
            look = METHODS[method]
            drawn = axes.bar(places, values, 0.16, color=look.colour, label=look.label)
            axes.bar_label(drawn, fmt="%.3f", fontsize=5, padding=1.5, rotation=90)
        axes.set_xticks(np.arange(len(noises)), [NOISES[noise].symbol for noise in noises])
        axes.margins(y=0.2)
        axes.set(ylabel="1 - MS-SSIM (less is better)" if column == 0 else "")
        axes.set_title(f"{'b  ' if column == 0 else ''}C = {c:g} ({_region(rows, c)})")
    curves = grid[2].subgridspec(1, len(noises))
    for column, noise in enumerate(noises):
        axes = figure.add_subplot(curves[column])
        draw_curves(axes, rows, noise)
        axes.set_title(f"{'c  ' if column == 0 else ''}{NOISES[noise].title}")
        axes.set_xlabel("Noise coefficient C")
        if column == 0:
            axes.set_ylabel("MS-SSIM")
    # of all charts, and beside none of their curves
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=len(labels))
    return figure, rows


def draw_curves(axes: Axes, rows: Rows, noise: str) -> None:
    """Draw MS-SSIM against C for one noise; extrapolation is shaded."""
    inside = [r["c_noise"] for r in rows if r["region"] == "interpolation"]
    outside = [r["c_noise"] for r in rows if r["region"] == "extrapolation"]
    every = sorted({*inside, *outside})
    if outside:
        edge = (max(inside) + min(c for c in outside if c > max(inside))) / 2
        axes.axvspan(edge, every[-1], color=EXTRAPOLATION, lw=0)
        axes.text(
            (edge + every[-1]) / 2,
            0.02,
            "extrapolation",
            fontsize=5,
            ha="center",
            transform=axes.get_xaxis_transform(),
        )
    for method in COMPARED:
        curve = _curve(rows, noise, method)
        axes.plot(
            list(curve),
            list(curve.values()),
            color=METHODS[method].colour,
            marker=METHODS[method].marker,
            ms=2.5,
            label=METHODS[method].label,
            clip_on=False,  # the first and last points lie on the frame
        )
    axes.set(xlim=(0, every[-1]), ylim=(None, 1.0))


def _curve(rows: Rows, noise: str, method: str) -> dict[float, float]:
    return {
        row["c_noise"]: row["ms_ssim"]
        for row in rows
        if row["noise"] == noise and row["method"] == method
    }


def _region(rows: Rows, c_noise: float) -> str:
    return next(str(row["region"]) for row in rows if row["c_noise"] == c_noise)


def figure_4(*, quality: Rows, shown: Examples) -> tuple[Figure, Rows]:
    """Full-size test images at one C: corrupted, denoised, and the error; see `figure_2`."""
    data, c_noise = shown.data, shown.c_noise[0]
    noises = list(data)
    figure, axes = plt.subplots(
        3,
        len(noises),
        figsize=(DOUBLE_COLUMN, 5.5),
        layout="constrained",
        squeeze=False,
    )
    rows = [
        row
        for row in compared(quality)
        if row["c_noise"] == c_noise and row["method"] in ("raw", "cnn")
    ]
    for column, noise in enumerate(noises):
        truth, sampling = data[noise].clean[0], data[noise].sampling
        result = shown.denoised["cnn"][noise][c_noise]
        means = {row["method"]: row["ms_ssim"] for row in rows if row["noise"] == noise}
        for row, (image, span) in enumerate(
            [
                (shown.noisy[noise][c_noise], INTENSITY),
                (result, INTENSITY),
                (result - truth, ERROR),
            ]
        ):
            drawn = show_image(axes[row, column], image, sampling=sampling, bar=column == 0, **span)
        axes[0, column].set_title(f"{NOISES[noise].title}\nnoisy, MS-SSIM {means['raw']:.3f}")
        axes[1, column].set_title(f"CNN, MS-SSIM {means['cnn']:.3f}")
        axes[2, column].set_title("CNN - clean")
    figure.colorbar(drawn, ax=axes[2], aspect=12, label="Error (normalised)")
    axes[0, 0].set_ylabel(f"C = {c_noise:g}")
    return figure, rows


def figure_5(*, graph: Mapping[str, Any]) -> tuple[Figure, Rows]:
    """Draw the workflow: its rules, what each needs, and the number of jobs of each.

    An edge that follows from others (a needs b, b needs c, a needs c) is not
    drawn, but is in the rows, marked so.
    """
    # the target that only collects files is no step
    edges = [(before, after) for before, after in graph["edges"] if after != "all"]
    shown = essential(edges)
    rows = [
        {
            "from": before,
            "to": after,
            "from_jobs": graph["jobs"][before],
            "to_jobs": graph["jobs"][after],
            "drawn": (before, after) in shown,
        }
        for before, after in edges
    ]
    levels, paths = layout(shown)
    place, reach = dict[str, tuple[float, float]](), 0.0
    for depth, names in enumerate(levels):
        # an edge that passes takes less room than a box
        ends = np.cumsum([0.0, *(0.8 if ">" in name else 3.0 for name in names)])
        reach = max(reach, ends[-1] / 2)
        middles = (ends[:-1] + ends[1:] - ends[-1]) / 2
        place |= {name: (x, -1.1 * depth) for name, x in zip(names, middles.tolist(), strict=True)}
    figure, axes = plt.subplots(figsize=(DOUBLE_COLUMN, 0.55 * len(levels)), layout="constrained")
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "color": "#777777", "lw": 0.8}
    for path in paths.values():
        # from the lower side of the first box to the upper side of the last one
        passed = [(x, y + side) for x, y in map(place.__getitem__, path) for side in (0.28, -0.28)]
        *bends, before, after = passed[1:-1]
        axes.plot(*zip(*bends, before, strict=True), color="#777777", lw=0.8)
        axes.annotate("", xy=after, xytext=before, arrowprops=arrow)
    for rule, (x, y) in place.items():
        if rule not in graph["jobs"]:  # where an edge passes
            continue
        box = FancyBboxPatch(
            (x - 1.25, y - 0.22),
            2.5,
            0.44,
            boxstyle="round,pad=0.06",
            facecolor="#DCEAF7",
            edgecolor="#0072B2",
            lw=0.8,
        )
        axes.add_patch(box)
        jobs = graph["jobs"][rule]
        counted = f"{jobs} job{'s' if jobs > 1 else ''}"
        label = f"{rule}\n{counted}"
        if len(rule) > 20:  # wider than its box
            head, _, tail = rule.rpartition("_")
            label = f"{head}_\n{tail}, {counted}"
        axes.text(x, y, label, ha="center", va="center", fontsize=6)
    axes.set(xlim=(-reach - 0.2, reach + 0.2), ylim=(-1.1 * len(levels) + 0.5, 0.6))
    axes.axis("off")
    return figure, rows
