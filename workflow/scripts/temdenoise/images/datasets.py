"""Data sets: normalised clean images, and noisy frames of each at every C."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import read_json, write_json
from temdenoise.foundation.seals import digest
from temdenoise.foundation.seeding import generator
from temdenoise.images.noise import PLAIN, NoiseOptions, corrupt
from temdenoise.images.storage import Images, forget, one_by_one, read_images, write_images

FILES = ("clean", "noisy", "manifest")
"""Files of a data set."""


@dataclass(frozen=True)
class IntensityScale:
    """The one affine scale of a data set: normalised = (density - offset) / range.

    Attributes
    ----------
    offset, range
        In the unit of the maps, e/Å² or fraction of the beam.
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


def intensity_scales(
    maps: Sequence[np.ndarray], n_crystals: int, *, white: float = 1.0
) -> list[IntensityScale]:
    """Choose the scale of every crystal, see `intensity_scale`.

    Parameters
    ----------
    maps
        The training maps; of each crystal alternately.
    n_crystals
        How many crystals there are.
    white
        See `intensity_scale`.
    """
    return [intensity_scale(maps[number::n_crystals], white=white) for number in range(n_crystals)]


@dataclass(frozen=True)
class NoisyFrame:
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
    frames: Sequence[NoisyFrame]
    sampling: tuple[float, float] = (1.0, 1.0)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.files is None:
            return super().__reduce_ex__(protocol)
        return _opened, (dict(self.files),)

    def at(self, c_noise: float) -> list[NoisyFrame]:
        """List the frames with one C."""
        return [frame for frame in self.frames if frame.c_noise == c_noise]

    def of_crystal(self, number: int, n_crystals: int) -> "DataSet":
        """Return the part with one crystal's images; the whole has them alternately."""
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


def read_dataset(*, clean: str, manifest: str, noisy: str | None = None) -> DataSet:
    """Open the files of a data set; images stay on disk until they are used.

    Scenes have no noisy frames: noise is made while training.
    """
    images, about = read_images(clean), read_json(manifest)
    files = {"clean": clean, "manifest": manifest} | ({} if noisy is None else {"noisy": noisy})
    none = np.empty((0, *images.data.shape[1:]), np.float32)
    return DataSet(
        clean=images.data,
        noisy=none if noisy is None else read_images(noisy).data,
        frames=[NoisyFrame(**frame) for frame in about["frames"]],
        sampling=images.sampling,
        manifest=about,
        files=files,
    )


def read_split(files: Mapping[str, str], name: str) -> DataSet:
    """Open the data set among the files of a job, whose names there begin with its own.

    Parameters
    ----------
    files
        With ``{name}_clean``, ``{name}_noisy`` and ``{name}_manifest``.
    name
        Of the split or the noise.
    """
    return read_dataset(**{kind: files[f"{name}_{kind}"] for kind in FILES})


def _opened(files: dict[str, str]) -> DataSet:
    return read_dataset(**files)


def frames(n_images: int, c_noise: Sequence[float]) -> list[NoisyFrame]:
    """List the frames of a data set: every image at every C.

    Examples
    --------
    >>> [(f.image, f.c_noise) for f in frames(2, [0.1, 0.2])]
    [(0, 0.1), (0, 0.2), (1, 0.1), (1, 0.2)]
    """
    pairs = [(image, c) for image in range(n_images) for c in c_noise]
    return [NoisyFrame(index, image, c) for index, (image, c) in enumerate(pairs)]


def noisy_frames(
    clean: np.ndarray,
    listed: Iterable[NoisyFrame],
    *,
    noise: str,
    split: str,
    seed: int,
    options: Sequence[NoiseOptions] = (PLAIN,),
) -> Iterator[np.ndarray]:
    """Yield the noisy frames one by one, each from a random stream of its own.

    Parameters
    ----------
    clean
        Normalised images, shape (n_images, x, y).
    listed
        The frames wanted.
    noise
        A key of `noise.NOISES`.
    split, seed
        Name the random streams.
    options
        See `noise.corrupt`; of each crystal, of which the images are alternately.
    """
    for frame in listed:
        yield corrupt(
            clean[frame.image],
            noise=noise,
            c_noise=frame.c_noise,
            rng=generator(seed, "noise", noise, split, frame.image, repr(frame.c_noise)),
            options=options[frame.image % len(options)],
        )
        forget(clean)


