"""A picture of implants: frame and result without and with them, and their responses."""

import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Circle

from temdenoise.foundation.quantities import PixelSize
from temdenoise.micrographs.implants import KEPT, Comparison, Group, Run
from temdenoise.report.style import COLOURS, DOUBLE_COLUMN, journal, show_image

REACH = 2.6
"""Half the side of an enlarged part over the distance of neighbouring sites."""

MOST = 8
"""Species and strengths of which a site is enlarged, at most."""

TITLES = (
    "a  Frame",
    "b  With implant",
    "c  Frame,\ndenoised",
    "d  With implant,\ndenoised",
    "e  d less c,\nresponse",
)


def picture(comparison: Comparison, sampling: PixelSize, title: str) -> bytes:
    """Draw what became of implants.

    One line for each species and strength: a site enlarged, that with the median response, and the
    responses of all.

    Parameters
    ----------
    comparison
        What was planted and found.
    sampling
        Pixel size [Å].
    title
        Of the picture.

    Returns
    -------
    bytes
        PNG.
    """
    buffer = io.BytesIO()
    with journal():
        drawn = _figure(comparison, sampling, title)
        drawn.savefig(buffer, format="png", dpi=200)
        plt.close(drawn)
    return buffer.getvalue()


def _figure(comparison: Comparison, sampling: PixelSize, title: str) -> Figure:
    groups = comparison.groups[:MOST]
    figure = plt.figure(figsize=(1.25 * DOUBLE_COLUMN, 0.75 + 1.1 * len(groups)))
    grid = GridSpec(
        len(groups),
        6,
        figure=figure,
        width_ratios=(1, 1, 1, 1, 1, 2.4),
        left=0.09,
        right=0.99,
        top=1 - 0.6 / (0.75 + 1.1 * len(groups)),
        bottom=0.4 / (0.75 + 1.1 * len(groups)),
        wspace=0.06,
        hspace=0.08,
    )
    several = len({group.species for group in comparison.groups}) > 1
    for line, group in enumerate(groups):
        axes = [figure.add_subplot(grid[line, column]) for column in range(5)]
        _site(axes, comparison, group, sampling, bar=line == 0)
        axes[0].set_ylabel(_label(group, several))
        if line == 0:
            for one, text in zip(axes, TITLES, strict=True):
                one.set_title(text)
    _responses(figure.add_subplot(grid[:, 5]), comparison, groups)
    figure.suptitle(title, fontsize=7, y=0.995)
    return figure


def _label(group: Group, several: bool) -> str:
    name = group.kind if group.strength == 0 else f"{group.kind}\n{group.strength:g} times"
    return name + (f"\nspecies {group.species}" if several else "")


def _site(
    axes: list[Axes], comparison: Comparison, group: Group, sampling: PixelSize, *, bar: bool
) -> None:
    """Enlarge the site with the median response."""
    run, index = _median(comparison, group)
    ground, implants = comparison.ground, run.implants
    reach = max(8, round(REACH * ground.spacing))
    window = tuple(
        slice(max(0, round(at) - reach), round(at) + reach + 1) for at in implants.points[index]
    )
    frames = (ground.image[window], run.image[window])
    results = (comparison.result[window], run.result[window])
    difference = results[1] - results[0]
    limit = abs(float(implants.added[index]))
    for pair, (first, second) in ((frames, axes[:2]), (results, axes[2:4])):
        low, high = np.quantile(np.stack(pair), [0.005, 0.995])
        for one, image in zip((first, second), pair, strict=True):
            # images are drawn with y upwards, micrographs have their first row on top
            show_image(
                one,
                image[::-1].T,
                sampling=(sampling.columns, sampling.rows),
                bar=bar and one is axes[0],
                vmin=low,
                vmax=high,
                cmap="gray",
            )
    show_image(
        axes[4],
        difference[::-1].T,
        sampling=(sampling.columns, sampling.rows),
        vmin=-limit,
        vmax=limit,
        cmap="RdBu_r",
    )
    centre = [
        (at - span.start + 0.5) for at, span in zip(implants.points[index], window, strict=True)
    ]
    x = centre[1] * sampling.columns / 10
    y = (len(difference) - centre[0]) * sampling.rows / 10
    radius = 0.5 * ground.spacing * sampling.side / 10
    for one in axes:
        one.add_patch(Circle((x, y), radius, fill=False, lw=0.7, color=COLOURS["best_classical"]))
    axes[4].text(
        0.04,
        0.95,
        f"{run.responses[index]:.2f}",
        transform=axes[4].transAxes,
        va="top",
        fontsize=6,
    )


def _median(comparison: Comparison, group: Group) -> tuple[Run, int]:
    """Find the implant whose response is nearest to the median of its group."""
    found = [
        (float(run.responses[index]), run, int(index))
        for run in comparison.runs
        for index in np.flatnonzero(_of_group(comparison, run, group))
    ]
    middle = float(np.median([response for response, *_ in found]))
    _, run, index = min(found, key=lambda one: abs(one[0] - middle))
    return run, index


def _of_group(comparison: Comparison, run: Run, group: Group) -> np.ndarray:
    species = comparison.ground.species[run.implants.atoms]
    return np.asarray((species == group.species) & (run.implants.strengths == group.strength))


def _responses(axes: Axes, comparison: Comparison, groups: list[Group]) -> None:
    """Draw every response, and their means with intervals."""
    rng = np.random.default_rng(0)
    shown: list[float] = []
    for line, group in enumerate(groups):
        values = np.concatenate(
            [run.responses[_of_group(comparison, run, group)] for run in comparison.runs]
        )
        shown += values.tolist()
        spread = line + rng.uniform(-0.16, 0.16, len(values))
        axes.plot(values, spread, ".", ms=3, mew=0, color=COLOURS["best_classical"], alpha=0.7)
        mean = group.response
        if np.isfinite(mean.low):
            axes.plot([mean.low, mean.high], [line, line], color=COLOURS["universal"], lw=1.6)
        axes.plot(mean.value, line, "o", ms=4, color=COLOURS["universal"])
        low, high = (100 * limit for limit in group.kept_interval)
        axes.annotate(
            f"mean {mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f})\n"
            f"kept {group.kept} of {group.number} ({low:.0f} to {high:.0f} %)",
            (0.5, line - 0.24),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="bottom",
            fontsize=6,
        )
    low, high = min(-0.3, *np.quantile(shown, [0.005])), max(1.3, *np.quantile(shown, [0.995]))
    for at, text in ((0, "erased"), (1, "kept")):
        axes.axvline(at, lw=0.6, color="black", ls=":")
        axes.text(at, -0.51, text, ha="center", va="bottom", fontsize=6)
    axes.axvline(KEPT, lw=0.5, color="grey", ls="--")
    axes.set(
        xlim=(low, high),
        ylim=(len(groups) - 0.5, -0.5),
        yticks=[],
        xlabel="response: change of the result over what was implanted",
    )
    axes.spines["left"].set_visible(False)
