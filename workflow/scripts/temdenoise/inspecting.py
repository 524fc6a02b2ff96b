"""What a file holds and what would be done with it; nothing is denoised or written."""

from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelRange, PixelSize
from temdenoise.micrographs.frame import analyse, first_look, mode_of
from temdenoise.micrographs.index import index
from temdenoise.micrographs.signals import Signal, signals
from temdenoise.micrographs.units import require_resolving

LARGEST = 4096
"""Side of the middle of an image that is looked at [pixels]."""


def inspect(path: Path) -> list[dict[str, Any]]:
    """Describe every signal of a file, and the first frame of every image.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    list of dict
        One per signal: what `Signal.as_dict` says, ``text`` in words, and of an image
        ``frame``: ``pixels`` (what was looked at: the middle of an image with sides above
        `LARGEST`), ``noise`` (kinds), ``noise_over_contrast``, ``ring_angstrom``, ``mode``,
        ``model`` (the pretrained one that would be taken), and ``against`` (what stands
        against it). What needs the pixel size is None without one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file cannot be read.
    """
    return [
        signal.as_dict()
        | {"text": signal.describe(), "frame": None if signal.left_out else _first_frame(signal)}
        for signal in signals(path)
    ]


def _first_frame(signal: Signal) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        ("pixels", "noise", "noise_over_contrast", "ring_angstrom", "mode", "model")
    )
    sampling = signal.sampling
    if sampling is None:
        return found | {"against": ["no pixel size: give it with --sampling, or name the crystal"]}
    try:
        require_resolving(sampling)
        data = signal.content.data
        recorded = _middle(np.asarray(data[(0,) * (len(signal.shape) - 2)]))
        offset, first = first_look(recorded)
        if offset:
            recorded = recorded.astype(np.float64) - offset
        frame = analyse(recorded, sampling=sampling)
    except DataError as error:
        return found | {"against": [str(error)]}
    mode = mode_of(first, sampling)
    ratio = frame.level.over_contrast if frame.level.contrast > 0 else None
    model, against = _model(mode.name, sampling)
    if not frame.noise.white:
        against.append("the noise is not white, which the models know alone")
    if ratio is None:
        against.append("no lattice is seen")
    if frame.no_data.text:
        against.append(frame.no_data.text)
    return {
        "pixels": list(recorded.shape),
        "noise": list(frame.noise.kinds),
        "noise_over_contrast": ratio,
        "ring_angstrom": frame.ring and frame.ring.spacing,
        "mode": mode.name,
        "model": model,
        "against": against,
    }


def _middle(image: np.ndarray) -> np.ndarray:
    """Give the middle of an image that would take long to look at."""
    return image[tuple(slice(cut := max(n - LARGEST, 0) // 2, cut + LARGEST) for n in image.shape)]


def _model(mode: str, sampling: PixelSize) -> tuple[str | None, list[str]]:
    """Name the pretrained model for an image, and what of the image it does not know."""
    listed = {name: entry for name, entry in index().items() if entry["kind"] == mode}
    if not listed:
        return None, [f"no pretrained model knows images of the mode {mode}"]
    name, entry = next(iter(listed.items()))
    pixels, against = PixelRange(*entry["sampling_angstrom"]), []
    if not pixels.finest * 0.99 <= sampling.side <= pixels.coarsest * 1.01:
        against.append(
            f"pixels of {sampling.side:.3f} Å, the model knows {pixels.finest:.3f} to "
            f"{pixels.coarsest:.3f} Å: they will be resampled"
        )
    return name, against


def lines(described: dict[str, Any]) -> list[str]:
    """Say what was found about one signal, for people."""
    told = [described["text"], *(f"  note: {note}" for note in described["notes"])]
    frame = described["frame"]
    if frame is None:
        return told
    if frame["noise"]:
        if frame["pixels"] != described["shape"][-2:]:
            rows, columns = frame["pixels"]
            told.append(f"  looked at: its middle, {rows} x {columns} pixels")
        ratio = frame["noise_over_contrast"]
        strength = f"{ratio:.1f} times the lattice's contrast" if ratio else "no lattice seen"
        told.append(f"  noise: {', '.join(frame['noise'])}; {strength}")
        if frame["ring_angstrom"]:
            told.append(f"  lattice: first ring at {frame['ring_angstrom']:.3f} Å")
        told.append(f"  looks like {frame['mode']}; model: {frame['model'] or 'none'}")
    return told + [f"  against it: {text}" for text in frame["against"]]
