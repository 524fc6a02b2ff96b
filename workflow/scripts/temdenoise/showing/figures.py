"""The paper's figures, drawn anew from this run; each returns the numbers it shows.

Each function takes what `gather` in the script read from the files and returns
the figure and tidy rows for the CSV beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from temdenoise.images.datasets import DataSet
from temdenoise.images.noise import NOISES
from temdenoise.showing.comparison import compared
from temdenoise.showing.style import (
    COLOURS,
    DOUBLE_COLUMN,
    EXTRAPOLATION,
    LABELS,
    MARKERS,
    show_image,
)
from temdenoise.showing.workflow_graph import essential, layers
from temdenoise.storage import Images

Rows = list[dict[str, Any]]


def figure_1(
    *,
    atoms: Mapping[str, Atoms],
    maps: Mapping[str, Images],
    joined: Images,
    shifted: Images,
    joints: Mapping[str, Any],
    data: DataSet,
    noisy: Mapping[str, tuple[np.ndarray, float]],
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
    data
        A data set.
    noisy
        Its first image with each noise, and its C.
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
    drawn = None
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
    for column, (title, image) in enumerate(
        [("b  Joined maps (joints dashed)", joined.data), ("c  Shifted image", shifted.data[0])]
    ):
        axes = figure.add_subplot(middle[column])
        show_image(axes, image, sampling=joined.sampling, bar=True)
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

    bottom = grid[2].subgridspec(1, 1 + len(noisy))
    side = min(64, *data.clean.shape[1:])
    crop = data.clean[0, :side, :side]
    panels = [("d  clean", crop)] + [
        (f"{NOISES[noise].symbol}, C = {c:g}", image[:side, :side])
        for noise, (image, c) in noisy.items()
    ]
    for column, (title, image) in enumerate(panels):
        axes = figure.add_subplot(bottom[column])
        show_image(axes, image, sampling=data.sampling, bar=True, vmin=-0.2, vmax=1.2)
        axes.set_title(title)
    for noise, (image, c) in noisy.items():
        note("d", noise, "c_noise", c)
        note("d", noise, "rms_difference", float(np.std(image - data.clean[0])))
    return figure, rows


def _draw_atoms(axes, atoms: Atoms, fade_width: float) -> None:
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


def figure_2(
    *,
    quality: Rows,
    data: Mapping[str, DataSet],
    noisy: Mapping[str, Mapping[float, np.ndarray]],
    denoised: Mapping[str, Mapping[str, Mapping[float, np.ndarray]]],
    c_noise: Sequence[float],
) -> tuple[Figure, Rows]:
    """Enlarged corrupted and predicted images, bars, and MS-SSIM against C.

    Parameters
    ----------
    quality
        Rows of ``quality.csv``.
    data
        The test split of each noise.
    noisy
        By noise and C: its first image corrupted.
    denoised
        By method, noise and C: the same, denoised.
    c_noise
        The C to show enlarged.
    """
    noises = list(data)
    rows = compared(quality)
    figure = plt.figure(figsize=(DOUBLE_COLUMN, 7.4), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=[len(noises) * 0.8, 1.7, 1.9])
    images = grid[0].subgridspec(len(noises), 1 + (1 + len(denoised)) * len(c_noise))
    for row, noise in enumerate(noises):
        window = _darkest_window(data[noise].clean[0], side=48)
        panels = [("clean", data[noise].clean[0])]
        for c in c_noise:
            panels.append((f"noisy, C = {c:g}", noisy[noise][c]))
            panels += [(SHORT[method], images[noise][c]) for method, images in denoised.items()]
        for column, (title, image) in enumerate(panels):
            axes = figure.add_subplot(images[row, column])
            show_image(
                axes,
                image[window],
                sampling=data[noise].sampling,
                bar=column == 0,
                vmin=-0.1,
                vmax=1.1,
            )
            if row == 0:
                axes.set_title(f"a  {title}" if column == 0 else title, fontsize=5.5)
            if column == 0:
                axes.set_ylabel(NOISES[noise].title.replace(" + ", " +\n"), fontsize=6)
    bars = grid[1].subgridspec(1, len(c_noise))
    for column, c in enumerate(c_noise):
        axes = figure.add_subplot(bars[column])
        for offset, method in enumerate(MARKERS):
            values = [1 - _curve(rows, noise, method)[c] for noise in noises]
            places = np.arange(len(noises)) + (offset - 2) * 0.17
            drawn = axes.bar(places, values, 0.16, color=COLOURS[method], label=LABELS[method])
            axes.bar_label(drawn, fmt="%.3f", fontsize=3.6, padding=1)
        axes.set_xticks(np.arange(len(noises)), [NOISES[noise].symbol for noise in noises])
        axes.margins(y=0.1)
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
            axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.06))
    return figure, rows


SHORT = {"paper_like": "paper-like", "cnn": "of this noise", "universal": "universal"}
"""Networks, briefly, above small panels."""


def _darkest_window(image: np.ndarray, *, side: int, spot: int = 8) -> tuple[slice, slice]:
    """Frame the darkest spot of an image: a vacancy, if there is one."""
    total = np.pad(image, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
    sums = total[spot:, spot:] - total[:-spot, spot:] - total[spot:, :-spot] + total[:-spot, :-spot]
    centre = np.array(np.unravel_index(sums.argmin(), sums.shape)) + spot // 2
    side = min(side, *image.shape)
    first = np.clip(centre - side // 2, 0, np.array(image.shape) - side)
    return slice(first[0], first[0] + side), slice(first[1], first[1] + side)


def draw_curves(axes, rows: Rows, noise: str) -> None:
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
    for method, marker in MARKERS.items():
        curve = _curve(rows, noise, method)
        axes.plot(
            list(curve),
            list(curve.values()),
            color=COLOURS[method],
            marker=marker,
            ms=2.5,
            label=LABELS[method],
        )
    axes.set(xlim=(0, every[-1]), ylim=(None, 1.0))


def _curve(rows: Rows, noise: str, method: str) -> dict[float, float]:
    return {
        row["c_noise"]: row["ms_ssim"]
        for row in rows
        if row["noise"] == noise and row["method"] == method
    }


def _region(rows: Rows, c_noise: float) -> str:
    return next(row["region"] for row in rows if row["c_noise"] == c_noise)


def figure_4(
    *,
    quality: Rows,
    data: Mapping[str, DataSet],
    noisy: Mapping[str, Mapping[float, np.ndarray]],
    denoised: Mapping[str, Mapping[str, Mapping[float, np.ndarray]]],
    c_noise: float,
) -> tuple[Figure, Rows]:
    """Full-size test images: corrupted, denoised, and the error left; see `figure_2`."""
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
        result = denoised["cnn"][noise][c_noise]
        means = {row["method"]: row["ms_ssim"] for row in rows if row["noise"] == noise}
        for row, (image, span) in enumerate(
            [
                (noisy[noise][c_noise], {"vmin": -0.1, "vmax": 1.1}),
                (result, {"vmin": -0.1, "vmax": 1.1}),
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


ERROR = {"vmin": -0.2, "vmax": 0.2, "cmap": "RdBu_r"}


def figure_s2(
    *,
    data: Mapping[str, DataSet],
    noisy: Mapping[str, Mapping[float, np.ndarray]],
    denoised: Mapping[str, Mapping[str, Mapping[float, np.ndarray]]],
    c_noise: float,
    patch: int,
) -> tuple[Figure, Rows]:
    """Circles and the border between two patches, enlarged; see `figure_2`.

    Parameters
    ----------
    data, noisy, denoised
        See `figure_2`.
    c_noise
        The C to show.
    patch
        Side of the patches of the paper-like baseline [pixels].
    """
    rows: Rows = []
    figure, axes = plt.subplots(
        len(data),
        2 + len(denoised),
        figsize=(DOUBLE_COLUMN, 1.45 * len(data)),
        layout="constrained",
        squeeze=False,
    )
    for row, (noise, images) in enumerate(data.items()):
        clean = images.clean[0]
        edge = patch * max(1, clean.shape[0] // patch // 2)
        window = (slice(edge - 20, edge + 20),) * 2
        level = (float(clean.min()) + float(np.median(clean))) / 2
        panels = [("clean", clean), (f"noisy, C = {c_noise:g}", noisy[noise][c_noise])]
        panels += [(SHORT[method], by[noise][c_noise]) for method, by in denoised.items()]
        for column, (title, image) in enumerate(panels):
            panel = axes[row, column]
            show_image(
                panel,
                image[window],
                sampling=images.sampling,
                bar=column == 0,
                vmin=-0.1,
                vmax=1.1,
            )
            x, y = (
                (np.arange(n) + 0.5) * step / 10
                for n, step in zip(image[window].shape, images.sampling, strict=True)
            )
            if column != 1:
                panel.contour(x, y, image[window].T, [level], colors="#56B4E9", linewidths=0.9)
            if column > 1:
                panel.contour(
                    x, y, clean[window].T, [level], colors="white", linewidths=0.6, linestyles=":"
                )
                middle = 20 * images.sampling[0] / 10
                for draw in (panel.axvline, panel.axhline):
                    draw(middle, color="white", lw=0.4, ls=(0, (1, 3)))
                error = image[window] - clean[window]
                rows.append(
                    {
                        "noise": noise,
                        "c_noise": c_noise,
                        "method": list(denoised)[column - 2],
                        "contour_level": level,
                        "rms_error_in_panel": float(np.sqrt(np.mean(error**2))),
                    }
                )
            if row == 0:
                panel.set_title(title)
            if column == 0:
                panel.set_ylabel(NOISES[noise].title.replace(" + ", " +\n"))
    return figure, rows


def figure_s3(*, worst: Mapping[str, Images]) -> tuple[Figure, Rows]:
    """Failure gallery: the worst test images of our networks, where they are worst.

    Parameters
    ----------
    worst
        By noise: noisy, denoised, sigma and clean of some frames, shape (n, 4, x, y);
        ``frames`` in the metadata says of which method, C, image and MS-SSIM.
    """
    shown = [
        (noise, images, number)
        for noise, images in worst.items()
        for number in range(len(images.data))
    ]
    figure, axes = plt.subplots(
        len(shown),
        5,
        figsize=(DOUBLE_COLUMN, 1.25 * len(shown)),
        layout="constrained",
        squeeze=False,
    )
    rows: Rows = []
    drawn = [None, None]
    for line, (noise, images, number) in zip(axes, shown, strict=True):
        noisy, denoised, sigma, clean = images.data[number]
        about = images.metadata["frames"][number]
        window = _darkest_window(-np.abs(denoised - clean), side=64, spot=24)
        span = {"vmin": -0.1, "vmax": 1.1}
        panels = [("noisy", noisy, span), ("denoised", denoised, span), ("clean", clean, span)]
        panels.append(("error", denoised - clean, ERROR))
        panels.append(("predicted sigma", sigma, {"vmin": 0, "vmax": 0.2, "cmap": "viridis"}))
        for column, (axis, (title, image, options)) in enumerate(zip(line, panels, strict=True)):
            mappable = show_image(
                axis, image[window], sampling=images.sampling, bar=column == 0, **options
            )
            if column >= 3:
                drawn[column - 3] = mappable
            if line is axes[0]:
                axis.set_title(title)
        line[0].set_ylabel(
            f"{NOISES[noise].symbol}, C = {about['c_noise']:g}\n{LABELS[about['method']]}\n"
            f"MS-SSIM {about['ms_ssim']:.3f}",
            fontsize=5.5,
        )
        rows.append(
            {"noise": noise}
            | about
            | {"x_px": window[0].start, "y_px": window[1].start, "side_px": noisy[window].shape[0]}
        )
    for column, label in ((3, "Error"), (4, "Sigma")):
        figure.colorbar(
            drawn[column - 3], ax=axes[:, column], location="bottom", label=label, aspect=15
        )
    return figure, rows


def figure_s1(*, worst: Mapping[str, Images]) -> tuple[Figure, Rows]:
    """Draw the joint with the largest jump of each split.

    Parameters
    ----------
    worst
        Patch [e/Å²] with the joint in its middle, by split; ``axis`` and
        ``joint_ratio`` in its metadata.
    """
    figure, columns = plt.subplots(
        1, len(worst), figsize=(DOUBLE_COLUMN, 2.5), layout="constrained", squeeze=False
    )
    figure.get_layout_engine().set(wspace=0.15)
    low = min(float(image.data.min()) for image in worst.values())
    high = max(float(image.data.max()) for image in worst.values())
    rows: Rows = []
    drawn = None
    for axes, (split, image) in zip(columns[0], worst.items(), strict=True):
        ratio, axis = image.metadata["joint_ratio"], image.metadata["axis"]
        drawn = show_image(axes, image.data, sampling=image.sampling, bar=True, vmin=low, vmax=high)
        axes.set_title(f"{split}: ratio {ratio:.2f}")
        for end in (0, 1):
            place = (0.5, end) if axis == 0 else (end, 0.5)
            outside = (0.5, 1.1 * end - 0.05) if axis == 0 else (1.1 * end - 0.05, 0.5)
            axes.annotate(
                "",
                xy=place,
                xytext=outside,
                xycoords="axes fraction",
                arrowprops={"arrowstyle": "-|>", "color": COLOURS["cnn"], "shrinkA": 0},
                annotation_clip=False,
            )
        rows.append({"split": split, "worst_joint_ratio": ratio, "crossed_along": "xy"[axis]})
    figure.colorbar(drawn, ax=columns[0], label="Projected density (e/Å²)", shrink=0.8)
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
    columns = layers(edges)
    place = {
        rule: ((i - (len(rules) - 1) / 2) * 3.0, -float(depth) * 1.1)
        for depth, rules in enumerate(columns)
        for i, rule in enumerate(rules)
    }
    figure, axes = plt.subplots(figsize=(DOUBLE_COLUMN, 0.55 * len(columns)), layout="constrained")
    for before, after in shown:
        (x0, y0), (x1, y1) = place[before], place[after]
        axes.annotate(
            "",
            xy=(x1, y1 + 0.28),
            xytext=(x0, y0 - 0.28),
            arrowprops={
                "arrowstyle": "-|>",
                "color": "#777777",
                "lw": 0.8,
                "shrinkA": 0,
                "shrinkB": 0,
                # an edge that jumps over layers bows to the side, so that it is seen
                "connectionstyle": f"arc3,rad={0.0 if y0 - y1 < 1.2 else 0.35}",
            },
        )
    for rule, (x, y) in place.items():
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
        label = f"{rule}\n{jobs} job{'s' if jobs > 1 else ''}"
        axes.text(x, y, label, ha="center", va="center", fontsize=6)
    reach = 1.5 * max(map(len, columns)) + 0.2
    axes.set(xlim=(-reach, reach), ylim=(-1.1 * len(columns) + 0.5, 0.6))
    axes.axis("off")
    return figure, rows
