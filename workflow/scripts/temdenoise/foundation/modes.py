"""Image modes: what an image shows of a structure. The one place that names them.

A further mode is one entry of `IMAGE_MODES`, a function that forms its images
(`groundtruth.microscope.IMAGING`) and a preset of its microscope (`microscopes.PRESETS`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from temdenoise.foundation.errors import DataError

FEATURES: Mapping[str, int] = MappingProxyType({"pores": -1, "atoms": 1})
"""Features a detector looks for, and the sign that makes them bright."""


@dataclass(frozen=True)
class ImageMode:
    """What an image shows.

    Attributes
    ----------
    name
        In configurations, on the command line and in model files.
    title
        What it is, for sentences such as "the image looks like ...".
    images
        Images of this mode, in the plural.
    looks
        What is seen in it, in two words.
    feature
        What the detector looks for: a key of `FEATURES`.
    contrast
        1 if the structure is brighter than its surroundings, -1 if darker; None if that
        depends on the lens, so that the sign of an image says nothing about its mode.
    preset
        The microscope that is taken if none is named; None if no microscope is needed.
    unlike
        Images that a model of this mode must not be used for.
    """

    name: str
    title: str
    images: str
    looks: str
    feature: str
    contrast: int | None
    preset: str | None
    unlike: str

    @property
    def sign(self) -> int:
        """Sign that makes the features bright."""
        return FEATURES[self.feature]


IMAGE_MODES: Mapping[str, ImageMode] = MappingProxyType(
    {
        "density": ImageMode(
            name="density",
            title="a projected density (dark pores in a bright net)",
            images="projected electron densities (dark pores in a bright net)",
            looks="dark pores",
            feature="pores",
            contrast=-1,
            preset=None,
            unlike="HRTEM of a camera",
        ),
        "adf": ImageMode(
            name="adf",
            title="annular dark field (bright atoms)",
            images="annular dark-field STEM images (bright atoms)",
            looks="bright atoms",
            feature="atoms",
            contrast=1,
            preset="adf_60kv_medium",
            unlike="HRTEM and other phase contrast",
        ),
        # dark pores at Cs < 0 and overfocus: atoms closer than the point resolution merge into a
        # bright net
        "hrtem": ImageMode(
            name="hrtem",
            title="phase contrast (HRTEM)",
            images="HRTEM images (phase contrast)",
            looks="phase contrast",
            feature="pores",
            contrast=None,
            preset="hrtem_80kv",
            unlike="incoherent images",
        ),
    }
)
"""Image modes by name; of several that look alike the first is taken where a sign decides."""


def image_mode(name: str) -> ImageMode:
    """Return an image mode.

    Raises
    ------
    DataError
        If there is none of that name.

    Examples
    --------
    >>> image_mode("adf").looks
    'bright atoms'
    """
    try:
        return IMAGE_MODES[name]
    except KeyError:
        raise DataError(f"image mode {name!r}: expected one of {', '.join(IMAGE_MODES)}") from None


def mode_by_contrast(sign: int) -> ImageMode:
    """Return the mode whose structure is bright (1) or dark (-1).

    Examples
    --------
    >>> mode_by_contrast(1).name, mode_by_contrast(-1).name
    ('adf', 'density')
    """
    return next(mode for mode in IMAGE_MODES.values() if mode.contrast == sign)
