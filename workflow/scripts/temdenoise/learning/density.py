"""The electron density of atoms, learned from maps of density functional theory.

A map is the sum of one round density per atom, which holds its element's valence electrons, and of
what bonding changes. The first is fitted to the maps; the second is the divergence of a field of
displaced charge that a network gives, nothing where no atom is near. So no electron is lost or
made, and what lies far apart does not change each other.
"""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.images.atoms import AtomArrays
from temdenoise.learning.neighbourhoods import Neighbourhoods

FORMAT = "temdenoise-density-1"
"""Format of the files of a learned density."""

SEEN = (0.25, 0.4, 0.6, 1.0)
"""Standard deviations of the Gaussians at the atoms that the network sees [Å]."""

HEIGHT = 0.4
"""Standard deviation of those that are weighted by the square of the atom's height [Å]."""

ROUND = (0.2, 0.27, 0.36, 0.49, 0.66, 0.89, 1.2, 1.6)
"""Standard deviations of the Gaussians that an atom's round density is a sum of [Å]."""

CUT = 4.5
"""Where a Gaussian counts as nothing [standard deviations]."""

BORDER = CUT * max(ROUND)
"""How far outside of an image atoms matter to its pixels [Å]."""

TILE = 256
"""Side of the tiles that a scene is drawn in [pixels]; decides memory, not the result."""

STRIP = 32
"""Width of the strips that Gaussians are summed in [pixels]; decides time, not the result."""

_NEAR = 5.0  # Å²: how soon displaced charge is allowed as an atom comes near


class ChargeNetwork(nn.Module):
    """Displaced charge, a field of two components, from Gaussians at the atoms.

    Works on blocks of 2 x 2 pixels, a quarter of the cost.

    Parameters
    ----------
    inputs
        Channels of Gaussians.
    width
        Channels inside.
    dilations
        Of the first convolution of each block.

    Notes
    -----
    Residual blocks after K. He et al., doi:10.1109/CVPR.2016.90, dilated as by F. Yu and V. Koltun,
    arXiv:1511.07122.
    """

    def __init__(self, inputs: int, width: int = 48, dilations: Sequence[int] = (1, 2, 2, 1)):
        super().__init__()
        self.options = {"inputs": inputs, "width": width, "dilations": list(dilations)}
        self._dilations = tuple(dilations)
        self.stem = nn.Conv2d(4 * inputs, width, 3, padding=1)
        self.first = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=apart, dilation=apart) for apart in dilations
        )
        self.second = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in dilations)
        self.last = nn.Conv2d(width, 8, 1)
        # the first answer: nothing is displaced
        for weights in self.last.parameters():
            nn.init.zeros_(weights)
        for weights in self.second.parameters():
            weights.data.mul_(0.3)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stub

    @property
    def reach(self) -> int:
        """Farthest that what it sees acts [pixels]."""
        return 2 * (2 + sum(apart + 1 for apart in self._dilations))

    def forward(self, seen: Tensor) -> Tensor:
        """Give the field, shape (n, 2, x, y), for channels of shape (n, inputs, x, y)."""
        hidden = self.stem(functional.pixel_unshuffle(seen, 2))
        for first, second in zip(self.first, self.second, strict=True):
            hidden = hidden + second(functional.silu(first(functional.silu(hidden))))
        field: Tensor = functional.pixel_shuffle(self.last(functional.silu(hidden)), 2)
        return field


