"""Other people's programs, run as a method that denoises."""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from temdenoise.foundation.errors import ConfigurationError, DataError

PLACEHOLDERS = ("{input}", "{output}")
"""What stands for the two files in a command."""

SUFFIXES = (".tif", ".tiff", ".npy")
"""Formats that are read."""

LAST_LINES = 8
"""Lines of what a failed program wrote that are shown."""


@dataclass(frozen=True)
class Program:
    """A program that reads a noisy image from one file and writes a denoised one to another.

    Attributes
    ----------
    command
        The command line, with ``{input}`` and ``{output}`` in place of the two files. It is split
        as a shell would, but no shell runs it: pipes and variables mean nothing.
    name
        What the tables call it.
    suffix
        Ending of the output file, one of `SUFFIXES`; the input is a float32 TIFF.
    rescale
        Whether to fit what it returns to the noisy image by one gain and one offset (least
        squares). Many programs return 0 to 1 or 8 bits, which is no fault of their denoising.
        The gain is never negative: inverted contrast stays a fault. For a program that keeps
        intensities it makes small differences only; an image that has nothing of the noisy one
        in it becomes nearly flat.
    timeout
        Longest time for one image [s]; None: any.

    Raises
    ------
    ConfigurationError
        If the command cannot be split or lacks a placeholder, the suffix is not read, or the
        timeout is not above 0.

    Examples
    --------
    >>> Program("cp {input} {output}", "copy").denoise(np.eye(3))[0].round(3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    command: str
    name: str
    suffix: str = ".tif"
    rescale: bool = True
    timeout: float | None = None

    def __post_init__(self) -> None:
        about = f"command of {self.name}: {self.command!r}"
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ConfigurationError(f"{about}: {error}; check its quotation marks") from error
        for placeholder in PLACEHOLDERS:
            if not any(placeholder in word for word in words):
                raise ConfigurationError(
                    f"{about} lacks {placeholder}; write it where the program expects the file, "
                    "as in: denoiser {input} --out {output}"
                )
        if self.suffix not in SUFFIXES:
            raise ConfigurationError(
                f"{about}: suffix = {self.suffix!r}: expected one of {', '.join(SUFFIXES)}"
            )
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigurationError(
                f"{about}: timeout = {self.timeout!r}: expected seconds above 0, or none"
            )

    def denoise(self, noisy: np.ndarray) -> tuple[np.ndarray, None]:
        """Denoise an image.

        In the files rows run along y and columns along x, as in every TIFF of the workflow.

        Parameters
        ----------
        noisy
            Shape (x, y), finite.

        Returns
        -------
        image : numpy.ndarray
            float64, shape (x, y), intensities as in `noisy`.
        sigma : None
            Programs give no error.

        Raises
        ------
        ConfigurationError
            If the program cannot be started.
        DataError
            If it fails, takes too long, or writes no image of this shape with finite values.
        """
        with tempfile.TemporaryDirectory(prefix="temdenoise-") as folder:
            given, wanted = Path(folder) / "input.tif", Path(folder) / f"output{self.suffix}"
            tifffile.imwrite(
                given, np.ascontiguousarray(noisy.T, np.float32), photometric="minisblack"
            )
            files = dict(zip(PLACEHOLDERS, (str(given), str(wanted)), strict=True))
            self._run([_filled(word, files) for word in shlex.split(self.command)])
            denoised = self._checked(wanted, noisy.T.shape).T
        return (matched(denoised, noisy) if self.rescale else denoised), None

    def denoise_frame(self, image: np.ndarray) -> np.ndarray:
        """Denoise a frame of a microscope, whose rows are rows of the files.

        Parameters
        ----------
        image
            Shape (rows, columns), finite.

        Returns
        -------
        numpy.ndarray
            float64, of the same shape; errors are those of `denoise`.
        """
        return self.denoise(np.asarray(image).T)[0].T

    def _run(self, words: list[str]) -> None:
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # in a session of its own, so that what it started ends with it
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(
                f"{self._about(words)}: cannot be started ({error.strerror}); give the full path "
                "of the program and check that it may be executed"
            ) from error
        with process:
            try:
                said, complaint = process.communicate(timeout=self.timeout)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise DataError(
                    f"{self._about(words)}: not done after {self.timeout:g} s; "
                    "allow it more time, or give it a smaller image"
                ) from error
        if process.returncode != 0:
            last = "\n".join((complaint.strip() or said.strip()).splitlines()[-LAST_LINES:])
            raise DataError(
                f"{self._about(words)}: failed with exit code {process.returncode}; run it by hand "
                f"on a TIFF to see why. Its last lines:\n{last or '(it wrote nothing)'}"
            )

    def _checked(self, path: Path, shape: tuple[int, ...]) -> np.ndarray:
        """Read what the program wrote, float64."""
        about = self._about(shlex.split(self.command))
        if not path.is_file():
            raise DataError(
                f"{about}: ended without an error, but wrote no {path.name}; look at the option by "
                "which it takes the name of its output, and at its ending (`suffix`)"
            )
        try:
            image = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _read(path)
            image = np.squeeze(np.asarray(image)).astype(np.float64)
        except (OSError, ValueError, TypeError, tifffile.TiffFileError) as error:
            raise DataError(
                f"{about}: {path.name} cannot be read ({error}); "
                f"expected a file of the kind {self.suffix} that holds one image"
            ) from error
        if image.shape != shape:
            raise DataError(
                f"{about}: returned an image of shape {image.shape}, expected {shape} (rows, "
                "columns); switch off what cuts, pads, resamples or colours its output"
            )
        if not np.isfinite(image).all():
            raise DataError(
                f"{about}: {np.count_nonzero(~np.isfinite(image))} of {image.size} pixels of its "
                "output are not finite; its input is an image of float32 of about 0 to 1"
            )
        return image

    def _about(self, words: list[str]) -> str:
        return f"{self.name} ({shlex.join(words)})"


def _filled(word: str, files: dict[str, str]) -> str:
    for placeholder, path in files.items():
        word = word.replace(placeholder, path)
    return word


def _read(path: Path) -> np.ndarray:
    image: np.ndarray = tifffile.imread(path)
    return image


def gain_of(denoised: np.ndarray, noisy: np.ndarray) -> float:
    """Give the gain that fits an image to another by least squares, with a free offset.

    Parameters
    ----------
    denoised, noisy
        Of one shape, finite.

    Returns
    -------
    float
        Below 0 for inverted contrast; 0 for a constant image.
    """
    centred = denoised - denoised.mean()
    power = float((centred**2).sum())
    return float((centred * noisy).sum()) / power if power > 0 else 0.0


def matched(denoised: np.ndarray, noisy: np.ndarray) -> np.ndarray:
    """Fit gain, 0 at least, and offset of an image to another by least squares."""
    gain = max(gain_of(denoised, noisy), 0.0)
    fitted: np.ndarray = noisy.mean() + gain * (denoised - denoised.mean())
    return fitted


OFFSET = 0.05
"""Difference of the means over the noisy image's standard deviation, below which they are alike."""


def keeps_intensities(denoised: np.ndarray, noisy: np.ndarray) -> bool:
    """Tell whether a denoised image has the intensities of the noisy one already.

    That is so if the means agree, and the contrast is not above what least squares give it: a
    method may weaken the contrast, and what follows the noise seems weaker than it is. Where the
    mean is near 0 it tells nothing, and the contrast must agree within a factor of two.
    """
    spread, mean = float(noisy.std()), float(noisy.mean())
    gain = gain_of(denoised, noisy)
    alike = abs(float(denoised.mean()) - mean) < OFFSET * spread and gain >= 1 - 1e-6
    return bool(alike and (abs(mean) > spread or gain <= 2))


def named_program(text: str) -> Program:
    """Read ``NAME=COMMAND``; without a name it is called after its first word.

    Examples
    --------
    >>> named_program("copy=cp {input} {output}").name
    'copy'
    >>> named_program("/usr/bin/cp {input} {output}").name
    'cp'
    """
    name, sign, command = text.partition("=")
    if sign and name.replace("_", "").replace("-", "").isalnum():
        return Program(command, name)
    return Program(text, Path(text.split()[0]).name if text.split() else "program")
