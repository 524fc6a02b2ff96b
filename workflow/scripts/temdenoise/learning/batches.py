"""What a training is fed with: batches by number of the step, validation frames.

Every batch depends on the seed and the number of its step alone.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from temdenoise.foundation.quantities import NoiseRange
from temdenoise.foundation.seeding import generator
from temdenoise.foundation.sequences import evenly_spaced
from temdenoise.images.datasets import DataSet
from temdenoise.images.noise import Window, corrupt
from temdenoise.images.storage import forget, one_by_one
from temdenoise.learning.augmentation import (
    draw_patch,
    partly_empty,
    standardisation,
    standardise,
    with_edge,
    with_slow_part,
)
from temdenoise.learning.options import PatchOptions, TrainingOptions

Transform = Callable[[Any], Any]

_SAMPLING_SCALES: Mapping[str, tuple[Transform, Transform]] = MappingProxyType(
    {
        "linear": (np.positive, np.positive),
        "square_root": (np.sqrt, np.square),
        "logarithmic": (np.log, np.exp),
    }
)
"""Sampling scales of C, on which it is drawn uniformly: the way there, and back."""


class Share(NamedTuple):
    """Part of each batch that one of several processes takes.

    Attributes
    ----------
    rank, world
        Which process this is, and how many they are.
    """

    rank: int = 0
    world: int = 1


WHOLE = Share()
"""Of the only process."""


class Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Training batches by number of the step: random patches, changed, made noisy.

    Parameters
    ----------
    images
        The training split by noise. Each patch draws one of the noises.
    options
        Of the training; its optimisation plays no part.
    share
        Of several processes each draws all patches, so that they are those of a single
        process, and keeps its own.
    """

    def __init__(
        self, images: Mapping[str, DataSet], options: TrainingOptions, share: Share = WHOLE
    ):
        self.images, self.noises = images, list(images)
        self.options, self.patches = options, options.patches
        odds = np.array([self.patches.odds.get(noise, 1.0) for noise in self.noises])
        self.chances = np.cumsum(odds / odds.sum())
        self.own = slice(share.rank, None, share.world)
        # the same images for every noise; their darkest value stands for empty space
        darkest = (float(image.min()) for image in one_by_one(images[self.noises[0]].clean))
        self.vacuum = min(*darkest, 0.0)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return noisy and clean patches, shape (n, 1, patch, patch), and their C."""
        rng = generator(self.options.seed, "training", self.options.name, step)
        draws = [self._draw(rng) for _ in range(self.patches.batch)][self.own]
        noisy, clean = (
            torch.from_numpy(np.stack([draw[i] for draw in draws])[:, None]) for i in (0, 1)
        )
        for images in self.images.values():
            forget(images.clean)
            forget(images.noisy)
        return noisy, clean, torch.tensor([draw[2] for draw in draws], dtype=torch.float32)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
        noise = self._noise(rng)
        images = self.images[noise]
        extent, side = images.clean.shape[1:], self.patches.patch
        x, y = (int(rng.integers(0, whole - side, endpoint=True)) for whole in extent)
        if self.patches.noise_source == "stored":
            window = (slice(x, x + side), slice(y, y + side))
            frame = images.frames[int(rng.integers(len(images.frames)))]
            clean = np.asarray(images.clean[frame.image][window])
            noisy = np.asarray(images.noisy[frame.index][window])
            c_noise = frame.c_noise
        else:
            noisy, clean, c_noise = self._fresh(rng, noise, images, (x, y))
        pair = [noisy, clean]
        if self.patches.turned:
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            pair = [np.rot90(array, turns) for array in pair]
            pair = [array[::-1] if flip else array for array in pair]
        return np.ascontiguousarray(pair[0]), np.ascontiguousarray(pair[1]), c_noise

    def _fresh(
        self, rng: np.random.Generator, noise: str, images: DataSet, origin: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Cut a patch out of a clean image, change it, and make it noisy."""
        options, side = self.patches, self.patches.patch
        number, step = rng.integers(len(images.clean)), 1.0
        _, *sides = images.clean.shape
        if options.resampled:
            clean, step = draw_patch(
                images.clean[number], rng, options, sampling=images.sampling[0]
            )
            sides, origin = [max(side, round(n / step)) for n in sides], (0, 0)
        else:
            clean = np.asarray(images.clean[number][tuple(slice(o, o + side) for o in origin)])
        window = Window((sides[0], sides[1]), origin)
        if options.edges and rng.random() < options.edges:
            clean = with_edge(clean, rng, vacuum=self.vacuum)
        if rng.random() < options.featureless:
            clean = partly_empty(clean, rng, vacuum=self.vacuum)
        # no network takes low noise on a featureless patch for a lattice
        strong = not np.ptp(clean)
        noisy, c_noise = self._corrupt(clean, noise, rng, window, strong=strong)
        if rng.random() < options.mixtures:
            noisy, more = self._corrupt(noisy, self._noise(rng), rng, window)
            c_noise = float(np.hypot(c_noise, more))
        if options.keep_slow:
            pixels = options.keep_slow / (step * images.sampling[0])
            clean = with_slow_part(clean, noisy, width=pixels)
        if options.standardised:
            noisy, clean, c_noise = standardise(noisy, clean, c_noise, rng)
        return noisy, clean, c_noise

    def _noise(self, rng: np.random.Generator) -> str:
        return self.noises[np.searchsorted(self.chances[:-1], rng.random(), side="right")]

    def _corrupt(
        self,
        clean: np.ndarray,
        noise: str,
        rng: np.random.Generator,
        window: Window,
        *,
        strong: bool = False,
    ) -> tuple[np.ndarray, float]:
        """Add noise of any strength, or of the upper half of the range."""
        low, high = self.options.c_noise_range
        there, back = _SAMPLING_SCALES[self.patches.c_spacing]
        c_noise = float(back(rng.uniform(there((low + high) / 2 if strong else low), there(high))))
        noisy = corrupt(
            clean, noise=noise, c_noise=c_noise, rng=rng, options=self.options.noise, window=window
        )
        return noisy, c_noise


