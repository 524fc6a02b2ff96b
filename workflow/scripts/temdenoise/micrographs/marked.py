"""What is stored of a marked frame beside its pictures; standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LAYERS = ("as recorded", "denoised", "sigma", "marks")
"""What the images of a marked micrograph are."""

DARK, DOUBTFUL = 1, 2
"""Values of the layer of marks, added up where both hold."""

NAMES = {DARK: "low brightness", DOUBTFUL: "nothing certain"}
"""What they are called in tables."""


@dataclass(frozen=True)
class MarkedFrame:
    """What is stored beside the pictures of a marked frame.

    Attributes
    ----------
    file
        The micrograph's.
    frame
        Number of the frame in it.
    feature
        What was looked for: ``atoms`` or ``pores``.
    headline
        Of the verdict.
    areas
        Names of the marked areas by their value in the layer of marks.
    places
        Rows of a table, see `marks.Marks`.
    """

    file: str
    frame: int
    feature: str
    headline: str
    areas: Mapping[int, str]
    places: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as a TIFF stores them."""
        return vars(self) | {"areas": {str(value): name for value, name in self.areas.items()}}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "MarkedFrame":
        """Read what a TIFF stores."""
        return cls(
            file=stored["file"],
            frame=int(stored["frame"]),
            feature=stored["feature"],
            headline=stored["headline"],
            areas={int(value): name for value, name in stored["areas"].items()},
            places=list(stored["places"]),
        )

    def count(self, mark: str) -> int:
        """Count the places of one mark."""
        return sum(place["mark"] == mark for place in self.places)
