"""What a training is fed with: batches by number of the step, validation frames.

Every batch depends on the seed and the number of its step alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from temdenoise.images.datasets import DataSet, evenly
from temdenoise.images.noise import corrupt
from temdenoise.learning.augmentation import (
    draw_patch,
    partly_empty,
    standardisation,
    standardise,
    with_edge,
    with_slow_part,
)
from temdenoise.seeding import generator
from temdenoise.storage import forget, one_by_one

_SPACINGS = {
    "linear": (np.positive, np.positive),
    "square_root": (np.sqrt, np.square),
    "logarithmic": (np.log, np.exp),
}
"""What of C is drawn uniformly, and the way back."""


class Batches(Dataset):
    """Training batches by number of the step: random patches, changed, made noisy.

    Parameters
    ----------
    images
        The training split by noise. Each patch draws one of the noises.
    odds
        How often a noise is drawn, by its name; those not named count 1.
    name
        Of the model; with the seed it names the random streams.
    c_noise, background_correlation, clip, pedestal
        Noise to train on, see `images.noise.corrupt`; C is drawn from the range
        `c_noise`.
    noise_source
        ``fresh``: new noise in every batch; ``stored``: the stored frames.
    mixtures
        Share of patches with a second noise on top of the first (``fresh`` alone).
    featureless
        Share of patches that are partly or wholly without structure, so that the
        network learns to leave nothing as nothing. On the latter, C comes from the upper
        half of the range.
    turned
        Whether patches are flipped and turned by quarters.
    patch
        Side of a patch [pixels].
    batch
        Patches per batch.
    seed
        Of the run.
    c_spacing
        ``linear``: C is drawn uniformly; ``square_root``: its square root is;
        ``logarithmic``: it comes as often from every octave.
    standardised, rotation, sampling, edges, stretch, blur
        For real frames (``fresh`` alone), see `augmentation`: whether patches have mean 0 and
        deviation 1, are turned by any angle, the range of their pixel sizes [Å], and the
        share that ends at an irregular edge.
    keep_slow
        Standard deviation of the Gaussian whose part of the noisy patch the network is to
        keep [Å]; 0: none.
    rank, world
        Of several processes that share each batch: which one this is, and how many they
        are. Each draws all patches, so that they are those of a single process, and keeps
        its own.
    """

    def __init__(
        self,
        images: Mapping[str, DataSet],
        *,
        name: str,
        c_noise: tuple[float, float],
        background_correlation: float,
        clip: bool,
        noise_source: str,
        mixtures: float,
        featureless: float,
        turned: bool,
        patch: int,
        batch: int,
        seed: int,
        pedestal: float = 0.0,
        odds: Mapping[str, float] | None = None,
        c_spacing: str = "linear",
        standardised: bool = False,
        rotation: bool = False,
        sampling: Sequence[float] | None = None,
        edges: float = 0.0,
        stretch: float = 0.0,
        blur: float = 0.0,
        keep_slow: float = 0.0,
        rank: int = 0,
        world: int = 1,
    ):
        self.images, self.noises, self.name = images, list(images), name
        odds = np.array([(odds or {}).get(noise, 1.0) for noise in self.noises])
        self.chances = np.cumsum(odds / odds.sum())
        self.c_noise, self.noise_source, self.mixtures = c_noise, noise_source, mixtures
        self.options = {
            "background_correlation": background_correlation,
            "clip": clip,
            "pedestal": pedestal,
        }
        self.featureless, self.turned = featureless, turned
        self.spacing, self.standardised = _SPACINGS[c_spacing], standardised
        self.rotation, self.sampling, self.edges = rotation, sampling, edges
        self.distortion = {"stretch": stretch, "blur": blur}
        self.keep_slow = keep_slow
        self.patch, self.batch, self.seed = patch, batch, seed
        self.own = slice(rank, None, world)
        # the same images for every noise; their darkest value stands for empty space
        darkest = (float(image.min()) for image in one_by_one(images[self.noises[0]].clean))
        self.vacuum = min(*darkest, 0.0)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return noisy and clean patches, shape (n, 1, patch, patch), and their C."""
        rng = generator(self.seed, "training", self.name, step)
        draws = [self._draw(rng) for _ in range(self.batch)][self.own]
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
        extent = images.clean.shape[1:]
        origin = tuple(int(rng.integers(0, side - self.patch, endpoint=True)) for side in extent)
        window = tuple(slice(o, o + self.patch) for o in origin)
        if self.noise_source == "stored":
            frame = images.frames[rng.integers(len(images.frames))]
            clean = np.asarray(images.clean[frame.image][window])
            noisy = np.asarray(images.noisy[frame.index][window])
            c_noise = frame.c_noise
        else:
            number, step = rng.integers(len(images.clean)), 1.0
            place = {"extent": extent, "origin": origin}
            if self.rotation or self.sampling or any(self.distortion.values()):
                clean, step = draw_patch(
                    images.clean[number],
                    rng,
                    patch=self.patch,
                    sampling=images.sampling[0],
                    rotation=self.rotation,
                    samplings=self.sampling,
                    **self.distortion,
                )
                sides = tuple(max(self.patch, round(side / step)) for side in extent)
                place = {"extent": sides, "origin": (0, 0)}
            else:
                clean = np.asarray(images.clean[number][window])
            if self.edges and rng.random() < self.edges:
                clean = with_edge(clean, rng, vacuum=self.vacuum)
            if rng.random() < self.featureless:
                clean = partly_empty(clean, rng, vacuum=self.vacuum)
            # weak noise on nothing is taken for a lattice by no network
            strong = not np.ptp(clean)
            noisy, c_noise = self._corrupt(clean, noise, rng, place, strong=strong)
            if rng.random() < self.mixtures:
                noisy, more = self._corrupt(noisy, self._noise(rng), rng, place)
                c_noise = float(np.hypot(c_noise, more))
            if self.keep_slow:
                pixels = self.keep_slow / (step * images.sampling[0])
                clean = with_slow_part(clean, noisy, width=pixels)
            if self.standardised:
                noisy, clean, c_noise = standardise(noisy, clean, c_noise, rng)
        pair = [noisy, clean]
        if self.turned:
            turns, flip = rng.integers(4), rng.integers(2)
            pair = [np.rot90(array, turns) for array in pair]
            pair = [array[::-1] if flip else array for array in pair]
        return np.ascontiguousarray(pair[0]), np.ascontiguousarray(pair[1]), c_noise

    def _noise(self, rng: np.random.Generator) -> str:
        return self.noises[np.searchsorted(self.chances[:-1], rng.random(), side="right")]

    def _corrupt(
        self,
        clean: np.ndarray,
        noise: str,
        rng: np.random.Generator,
        place: dict[str, Any],
        *,
        strong: bool = False,
    ) -> tuple[np.ndarray, float]:
        """Add noise of any strength, or of the upper half of the range."""
        low, high = self.c_noise
        there, back = self.spacing
        c_noise = float(back(rng.uniform(there((low + high) / 2 if strong else low), there(high))))
        noisy = corrupt(clean, noise=noise, c_noise=c_noise, rng=rng, **place, **self.options)
        return noisy, c_noise


