"""The figures: what each shows, which files it needs and what draws it. One entry each.

Standard library only, since the Snakefile reads it. The files are templates in which a
wildcard stands for every name of its kind, so that ``results/mosaics/{split}/worst.tif`` is one
file for each split:

``{noise}``
    The noises of the data sets.
``{split}``
    train, val, test.
``{structure}``
    The first `STRUCTURES` structures of the training split.
``{micrograph}``
    The one micrograph that the figure is of (`Entry.of_micrograph`).

A further figure is one entry and its function.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.report.methods import NETWORK_METHODS

STRUCTURES = 3
"""How many structures ``{structure}`` stands for."""

TEST_SPLIT = {
    "clean": "results/datasets/{noise}/test/clean.tif",
    "noisy": "results/datasets/{noise}/test/noisy.tif",
    "manifest": "results/datasets/{noise}/test/manifest.json",
}
"""The test split of every noise."""

TEST_IMAGES = TEST_SPLIT | {
    method: f"results/evaluation/{{noise}}/{method}.tif" for method in NETWORK_METHODS
}
"""The same, and what each network makes of its first image."""

FIRST, LAST, EVERY = slice(0, 1), slice(-1, None), slice(None)


@dataclass(frozen=True)
class Entry:
    """One figure.

    Attributes
    ----------
    caption
        Text below it.
    draw
        Module of this package and function, such as ``"supplement:figure_s1"``. The function
        takes an argument for each of `files` and `settings` and returns the figure and the rows
        of the CSV beside it. An argument is what was read from the file (`drawing.READERS`) or,
        of several files, a mapping from the values of the wildcard to what was read. The files
        of `TEST_SPLIT` and `TEST_IMAGES` are one argument, ``shown`` (`examples.Examples`).
    files
        Templates by argument.
    c_noise
        At which of the values of C in ``report.c_noise`` the test images are shown.
    settings
        Dotted keys of the configuration by argument.
    of_micrograph
        Whether there is one such figure of every micrograph, or one of the run.
    """

    caption: str
    draw: str
    files: Mapping[str, str]
    c_noise: slice | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    of_micrograph: bool = False

    @property
    def module(self) -> str:
        """Name within the package of the module that draws it."""
        return f"report.{self.draw.partition(':')[0]}"


FIGURES: Mapping[str, Entry] = MappingProxyType(
    {
        "1": Entry(
            "From structures to noisy images: (a) disordered structures (dashed: inside it the "
            "displacements are full, outside they fade to a pristine rim) and their projected "
            "densities, (b) maps of different structures joined, (c) the same image shifted, (d) "
            "the noises.",
            draw="figures:figure_1",
            files=TEST_SPLIT
            | {
                "atoms": "results/structures/{structure}.extxyz",
                "maps": "results/maps/{structure}.tif",
                "joined": "results/mosaics/train/joined.tif",
                "shifted": "results/mosaics/train/images.tif",
                "joints": "results/mosaics/train/joints.json",
            },
            c_noise=FIRST,
            settings={"fade_width": "structures.fade_width"},
        ),
        "2": Entry(
            "(a) The first test image enlarged around its darkest spot: clean, corrupted, and "
            "denoised by the paper-like baseline, by the network trained for that noise and by the "
            "universal network; (b) the similarity still missing at these C; (c) MS-SSIM against "
            "C, beyond the specialists' trained range shaded.",
            draw="figures:figure_2",
            files=TEST_IMAGES | {"quality": "results/evaluation/quality.csv"},
            c_noise=EVERY,
        ),
        "3": Entry(
            "An experimental image: (a) as recorded, (b) denoised, (c) the error the network "
            "predicts (68 %), (d) what that error marks: hatched with a blue rim where the mean "
            "brightness lies below that of the image by more than twice the error, dotted with an "
            "orange rim where the result varies by no more than its error, ringed the suspected "
            "inventions: features that do not hold against the error and hardly show in the image "
            "as recorded. Below, enlarged where the error is largest, also those that are certain "
            "(green dots) or uncertain but there (orange crosses). The error was calibrated on "
            "training images: on a micrograph it is a guide.",
            draw="marked:figure_3",
            files={"marked": "results/micrographs/{micrograph}_marked.tif"},
            of_micrograph=True,
        ),
        "4": Entry(
            "The first test image in full size: corrupted, denoised, and the remaining error.",
            draw="figures:figure_4",
            files=TEST_IMAGES | {"quality": "results/evaluation/quality.csv"},
            c_noise=LAST,
        ),
        "5": Entry(
            "The workflow, drawn from its own graph of rules; what follows from other arrows is "
            "left out (the CSV has it).",
            draw="figures:figure_5",
            files={"graph": "results/figures/workflow.json"},
        ),
        "S1": Entry(
            "The worst joint of each split: the place where the jump from one map to the next is "
            "largest, between the two arrows. The ratio compares it with the largest jump between "
            "neighbouring pixels inside the maps; at 1 or less a joint cannot be told from the "
            "inside.",
            draw="supplement:figure_s1",
            files={"worst": "results/mosaics/{split}/worst.tif"},
        ),
        "S2": Entry(
            "Circles and borders. Where four patches of the paper-like baseline meet (dashed), "
            "with the outline of the pores halfway down to the darkest (blue) beside that of the "
            "clean image (white, dotted).",
            draw="supplement:figure_s2",
            files=TEST_IMAGES,
            c_noise=FIRST,
            settings={"patch": "training.patch"},
        ),
        "S3": Entry(
            "Where our own networks are worst: of every noise the test image with the lowest "
            "MS-SSIM, for its specialist within the trained range and for the universal network "
            "beyond that, enlarged around its largest error, with the error that the network "
            "predicted.",
            draw="supplement:figure_s3",
            files={"worst": "results/evaluation/{noise}/worst.tif"},
        ),
    }
)
"""The figures by number, which is the paper's; those that it does not have begin with S."""