@dataclass(frozen=True)
class View:
    """Atoms as a window sees them, in coordinates of its own.

    Attributes
    ----------
    species
        Which element each atom is, as its number in the model's list, shape (n,).
    offsets
        Places in the window, and height above the middle of the layer, shape (n, 3) [Å].
    axes
        Places of the pixels along x and y, shapes (nx,) and (ny,) [Å].
    """

    species: np.ndarray
    offsets: np.ndarray
    axes: tuple[np.ndarray, np.ndarray]

    def gaussians(self, widths: Sequence[float], weights: np.ndarray) -> np.ndarray:
        """Sum Gaussians of unit integral at the atoms.

        Parameters
        ----------
        widths
            Standard deviations [Å].
        weights
            Of each atom, for each width, shape (len(widths), n).

        Returns
        -------
        numpy.ndarray
            One image for each width, float32, shape (len(widths), nx, ny) [1/Å²].
        """
        (x_axis, y_axis), (x, y) = self.axes, self.offsets[:, :2].T
        images = np.zeros((len(widths), len(x_axis), len(y_axis)), np.float32)
        for image, width, own in zip(images, widths, weights, strict=True):
            along_y = np.exp(-0.5 * ((y_axis - y[:, None]) / width) ** 2).astype(np.float32)
            factor = own / (2 * np.pi * width**2)
            # strips, since an atom reaches few of them
            for first in range(0, len(x_axis), STRIP):
                strip = x_axis[first : first + STRIP]
                reach = CUT * width
                near = (x > strip[0] - reach) & (x < strip[-1] + reach) & (own != 0)
                along_x = np.exp(-0.5 * ((strip[:, None] - x[near]) / width) ** 2) * factor[near]
                image[first : first + STRIP] = along_x.astype(np.float32) @ along_y[near]
        return images


def channels(view: View, n_species: int) -> np.ndarray:
    """Give what the network sees: for each element the Gaussians `SEEN`, and one of heights.

    Returns
    -------
    numpy.ndarray
        Shape (n_species * (len(SEEN) + 1), nx, ny).
    """
    height = view.offsets[:, 2] ** 2
    stacks = []
    for number in range(n_species):
        own = (view.species == number).astype(np.float64)
        weights = np.stack([own] * len(SEEN) + [own * height])
        stacks.append(view.gaussians((*SEEN, HEIGHT), weights))
    return np.concatenate(stacks)


