"""HyperSpy signals of images: their arrays and pixel sizes, and signals made like them.

HyperSpy itself is not imported.
"""

from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.quantities import PixelSize
from temdenoise.micrographs.stack import Result
from temdenoise.micrographs.units import sampling_in_angstrom


def check_images(signal: Any) -> None:
    """Refuse a signal that does not hold images.

    Raises
    ------
    DataError
        If it has not two signal axes.
    """
    axes = signal.axes_manager.signal_axes
    if len(axes) != 2:
        raise DataError(
            f"the signal has {len(axes)} signal axes, expected the 2 of an image; "
            "see signal.as_signal2D or signal.transpose"
        )


def pixel_size_of(signal: Any) -> PixelSize:
    """Return the pixel size of a signal [Å].

    Raises
    ------
    DataError
        If it has none, or one of reciprocal space.
    """
    # HyperSpy counts columns first; a unit that is not set is a special value in it
    columns, rows = (
        sampling_in_angstrom(axis.scale, axis.units if isinstance(axis.units, str) else None)
        for axis in signal.axes_manager.signal_axes
    )
    if rows is None or columns is None:
        raise DataError(
            "the signal has no pixel size; set scale and units of both its signal axes, e.g. "
            "signal.axes_manager[-1].units = 'nm'"
        )
    return PixelSize(rows, columns)


def signals_like(signal: Any, result: Result) -> tuple[Any, Any]:
    """Make signals of a result, with axes and metadata of the input: image and sigma.

    ``metadata.Denoising`` holds for each frame the ``verdict`` in words, and the part of
    the variance that the network and the best Gaussian explain of data held out (``network``,
    ``gaussian``; -1 where it could not be told).
    """
    about = {"Denoising": _verdicts(result)}
    image = signal_with(signal, result.denoised, "denoised")
    sigma = signal_with(signal, result.sigma, "sigma")
    for made in (image, sigma):
        made.metadata.add_dictionary(about)
    return image, sigma


def signal_with(signal: Any, data: Any, what: str) -> Any:
    """Make a signal like another one, of other data and with a title that says what they are."""
    made = signal._deepcopy_with_new_data(data)
    made.metadata.General.title = f"{signal.metadata.General.title} ({what})".strip()
    return made


def _verdicts(result: Result) -> dict[str, list[Any]]:
    """Return the verdicts in a form every format of HyperSpy stores; broken frames in place."""
    found = {numbers["frame"]: numbers for numbers in result.numbers}
    verdicts: dict[str, list[Any]] = {"verdict": [], "network": [], "gaussian": []}
    for frame in range(1, len(found) + len(result.broken) + 1):
        numbers = found.get(frame)
        score = (numbers and numbers["score"]) or {"network": -1.0, "gaussian": -1.0}
        text = numbers["verdict"]["headline"] if numbers else result.broken[frame]
        verdicts["verdict"].append(text)
        for key in ("network", "gaussian"):
            verdicts[key].append(-1.0 if score[key] is None else score[key])
    return verdicts
