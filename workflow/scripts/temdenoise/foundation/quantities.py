"""Pixel sizes and noise levels: what would else be a pair of numbers that is easily mixed up."""

import math
from typing import NamedTuple


class PixelSize(NamedTuple):
    """Pixel size of one image [Å].

    Attributes
    ----------
    rows, columns
        Distance between neighbouring rows and between neighbouring columns [Å].

    Examples
    --------
    >>> PixelSize(0.1, 0.4).side
    0.2
    >>> PixelSize.of(0.12)
    PixelSize(rows=0.12, columns=0.12)
    """

    rows: float
    columns: float

    @classmethod
    def of(cls, size: "float | tuple[float, float] | PixelSize") -> "PixelSize":
        """Make a pixel size of one number (square pixels) or of (rows, columns).

        Raises
        ------
        ValueError
            If a side is not a finite number above 0, or there are not one or two of them.
        """
        try:
            sides = (size, size) if isinstance(size, int | float) else tuple(size)
            rows, columns = map(float, sides)
        except (TypeError, ValueError):
            rows = columns = math.nan
        if not all(math.isfinite(side) and side > 0 for side in (rows, columns)):
            raise ValueError(
                f"sampling = {size!r}: expected the pixel size in Å, one number above 0 or two "
                "(rows, columns)"
            )
        return cls(rows, columns)

    @property
    def side(self) -> float:
        """Side of the square of equal area [Å]."""
        return math.sqrt(self.rows * self.columns)


class PixelRange(NamedTuple):
    """Pixel sizes a model was trained on [Å].

    Attributes
    ----------
    finest, coarsest
        Smallest and largest side of a pixel [Å].
    """

    finest: float
    coarsest: float

    @property
    def middle(self) -> float:
        """Geometric mean of the two [Å]."""
        return math.sqrt(self.finest * self.coarsest)


class NoiseRange(NamedTuple):
    """Noise coefficients C a model was trained on [normalised intensity].

    Attributes
    ----------
    low, high
        Smallest and largest C.
    """

    low: float
    high: float


class NoiseLevel(NamedTuple):
    """How strong the noise of an image is beside its lattice.

    Attributes
    ----------
    sigma
        Standard deviation of the noise of a pixel [intensity of the image].
    contrast
        Standard deviation of the lattice [intensity of the image]; 0 if none is seen.
    """

    sigma: float
    contrast: float

    @property
    def over_contrast(self) -> float:
        """Noise over the lattice's contrast; infinite if no lattice is seen.

        Examples
        --------
        >>> NoiseLevel(sigma=3.0, contrast=2.0).over_contrast
        1.5
        >>> NoiseLevel(sigma=3.0, contrast=0.0).over_contrast
        inf
        """
        return self.sigma / self.contrast if self.contrast > 0 else math.inf
