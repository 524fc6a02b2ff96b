"""Read micrographs: one plain description for all formats.

The formats of the microscopes through RosettaSciIO; NumPy's own, PNG and JPEG
directly. A file's content decides, its ending only where the content does not.
"""

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from temdenoise.errors import DataError
from temdenoise.micrographs import memory
from temdenoise.micrographs.units import sampling_in_angstrom

PLUGINS = {
    "dm3": "digitalmicrograph",
    "dm4": "digitalmicrograph",
    "emd": "emd",
    "ser": "tia",
    "mrc": "mrc",
    "tif": "tiff",
    "tiff": "tiff",
    "hspy": "hspy",
    "zspy": "zspy",
    "npy": None,
    "png": None,
    "jpg": None,
    "jpeg": None,
}
"""Endings that are read, and the plugin of RosettaSciIO that does it."""

SMALLEST = 32
"""Least side of an image [pixels]: less holds no lattice to judge."""

_NAMES = {
    "dm3": "Gatan DM3",
    "dm4": "Gatan DM4",
    "emd": "EMD",
    "ser": "TIA series",
    "mrc": "MRC",
    "tif": "TIFF",
    "hspy": "HyperSpy",
    "zspy": "HyperSpy (zarr)",
    "npy": "NumPy",
    "png": "PNG",
    "jpg": "JPEG",
    "hdf5": "HDF5",
}
_LUMINANCE = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Micrograph:
    """One image, stack or time series of a file.

    Attributes
    ----------
    path
        The file.
    label
        Which data set of the file this is; empty if there is one alone.
    data
        Shape (..., rows, columns), of the file's own type and in its own order.
    sampling
        Pixel size along rows and columns [Å]; None if the file does not say.
    axes
        Description of every axis: name, scale, offset, units, size.
    metadata
        What the reader says besides; empty for plain images.
    notes
        What the user should know about how it was read.
    """

    path: Path
    label: str
    data: np.ndarray
    sampling: tuple[float, float] | None
    axes: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> np.ndarray:
        """The images one after the other, shape (n, rows, columns)."""
        return self.data.reshape(-1, *self.data.shape[-2:])

    @property
    def name(self) -> str:
        """The file's name without its ending, with the label."""
        stem = self.path.name.removesuffix("".join(self.path.suffixes[-1:]))
        return stem + (f"_{self.label}" if self.label else "")


def read(path: str | Path) -> list[Micrograph]:
    """Read every image of a file.

    Parameters
    ----------
    path
        A file with an ending of `PLUGINS` (or, whatever its ending, with such a content).

    Returns
    -------
    list of Micrograph
        One, or several labelled 1, 2, ... if the file holds several data sets.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DataError
        If the file is empty, damaged, of an unknown format, or holds no image of
        real space.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; copy it again from the microscope")
    ending, notes = _format(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = _READERS.get(ending, _through_rosettasciio)(path, ending)
    except (DataError, MemoryError):
        raise
    except ModuleNotFoundError as error:
        raise DataError(
            f"{path}: reading {_NAMES[ending]} needs the package {error.name!r}, which is not "
            "installed: pip install it"
        ) from error
    # a damaged file makes the readers fail in every way there is
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path}: cannot be read as {_NAMES[ending]} ({reason}); it is truncated or damaged, "
            "or not what its ending says: copy or export it again"
        ) from error
    found, refused = [], []
    for number, entry in enumerate(raw, start=1):
        label = str(number) if len(raw) > 1 else ""
        try:
            found.append(_checked(path, label, entry, notes))
        except DataError as error:
            refused.append(str(error))
    if not found:
        raise DataError(f"{path}: {refused[0] if refused else 'holds no data'}")
    return found


def _checked(
    path: Path, label: str, entry: Mapping[str, Any], notes: tuple[str, ...]
) -> Micrograph:
    """Make a micrograph of what a reader gave, or refuse it."""
    data, axes = entry["data"], list(entry.get("axes", ()))
    plain = bool(entry.get("plain"))
    data, more = _grey(np.asanyarray(data), plain=plain)
    # colours are an axis the readers may or may not count
    axes = axes[: data.ndim]
    if data.dtype.kind not in "buif":
        raise DataError(
            f"holds values of type {data.dtype}: expected real numbers (integers or floats)"
        )
    if data.ndim >= 2:
        memory.require(*data.shape[-2:])
    if not 2 <= data.ndim <= 4:
        raise DataError(
            f"holds {data.ndim}-dimensional data of shape {data.shape}: expected an image "
            "(rows, columns), a stack of images, or a series of stacks"
        )
    sizes = None
    if len(axes) == data.ndim:
        sizes = [sampling_in_angstrom(a.get("scale"), a.get("units")) for a in axes[-2:]]
    if min(data.shape[-2:]) < SMALLEST:
        raise DataError(
            f"holds images of {data.shape[-2]} x {data.shape[-1]} pixels: expected sides of at "
            f"least {SMALLEST} pixels"
        )
    if data.size == 0:
        raise DataError(f"holds no image: its shape is {data.shape}")
    sampling = None if sizes is None or None in sizes else tuple(sizes)
    return Micrograph(
        path=path,
        label=label,
        data=data,
        sampling=sampling,
        axes=axes,
        metadata=entry.get("metadata", {}),
        notes=(*notes, *more),
    )


def _grey(data: np.ndarray, *, plain: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Take colours away where they say nothing; shape (..., rows, columns)."""
    if data.dtype.names:
        channels = [data[name] for name in data.dtype.names[:3]]
    elif plain and data.ndim == 3:
        channels = [data[..., i] for i in range(min(data.shape[-1], 3))]
        if data.shape[-1] == 2:  # grey with transparency
            channels = channels[:1]
    else:
        return data, ()
    first = channels[0].astype(int)
    # JPEG's own rounding makes grey channels differ by one or two steps
    if all(np.abs(first - c.astype(int)).max() <= 3 for c in channels[1:]):
        return np.ascontiguousarray(channels[0]), ()
    if not plain:
        raise DataError(
            "holds a colour (RGB) image: expected one number per pixel; export the data itself, "
            "not its display"
        )
    grey = np.stack(channels[:3], axis=-1) @ _LUMINANCE
    return grey, (
        "a colour picture made grey by luminance: if the colours were a colour scale, its "
        "brightness is not the signal",
    )