@dataclass(frozen=True)
class DensityModel:
    """What draws the projected density of atoms.

    Attributes
    ----------
    network
        Gives the displaced charge.
    species
        The elements it knows.
    round_density
        Of each element, the electrons in each Gaussian of `ROUND`, shape (elements, widths).
    scale
        Standard deviation of each channel in training.
    sampling
        Pixel size it draws at [Å].
    neighbourhoods
        The surroundings of atoms that training held.
    about
        Quantity and unit of the maps, the structures learned from, seed and recipe.
    """

    network: ChargeNetwork
    species: tuple[str, ...]
    round_density: np.ndarray
    scale: np.ndarray
    sampling: float
    neighbourhoods: Neighbourhoods
    about: Mapping[str, Any]

    def view(
        self, atoms: AtomArrays, centre: np.ndarray, pixels: int, turn: np.ndarray | None = None
    ) -> View:
        """Look at atoms through a square window, and so far around it as they matter.

        Parameters
        ----------
        atoms
            Of a periodic cell.
        centre
            Of the window, between its pixels ``pixels // 2 - 1`` and ``pixels // 2`` where the
            number is even plus half a pixel, shape (2,) [Å].
        pixels
            Side of the window.
        turn
            Orthogonal matrix from the cell's axes to those of the window, shape (2, 2).
        """
        axis = (np.arange(pixels) - pixels // 2) * self.sampling
        half = pixels / 2 * self.sampling + BORDER
        indices, offsets = atoms.around(centre, half * (1 if turn is None else np.sqrt(2)))
        if turn is not None:
            offsets[:, :2] = offsets[:, :2] @ turn.T
            near = (np.abs(offsets[:, :2]) <= half).all(axis=1)
            indices, offsets = indices[near], offsets[near]
        return View(self.numbers(atoms.symbols)[indices], offsets, (axis, axis))

    def numbers(self, symbols: np.ndarray) -> np.ndarray:
        """Give the number of each element in `species`.

        Raises
        ------
        DataError
            If there are elements that were in none of the structures learned from.
        """
        known = dict(zip(self.species, range(len(self.species)), strict=True))
        if unknown := sorted(set(symbols.tolist()) - set(known)):
            raise DataError(
                f"the density was learned from structures of {', '.join(self.species)}, not of "
                f"{', '.join(unknown)}; add structures with them to the training split "
                "(structures.families, structures.others), or set density.source to dft"
            )
        return np.array([known[symbol] for symbol in symbols.tolist()], dtype=np.intp)

    def superposed(self, view: View) -> np.ndarray:
        """Add the round densities up, shape (nx, ny) [e/Å²]."""
        weights = self.round_density[view.species].T
        total: np.ndarray = view.gaussians(ROUND, weights).sum(axis=0)
        return total

    def bonding(self, seen: Tensor) -> Tensor:
        """Give what bonding changes.

        Parameters
        ----------
        seen
            See `channels`, shape (n, channels, nx, ny).

        Returns
        -------
        Tensor
            Shape (n, nx, ny) [e/Å²]; right but for the network's reach at the rim.
        """
        return displaced(self.network, seen, torch.from_numpy(self.scale), self.sampling)

    def draw(
        self, atoms: AtomArrays, shape: tuple[int, int], *, origin: tuple[float, float] = (0.0, 0.0)
    ) -> np.ndarray:
        """Draw the projected density.

        Parameters
        ----------
        atoms
            Of a periodic cell.
        shape
            Pixels along x and y; the image may cover a part of the cell, or more than it.
        origin
            Place of the first pixel [Å].

        Returns
        -------
        numpy.ndarray
            float32, shape `shape` [e/Å²].

        Raises
        ------
        DataError
            If there is an element that was in none of the structures learned from.
        """
        image = np.empty(shape, np.float32)
        margin, tile = self.network.reach + 2, min(TILE, 2 * -(-max(shape) // 2))
        inner = slice(margin, margin + tile)
        for corner in product(*(range(0, side, tile) for side in shape)):
            centre = np.array(origin) + self.sampling * (np.array(corner) + tile // 2)
            view = self.view(atoms, centre, tile + 2 * margin)
            seen = torch.from_numpy(channels(view, len(self.species)))[None]
            with torch.inference_mode():
                drawn = self.superposed(view) + self.bonding(seen)[0].numpy()
            part = tuple(slice(c, min(c + tile, n)) for c, n in zip(corner, shape, strict=True))
            image[part] = drawn[inner, inner][tuple(slice(0, own.stop - own.start) for own in part)]
        return image

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all of it into one file that loads without running code."""
        content = {
            "format": FORMAT,
            "network": self.network.options,
            "state_dict": self.network.state_dict(),
            "species": list(self.species),
            "round_density": torch.from_numpy(self.round_density),
            "scale": torch.from_numpy(self.scale),
            "sampling": self.sampling,
            "neighbourhoods": self.neighbourhoods.to_dict(),
            "about": dict(self.about),
        }
        buffer = io.BytesIO()  # a file name would end up inside the archive
        torch.save(content, buffer)
        with atomic(path) as temporary:
            temporary.write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "DensityModel":
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If the file is no learned density.
        """
        try:
            known = torch.load(Path(path), map_location="cpu", weights_only=True)
            if known["format"] != FORMAT:
                raise ValueError(f"format {known['format']!r}")
            network = ChargeNetwork(**known["network"])
            network.load_state_dict(known["state_dict"])
            return cls(
                network.eval(),
                tuple(known["species"]),
                known["round_density"].numpy(),
                known["scale"].numpy(),
                known["sampling"],
                Neighbourhoods.from_dict(known["neighbourhoods"]),
                known["about"],
            )
        # of a damaged archive torch raises errors of any type
        except Exception as error:
            raise DataError(
                f"{path}: no readable learned density ({type(error).__name__}: {error}); expected "
                f"one that the rule train_density wrote ({FORMAT}); run that rule again"
            ) from error


def displaced(network: nn.Module, seen: Tensor, scale: Tensor, sampling: float) -> Tensor:
    """Change of a density by the divergence of displaced charge; see `DensityModel.bonding`."""
    # what lies alone in vacuum, or is vacuum, displaces nothing
    n_widths = len(SEEN) + 1
    near = 1 - torch.exp(-_NEAR * seen[:, len(SEEN) - 1 :: n_widths].sum(dim=1, keepdim=True))
    field = network(seen / scale[:, None, None]) * near
    change = torch.zeros_like(field[:, 0])
    change[:, 1:] += field[:, 0, 1:] - field[:, 0, :-1]
    change[:, :, 1:] += field[:, 1, :, 1:] - field[:, 1, :, :-1]
    return change / sampling