def figure_names(micrographs: Iterable[str]) -> list[str]:
    """Name the figures of a run; the name of the micrograph follows the number.

    Examples
    --------
    >>> figure_names(["scan"])
    ['1', '2', '3_scan', '4', '5', 'S1', 'S2', 'S3']
    """
    of_each = list(micrographs)
    return [
        name
        for number, entry in FIGURES.items()
        for name in ([f"{number}_{m}" for m in of_each] if entry.of_micrograph else [number])
    ]


def entry_of(figure: str) -> tuple[Entry, str]:
    """Return the entry of a figure, and the micrograph it is of (empty for one of the run).

    Raises
    ------
    DataError
        If there is no such figure.

    Examples
    --------
    >>> entry_of("3_my_scan")[1]
    'my_scan'
    """
    number, _, micrograph = figure.partition("_")
    if number not in FIGURES or FIGURES[number].of_micrograph != bool(micrograph):
        raise DataError(
            f"figure {figure!r}: expected one of {', '.join(figure_names(['<micrograph>']))}"
        )
    return FIGURES[number], micrograph


def files_of(figure: str, names: Mapping[str, Sequence[str]]) -> dict[str, str | list[str]]:
    """List the files that a figure is drawn from.

    Parameters
    ----------
    figure
        Its name, as `figure_names` gives it.
    names
        Values of the wildcards of the templates, but that of the micrograph.
    """
    entry, micrograph = entry_of(figure)
    every = {**names, "micrograph": micrograph}
    return {argument: expanded(template, every) for argument, template in entry.files.items()}


def expanded(template: str, names: Mapping[str, str | Sequence[str]]) -> str | list[str]:
    """Fill in a template: one file for each value if its wildcard has a list of values.

    Examples
    --------
    >>> expanded("maps/{structure}.tif", {"structure": ["a", "b"]}), expanded("a.csv", {})
    (['maps/a.tif', 'maps/b.tif'], 'a.csv')
    """
    before, wildcard, after = _parts(template)
    if not wildcard:
        return template
    values = names[wildcard]
    if isinstance(values, str):
        return before + values + after
    return [before + value + after for value in values]


def by_wildcard(template: str, paths: Iterable[str]) -> dict[str, str]:
    """Sort files by what stands for the wildcard in their names.

    Parameters
    ----------
    template
        With one wildcard.
    paths
        What it was expanded to; a folder may stand before them.

    Examples
    --------
    >>> by_wildcard("maps/{structure}.tif", ["run/maps/a.tif", "run/maps/b.tif"])
    {'a': 'run/maps/a.tif', 'b': 'run/maps/b.tif'}
    """
    before, _, after = _parts(template)
    return {str(path).removesuffix(after).rpartition(before)[2]: str(path) for path in paths}


def _parts(template: str) -> tuple[str, str, str]:
    """Split a template into what stands before its wildcard, the wildcard, and the rest."""
    before, _, rest = template.partition("{")
    wildcard, _, after = rest.partition("}")
    return before, wildcard, after


def settings_of(figure: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Take from the configuration what a figure is drawn with besides its files."""
    settings = {}
    for argument, key in entry_of(figure)[0].settings.items():
        value: Any = config
        for part in key.split("."):
            value = value[part]
        settings[argument] = value
    return settings


def c_noise_of(figure: str, config: Mapping[str, Any]) -> list[float]:
    """Take from the configuration the C at which a figure shows test images."""
    chosen = entry_of(figure)[0].c_noise
    return [] if chosen is None else list(config["report"]["c_noise"][chosen])
