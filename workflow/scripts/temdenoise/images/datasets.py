"""Data sets: normalised clean images, and noisy frames of each at every C."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from temdenoise.errors import DataError
from temdenoise.files import read_json
from temdenoise.images.noise import corrupt
from temdenoise.seeding import generator
from temdenoise.storage import forget, read_images


@dataclass(frozen=True)
class IntensityScale:
    """The one affine scale of a data set: normalised = (density - offset) / range.

    Attributes
    ----------
    offset, range
        In the unit of the maps, e/Å² or share of the beam.
    """

    offset: float
    range: float

    @property
    def pedestal(self) -> float:
        """Intensity that normalising takes away [normalised intensity]."""
        return self.offset / self.range

    def normalise(self, density: np.ndarray) -> np.ndarray:
        """Send density [e/Å²] to about [0, 1], float32."""
        return ((density - self.offset) / self.range).astype(np.float32)

    def denormalise(self, image: np.ndarray) -> np.ndarray:
        """Send normalised values back to density [e/Å²]."""
        return image * self.range + self.offset


def intensity_scale(maps: Iterable[np.ndarray], *, white: float = 1.0) -> IntensityScale:
    """Choose the scale that sends the training maps' smallest value to 0, the largest to 1.

    Parameters
    ----------
    maps
        The training maps [e/Å²]; those of other splits must not be looked at.
    white
        Quantile of each map's pixels to take for its largest value.

    Raises
    ------
    DataError
        If all maps are constant.
    """
    pairs = [
        (float(m.min()), float(m.max() if white == 1 else np.quantile(m, white))) for m in maps
    ]
    lows, highs = zip(*pairs, strict=True)
    low, high = min(lows), max(highs)
    if not high > low:
        raise DataError(
            f"all training maps are constant ({low} e/Å²), so they have no scale; "
            "look at the density maps"
        )
    return IntensityScale(offset=low, range=high - low)


@dataclass(frozen=True)
class Frame:
    """One noisy frame of a data set.

    Attributes
    ----------
    index
        Its place in the noisy stack.
    image
        Place of its clean image in the clean stack.
    c_noise
        Noise coefficient C.
    """

    index: int
    image: int
    c_noise: float


@dataclass(frozen=True)
class DataSet:
    """The images of one noise and split, normalised.

    Attributes
    ----------
    clean
        Shape (n_images, x, y).
    noisy
        Stored frames, shape (n_frames, x, y).
    frames
        Which image and C each stored frame has.
    sampling
        Pixel size along x and y [Å].
    manifest
        What the data set's manifest says.
    files
        The files it was opened from, if it is all of them: it travels to another process as
        their names.
    """

    clean: np.ndarray
    noisy: np.ndarray
    frames: Sequence[Frame]
    sampling: tuple[float, float] = (1.0, 1.0)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.files is None:
            return super().__reduce_ex__(protocol)
        return _opened, (dict(self.files),)

    def at(self, c_noise: float) -> list[Frame]:
        """List the frames with one C."""
        return [frame for frame in self.frames if frame.c_noise == c_noise]

    def of_crystal(self, number: int, n_crystals: int) -> "DataSet":
        """Return the part with one crystal's images; they take turns in the whole."""
        kept = [frame for frame in self.frames if frame.image % n_crystals == number]
        scales = self.manifest.get("scales")
        return replace(
            self,
            clean=self.clean[number::n_crystals],
            frames=[replace(frame, image=frame.image // n_crystals) for frame in kept],
            manifest={**self.manifest, **({"scale": scales[number]} if scales else {})},
            files=None,
        )

    @property
    def c_noise(self) -> list[float]:
        """The values of C, ascending."""
        return sorted({frame.c_noise for frame in self.frames})


def read_dataset(*, clean: str, noisy: str, manifest: str) -> DataSet:
    """Open the three files of a data set; images stay on disk until they are used."""
    images, about = read_images(clean), read_json(manifest)
    return DataSet(
        clean=images.data,
        noisy=read_images(noisy).data,
        frames=[Frame(**frame) for frame in about["frames"]],
        sampling=images.sampling,
        manifest=about,
        files={"clean": clean, "noisy": noisy, "manifest": manifest},
    )


def _opened(files: dict[str, str]) -> DataSet:
    return read_dataset(**files)


def evenly(items: Sequence, most: int) -> list:
    """Take all, or as many, evenly spread from first to last.

    Examples
    --------
    >>> evenly("abc", 5), evenly(range(100), 3)
    (['a', 'b', 'c'], [0, 50, 99])
    """
    places = np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)
    return [items[place] for place in places]


def frames(n_images: int, c_noise: Sequence[float]) -> list[Frame]:
    """List the frames of a data set: every image at every C.

    Examples
    --------
    >>> [(f.image, f.c_noise) for f in frames(2, [0.1, 0.2])]
    [(0, 0.1), (0, 0.2), (1, 0.1), (1, 0.2)]
    """
    pairs = [(image, c) for image in range(n_images) for c in c_noise]
    return [Frame(index, image, c) for index, (image, c) in enumerate(pairs)]


def noisy_frames(
    clean: np.ndarray,
    listed: Iterable[Frame],
    *,
    noise: str,
    split: str,
    seed: int,
    background_correlation: float,
    clip: bool,
    pedestal: float | Sequence[float] = 0.0,
) -> Iterator[np.ndarray]:
    """Yield the noisy frames one by one, each from a random stream of its own.

    Parameters
    ----------
    clean
        Normalised images, shape (n_images, x, y).
    listed
        The frames wanted.
    noise, background_correlation, clip, pedestal
        See `noise.corrupt`; several pedestals take turns among the images.
    split, seed
        Name the random streams.
    """
    pedestals = np.atleast_1d(pedestal).tolist()
    for frame in listed:
        yield corrupt(
            clean[frame.image],
            noise=noise,
            c_noise=frame.c_noise,
            rng=generator(seed, "noise", noise, split, frame.image, repr(frame.c_noise)),
            clip=clip,
            background_correlation=background_correlation,
            pedestal=pedestals[frame.image % len(pedestals)],
        )
        forget(clean)