class ValidationFrames(Dataset[tuple[Tensor, Tensor]]):
    """Frames of every noise within the range of C, evenly spread if there are many.

    Standardised, and with what varies slowly, if the training is so.

    Parameters
    ----------
    images
        The validation split by noise.
    c_noise_range
        Frames outside are left out [normalised intensity].
    patches
        Says how frames are seen.
    share
        Several processes share the frames; if there are fewer frames, each has all.
    """

    MOST = 16
    """A universal model has 80 in a default run, and would validate as long as it trains."""

    def __init__(
        self,
        images: Mapping[str, DataSet],
        c_noise_range: NoiseRange,
        patches: PatchOptions,
        share: Share = WHOLE,
    ):
        self.patches = patches
        low, high = c_noise_range
        pairs = [
            (data, frame)
            for data in images.values()
            for frame in data.frames
            if low <= frame.c_noise <= high
        ]
        chosen = evenly_spaced(pairs, self.MOST)
        self.pairs = chosen[share.rank :: share.world] if len(chosen) >= share.world else chosen

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        data, frame = self.pairs[index]
        noisy, clean = data.noisy[frame.index], data.clean[frame.image]
        if self.patches.keep_slow:
            pixels = self.patches.keep_slow / data.sampling[0]
            clean = with_slow_part(np.asarray(clean), noisy, width=pixels)
        if self.patches.standardised:
            mean, deviation = standardisation(noisy)
            noisy, clean = (((a - mean) / deviation).astype(np.float32) for a in (noisy, clean))
        return _as_batch(noisy), _as_batch(clean)


def _as_batch(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image))[None, None]


class Steps(Sampler[int]):
    """The steps of the coming epoch; after a resumption too.

    Parameters
    ----------
    done
        Returns how many steps are done.
    per_epoch
        Steps of an epoch.
    """

    def __init__(self, done: Callable[[], int], per_epoch: int):
        self.done, self.per_epoch = done, per_epoch

    def __len__(self) -> int:
        return self.per_epoch

    def __iter__(self) -> Iterator[int]:
        first = self.done()
        return iter(range(first, first + self.per_epoch))