class ValidationFrames(Dataset):
    """Frames of every noise within a range of C, or as many of them, evenly spread.

    Standardised, and with what varies slowly, if the training is so. Several processes share
    them; if they are fewer, each has all.
    """

    MOST = 16
    """A universal model has 80 in a default run, and would validate as long as it trains."""

    def __init__(
        self,
        images: Mapping[str, DataSet],
        c_noise: tuple[float, float],
        standardised: bool,
        rank: int = 0,
        world: int = 1,
        keep_slow: float = 0.0,
    ):
        self.standardised, self.keep_slow = standardised, keep_slow
        pairs = [
            (data, frame)
            for data in images.values()
            for frame in data.frames
            if c_noise[0] <= frame.c_noise <= c_noise[1]
        ]
        chosen = evenly(pairs, self.MOST)
        self.pairs = chosen[rank::world] if len(chosen) >= world else chosen

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        data, frame = self.pairs[index]
        pair = data.noisy[frame.index], data.clean[frame.image]
        if self.keep_slow:
            pixels = self.keep_slow / data.sampling[0]
            pair = pair[0], with_slow_part(np.asarray(pair[1]), pair[0], width=pixels)
        if self.standardised:
            mean, deviation = standardisation(pair[0])
            pair = tuple(((a - mean) / deviation).astype(np.float32) for a in pair)
        return tuple(torch.from_numpy(np.ascontiguousarray(a))[None, None] for a in pair)


class Steps(Sampler):
    """The steps of the coming epoch; after a resumption too.

    Parameters
    ----------
    done
        Tells how many steps are done.
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