@dataclass(frozen=True)
class DataSetPlan:
    """What a data set is made of.

    Attributes
    ----------
    noise
        A key of `noise.NOISES`.
    split
        train, val or test.
    seed
        Of the run.
    c_noise
        The values of C every image is stored with.
    background_correlation, clip
        See `noise.NoiseOptions`.
    """

    noise: str
    split: str
    seed: int
    c_noise: Sequence[float]
    background_correlation: float
    clip: bool


def write_dataset(
    images: Images,
    scales: Sequence[IntensityScale],
    plan: DataSetPlan,
    *,
    structures: Sequence[str],
    files: Mapping[str, str],
) -> DataSet:
    """Normalise images, make their noisy frames, and write both with a manifest.

    Parameters
    ----------
    images
        Shape (n_images, x, y); of each crystal alternately.
    scales
        Of the crystals.
    plan
        Which noise, of which strength.
    structures
        Names of the structures the images are made of, for the manifest.
    files
        Where to, by the names of `FILES`.

    Returns
    -------
    DataSet
        What was written.
    """
    shape, n_crystals = images.data.shape, len(scales)
    about: dict[str, Any] = {"sampling": images.sampling, "unit": "1", "scale": asdict(scales[0])}
    write_images(
        files["clean"],
        (
            scales[number % n_crystals].normalise(image)
            for number, image in enumerate(one_by_one(images.data))
        ),
        shape=shape,
        quantity=f"normalised {images.quantity}",
        **about,
    )
    listed = frames(shape[0], plan.c_noise)
    write_images(
        files["noisy"],
        noisy_frames(
            read_images(files["clean"]).data,
            listed,
            noise=plan.noise,
            split=plan.split,
            seed=plan.seed,
            options=[
                NoiseOptions(plan.background_correlation, scale.pedestal, plan.clip)
                for scale in scales
            ],
        ),
        shape=(len(listed), *shape[1:]),
        quantity=f"normalised {images.quantity} with {plan.noise} noise",
        **about,
    )
    write_json(
        files["manifest"],
        {
            **_manifest(plan, images.sampling, scales, structures, unit=images.unit),
            "noise": plan.noise,
            "sha256": {name: digest(files[name]) for name in ("clean", "noisy")},
            "frames": [asdict(frame) for frame in listed],
        },
    )
    return read_dataset(**{name: files[name] for name in FILES})


class DrawnScenes(Protocol):
    """What `write_scenes` writes: see `learning.scenes.Scenes`."""

    size: int
    unlike: Sequence[float]
    model: Any

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[np.ndarray]: ...


def write_scenes(
    scenes: DrawnScenes,
    scales: Sequence[IntensityScale],
    plan: DataSetPlan,
    *,
    clean: str,
    manifest: str,
) -> DataSet:
    """Draw scenes, normalise them and write them with a manifest: a data set without noisy frames.

    Parameters
    ----------
    scenes
        Of each crystal alternately.
    scales
        Of the crystals.
    plan
        Its noise and values of C do not count.
    clean, manifest
        Where to.

    Returns
    -------
    DataSet
        What was written.
    """
    sampling, about = (scenes.model.sampling,) * 2, scenes.model.about
    write_images(
        clean,
        (scales[number % len(scales)].normalise(image) for number, image in enumerate(scenes)),
        shape=(len(scenes), scenes.size, scenes.size),
        sampling=sampling,
        quantity=f"normalised {about['quantity']}, learned",
        unit="1",
        scale=asdict(scales[0]),
    )
    write_json(
        manifest,
        {
            **_manifest(plan, sampling, scales, about["structures"], unit=about["unit"]),
            "unlike": [round(part, 6) for part in scenes.unlike],
            "sha256": {"clean": digest(clean)},
            "frames": [],
        },
    )
    return read_dataset(clean=clean, manifest=manifest)


def _manifest(
    plan: DataSetPlan,
    sampling: tuple[float, float],
    scales: Sequence[IntensityScale],
    structures: Sequence[str],
    *,
    unit: str,
) -> dict[str, Any]:
    """Say what every data set says of itself."""
    return {
        "split": plan.split,
        "seed": plan.seed,
        "background_correlation": plan.background_correlation,
        "clip": plan.clip,
        "structures": list(structures),
        "sampling_angstrom": sampling,
        "scale": asdict(scales[0]) | {"unit": unit},
        **({"scales": list(map(asdict, scales))} if len(scales) > 1 else {}),
    }
