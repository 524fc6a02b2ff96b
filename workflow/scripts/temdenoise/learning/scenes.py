"""Scenes drawn by a learned density."""

from collections.abc import Iterator, Sequence

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.images.atoms import AtomArrays
from temdenoise.learning.density import BORDER, DensityModel

MOST_UNLIKE = 0.25
"""Fraction of a scene's atoms whose surroundings were not learned, above which it is refused."""


class Scenes:
    """Images of scenes, drawn one after the other as they are asked for.

    Parameters
    ----------
    model
        What draws them.
    atoms
        Of each scene, in a cell of the image and a margin around it.
    size
        Side of an image [pixels of the model].
    margin
        Width of the margin [Å].

    Attributes
    ----------
    unlike
        Fraction of each scene's atoms whose surroundings the model has not learned.

    Raises
    ------
    DataError
        If the margin is too narrow, an element was not learned, or more than `MOST_UNLIKE` of the
        atoms of a scene have surroundings that were not.
    """

    def __init__(
        self, model: DensityModel, atoms: Sequence[AtomArrays], *, size: int, margin: float
    ):
        self.model, self.atoms, self.size, self.margin = model, list(atoms), size, margin
        needed = BORDER + (model.network.reach + 2) * model.sampling
        if margin < needed:
            raise DataError(
                f"scenes have a margin of {margin:g} Å, expected at least {needed:.1f}, since the "
                "density of a pixel depends on atoms up to there; compose them again"
            )
        self.unlike = [self._unlike(number) for number in range(len(self.atoms))]
        if strange := [n for n, part in enumerate(self.unlike) if part > MOST_UNLIKE]:
            raise DataError(
                f"scenes {', '.join(map(str, strange))}: up to "
                f"{max(self.unlike):.0%} of their atoms have surroundings unlike all that the "
                f"density was learned from, expected at most {MOST_UNLIKE:.0%}; lower "
                "scenes.strain, scenes.grain_boundaries, scenes.edges or scenes.pores, or add "
                "such structures to the training split (structures.families, structures.others)"
            )

    def _unlike(self, number: int) -> float:
        atoms, stop = self.atoms[number], self.margin + self.size * self.model.sampling
        self.model.numbers(atoms.symbols)
        places = atoms.positions[:, :2]
        shown = ((places >= self.margin) & (places < stop)).all(axis=1)
        if not shown.any():
            return 0.0
        return float((self.model.neighbourhoods.strangeness(atoms)[shown] > 1).mean())

    def __len__(self) -> int:
        return len(self.atoms)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Draw each, float32, shape (size, size) [e/Å²]."""
        for atoms in self.atoms:
            yield self.model.draw(atoms, (self.size, self.size), origin=(self.margin, self.margin))

    def remark(self) -> str:
        """Say how much of them was not learned."""
        return (
            f"surroundings unlike all that was learned: {np.mean(self.unlike):.2%} of their atoms, "
            f"{max(self.unlike):.2%} in one scene"
        )