def _through_rosettasciio(path: Path, ending: str) -> list[dict[str, Any]]:
    if ending == "zspy":
        require_zarr(path)
    plugin = importlib.import_module(f"rsciio.{PLUGINS[ending]}")
    return plugin.file_reader(str(path))


def require_zarr(path: Path) -> None:
    """Raise a DataError if the zarr at hand is not the one RosettaSciIO can use."""
    try:
        version = metadata.version("zarr")
    except metadata.PackageNotFoundError:
        version = "none"
    if not version.startswith("2."):
        raise DataError(
            f"{path}: .zspy files need zarr 2 (found: {version}); pip install 'zarr<3' msgpack in "
            "an environment of its own, or save the data as .hspy"
        )


def _numpy(path: Path, _: str) -> list[dict[str, Any]]:
    return [{"data": np.load(path, mmap_mode="r", allow_pickle=False)}]


def _plain(path: Path, _: str) -> list[dict[str, Any]]:
    from PIL import Image

    # Pillow's own limit warns of pictures a microscope may well take
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        memory.require(image.height, image.width)
        if image.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
            image = image.convert("RGB")
        elif image.mode == "1":
            image = image.convert("L")
        return [{"data": np.asarray(image), "plain": True}]


def _tiff(path: Path, ending: str) -> list[dict[str, Any]]:
    """Also the TIFFs of this package, and resolution tags where they make sense."""
    import tifffile

    entries = _through_rosettasciio(path, ending)
    with tifffile.TiffFile(path) as tiff:
        if tiff.is_imagej:
            # the plugin knows micrometres alone; pixels per unit, columns first
            unit = tiff.imagej_metadata.get("unit")
            steps = [1 / r if r else 0 for r in reversed(tiff.pages[0].resolution)]
            for entry in entries:
                for axis, step in zip(entry["axes"][-2:], steps, strict=True):
                    axis.update(scale=step, units=axis["units"] or unit)
        own = dict((tiff.shaped_metadata or ({},))[0])
        page = tiff.pages[0]
        if len(entries) == 1 and "sampling" in own:
            for axis, size in zip(entries[0]["axes"][-2:], reversed(own["sampling"]), strict=True):
                axis.update(scale=size, units="angstrom")
        elif page.resolutionunit in (2, 3) and not tiff.is_imagej:
            # pixels per inch or cm are meant for printing, except where they come out atomic
            length = {2: 2.54e8, 3: 1e8}[int(page.resolutionunit)]
            sizes = [length / r if r else 0 for r in reversed(page.resolution)]
            if all(0.005 < size < 5 for size in sizes):
                for entry in entries:
                    for axis, size in zip(entry["axes"][-2:], sizes, strict=True):
                        if sampling_in_angstrom(axis["scale"], axis["units"]) is None:
                            axis.update(scale=size, units="angstrom")
    return entries


_READERS = {"npy": _numpy, "png": _plain, "jpg": _plain, "tif": _tiff}


def _format(path: Path) -> tuple[str, tuple[str, ...]]:
    """Tell the format from the content, then from the ending."""
    ending = path.suffix.lower().removeprefix(".")
    same = {"tiff": "tif", "jpeg": "jpg", "hdf5": "hspy"}
    said = same.get(ending, ending)
    seen = _by_content(path)
    if seen == "hdf5":
        # both are HDF5; the ending tells which, EMD where it does not
        seen = said if said in ("emd", "hspy") else "emd"
    if seen is None:
        if said not in PLUGINS:
            raise DataError(
                f"{path}: neither its content nor its ending {path.suffix!r} is one that can be "
                f"read ({', '.join(sorted(PLUGINS))}); export it as one of these"
            )
        if said in _SIGNATURE_NEEDED:
            raise DataError(
                f"{path}: not a {_NAMES[said]} file by its content, whatever its ending says; "
                "export it again, or give it its right ending"
            )
        return said, ()
    if seen == said or {seen, said} == {"dm3", "dm4"}:
        return seen, ()
    return seen, (f"read as {_NAMES[seen]} by its content, not as its ending {path.suffix!r} says",)


_SIGNATURE_NEEDED = {"dm3", "dm4", "emd", "ser", "tif", "hspy", "npy", "png", "jpg"}


def _by_content(path: Path) -> str | None:
    if path.is_dir():
        return "zspy" if path.suffix.lower() == ".zspy" else None
    with path.open("rb") as file:
        head = file.read(216)
    for start, name in (
        (b"II*\0", "tif"),
        (b"MM\0*", "tif"),
        (b"II+\0", "tif"),
        (b"MM\0+", "tif"),
        (b"\x89HDF\r\n", "hdf5"),
        (b"\x89PNG\r\n", "png"),
        (b"\xff\xd8\xff", "jpg"),
        (b"\x93NUMPY", "npy"),
        (b"\0\0\0\x03", "dm3"),
        (b"\0\0\0\x04", "dm4"),
        (b"II\x97\x01", "ser"),
    ):
        if head.startswith(start):
            return name
    if head[208:211] == b"MAP":
        return "mrc"
    return None
