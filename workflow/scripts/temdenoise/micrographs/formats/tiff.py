"""TIFF of microscopes, of ImageJ, OME and of this package: read by tifffile.

RosettaSciIO tells the pixel size of those microscopes that write it in tags of their own.
"""

import contextlib
import gc
import math
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.extras import install_hint
from temdenoise.foundation.files import atomic
from temdenoise.micrographs import memory
from temdenoise.micrographs.formats.base import (
    Content,
    Kind,
    Stored,
    Values,
    require_stored,
    unread,
)
from temdenoise.micrographs.formats.rosettasciio import LARGE
from temdenoise.micrographs.units import dimension

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

NAMES = {
    "Y": "height",
    "X": "width",
    "Z": "depth",
    "T": "time",
    "I": "image series",
    "C": "channel",
}
"""Names of axes by tifffile's letters."""

_FRAMES = {"name": "sample", "scale": 1.0, "offset": 0.0, "units": None, "navigate": True}


def read_tiff(path: Path) -> list[Content]:
    """Read all pages; those of one size and type are one signal."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        series = list(tiff.series)
        if not series:
            raise ValueError("it holds no page")
        for one in series:
            require_stored(one.shape, one.dtype, path.stat().st_size)
        entries = _described(path, series)
        axes = [_plain_axes(one) for one in series]
        for number, entry in enumerate(entries):
            if len(entry["axes"]) == len(axes[number]):
                axes[number] = [_renamed(axis) for axis in entry["axes"]]
        _calibrate(tiff, axes)
        shapes = [_size_of(one) for one in series]
        contents = []
        for number, one in enumerate(series):
            entry = entries[number] if entries else {}
            contents.append(
                _content(
                    path,
                    number,
                    one,
                    entry.get("data"),
                    axes=axes[number],
                    metadata=entry.get("metadata", {}),
                    kind=_copy_of_another(number, shapes, one.keyframe),
                )
            )
    return contents


def _described(path: Path, series: "list[TiffPageSeries]") -> list[dict[str, Any]]:
    """Read what RosettaSciIO knows of the makers of microscopes; nothing where it fails."""
    from rsciio.tiff import file_reader

    lazily = sum(one.nbytes for one in series) > LARGE
    entries: list[dict[str, Any]] = []
    with warnings.catch_warnings():
        # it leaves the file open where it fails or reads lazily
        warnings.simplefilter("ignore", ResourceWarning)
        # whatever it stumbles over, the pages themselves may well be readable
        with contextlib.suppress(Exception):
            entries = list(file_reader(str(path), lazy=lazily))
        if lazily or not entries:
            entries = [{**entry, "data": None} for entry in entries]
            gc.collect()
    return entries if len(entries) == len(series) else []


def _plain_axes(series: "TiffPageSeries") -> list[dict[str, Any]]:
    """Describe the axes by their letters, without those of colours."""
    return [
        {
            "name": NAMES.get(letter, letter),
            "size": size,
            "scale": 1.0,
            "offset": 0.0,
            "units": None,
            "navigate": letter not in "YX",
        }
        for letter, size in zip(series.axes, series.shape, strict=True)
        if letter != "S"
    ]


def _renamed(axis: dict[str, Any]) -> dict[str, Any]:
    """Give one of the plugin's alternatives for a channel, one of which is a wavelength."""
    return {**axis, "name": "channel"} if "channel" in str(axis.get("name")) else axis


def _calibrate(tiff: "TiffFile", axes: list[list[dict[str, Any]]]) -> None:
    """Put in the pixel sizes of ImageJ, OME, this package and the resolution tags."""
    page = tiff.pages[0]
    if tiff.is_imagej:
        # pixels per unit, columns first
        described = tiff.imagej_metadata or {}
        unit = described.get("unit")
        units = (described.get("yunit") or unit, unit)
        steps = [1 / r if r else 0 for r in reversed(page.resolution)]
        for ones in axes:
            for axis, step, known in zip(ones[-2:], steps, units, strict=True):
                axis.update(scale=step, units=axis["units"] or known)
    own = dict((tiff.shaped_metadata or ({},))[0])
    if len(axes) == 1 and "sampling" in own:
        for axis, size in zip(axes[0][-2:], reversed(own["sampling"]), strict=True):
            axis.update(scale=size, units="angstrom")
    elif tiff.is_ome:
        for ones, pixels in zip(axes, _pixels_of_ome(tiff), strict=False):
            for axis, name in zip(ones[-2:], ("Y", "X"), strict=True):
                size, unit = (pixels.get(f"PhysicalSize{name}{end}") for end in ("", "Unit"))
                if size is not None:
                    axis.update(scale=float(size), units=unit or "µm")
    elif page.resolutionunit in (2, 3) and not tiff.is_imagej:
        # pixels per inch or cm are meant for printing, except where they come out atomic
        length = {2: 2.54e8, 3: 1e8}[int(page.resolutionunit)]
        sizes = [length / r if r else 0 for r in reversed(page.resolution)]
        if all(0.005 < size < 5 for size in sizes):
            for ones in axes:
                for axis, size in zip(ones[-2:], sizes, strict=True):
                    if dimension(axis["units"]) == "none":
                        axis.update(scale=size, units="angstrom")


def _pixels_of_ome(tiff: "TiffFile") -> Iterator[dict[str, Any]]:
    from tifffile import xml2dict

    images = xml2dict(tiff.ome_metadata or "<OME/>").get("OME", {}).get("Image", [])
    for image in images if isinstance(images, list) else [images]:
        yield image.get("Pixels", {})


def _size_of(series: "TiffPageSeries") -> tuple[int, int, int]:
    """Rows, columns and bytes per value of the images of a series."""
    page = series.keyframe
    return page.imagelength, page.imagewidth, page.bitspersample // 8


def _copy_of_another(
    number: int, sizes: list[tuple[int, int, int]], page: "TiffPage"
) -> Kind | None:
    """Tell whether a series repeats another for display: smaller, or in fewer bits."""
    rows, columns, depth = sizes[number]
    for other, (more_rows, more_columns, more_depth) in enumerate(sizes):
        if other == number or depth > more_depth:
            continue
        same_form = abs(rows * more_columns - columns * more_rows) <= max(more_rows, more_columns)
        if same_form and (rows < more_rows or columns < more_columns):
            return Kind.THUMBNAIL
        if (rows, columns) == (more_rows, more_columns) and depth < more_depth:
            return Kind.DISPLAY
    return Kind.THUMBNAIL if page.is_reduced and len(sizes) > 1 else None


def _content(
    path: Path,
    number: int,
    series: "TiffPageSeries",
    known: Any,
    *,
    axes: list[dict[str, Any]],
    metadata: dict[str, Any],
    kind: Kind | None,
) -> Content:
    import tifffile

    page = series.keyframe
    title = page.tags.valueof("PageName", "")
    name = title if isinstance(title, str) else ""
    notes: list[str] = []
    if "S" in series.axes:
        grey = page.photometric in (
            tifffile.PHOTOMETRIC.MINISBLACK,
            tifffile.PHOTOMETRIC.MINISWHITE,
        )
        # a stack of three or four frames, as tifffile stores it unless it is told otherwise
        planes = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and series.ndim == 3
        if planes and not page.extrasamples and (page.is_shaped or series.dtype.itemsize > 1):
            notes.append("three planes of one page, red, green and blue, are taken as frames")
            return Content(
                _whole(path, series), axes=[_FRAMES, *axes], name=name, notes=tuple(notes)
            )
        if series.ndim != 3 and not grey:
            return Content(unread(series.shape, series.dtype), kind=kind or Kind.COLOUR, name=name)
        memory.require_bytes(2 * series.nbytes, "a page of several samples")
        data = np.moveaxis(_whole(path, series), series.axes.index("S"), -1)
        if not grey:
            return Content(data, axes=axes, name=name, kind=kind, colours=True)
        if page.extrasamples and (page.samplesperpixel == 2 or any(map(int, page.extrasamples))):
            # grey with opacity
            data = np.ascontiguousarray(data[..., 0])
        else:
            # pixels of many samples: a stack whose frames are on the last axis
            data = np.ascontiguousarray(np.moveaxis(data, -1, 0))
            axes = [_FRAMES, *axes]
            notes.append(f"its {len(data)} frames are samples of one page (the last axis)")
        values: Values = data
    elif isinstance(known, np.ndarray) and known.shape == series.shape and not known.dtype.names:
        values = known
    else:
        values = _values(path, number, series)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and page.bitspersample > 1:
        notes.append("stored with white as 0 (MinIsWhite); the values are taken as they are")
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not _grey_palette(page):
        notes.append("stored with a colour table; the numbers of the colours are taken as values")
    return Content(values, axes=axes, metadata=metadata, name=name, kind=kind, notes=tuple(notes))


def _values(path: Path, number: int, series: "TiffPageSeries") -> Values:
    """Give the values of a series; large ones stay in the file."""
    import tifffile

    if series.nbytes <= LARGE:
        return _whole(path, series)
    if series.dataoffset is not None:
        return tifffile.memmap(path, series=number, mode="r")
    return Stored(series.shape, series.dtype, _Images(path, number))


class _Images:
    """Reads one image of a series at a time; the file stays open meanwhile."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.series: TiffPageSeries | None = None

    def __call__(self, index: tuple[int, ...]) -> np.ndarray:
        import tifffile

        if self.series is None:
            tiff = tifffile.TiffFile(self.path)
            weakref.finalize(self, tiff.close)
            self.series = tiff.series[self.number]
        leading = self.series.shape[:-2]
        if len(self.series.pages) == math.prod(leading):
            page = self.series.pages[int(np.ravel_multi_index(index, leading)) if leading else 0]
            return _whole(self.path, page)
        return np.asarray(_whole(self.path, self.series)[index])


def _whole(path: Path, pages: Any) -> np.ndarray:
    """Decode a page or a series; a codec that is missing is named."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(pages.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        decoded = _by_pillow(path, pages)
        if decoded is not None:
            return decoded
        page = getattr(pages, "keyframe", pages)
        codec = getattr(page.compression, "name", page.compression)
        raise DataError(
            f"{path}: compressed with {codec}, which needs the package imagecodecs: "
            f"{install_hint('imagecodecs')}, or save the image without compression"
        ) from error


def _by_pillow(path: Path, pages: Any) -> np.ndarray | None:
    """Decode with Pillow, which knows LZW, JPEG and zstd; None if it gives other values."""
    import tifffile
    from PIL import Image

    page = getattr(pages, "keyframe", pages)
    if page.photometric != tifffile.PHOTOMETRIC.MINISBLACK or page.samplesperpixel != 1:
        return None
    decoded: list[np.ndarray] = []
    series = isinstance(pages, tifffile.TiffPageSeries)
    each: Any = pages.pages if series else [pages]
    with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(path) as picture:
        for one in each:
            picture.seek(one.index)
            decoded.append(np.asarray(picture))
    size = sum(image.size for image in decoded)
    if size != math.prod(pages.shape) or any(image.dtype != pages.dtype for image in decoded):
        return None
    return np.stack(decoded).reshape(pages.shape)


def _grey_palette(page: "TiffPage") -> bool:
    """Tell whether the colours of a table are greys that grow with the number."""
    colours = page.colormap
    if colours is None:
        return True
    red, green, blue = (channel.astype(int) for channel in colours)
    return bool((np.diff(red) >= 0).all() and np.ptp([red, green, blue], axis=0).max() <= 0x0100)


def write_tiff(path: Path, content: Content) -> None:
    """Write TIFF with the tags of ImageJ and of Gatan's programs, image by image."""
    import tifffile
    from rsciio.tiff._api import _get_tags_dict

    data = content.data
    described: Any = {"axes": content.axes, "metadata": content.metadata}
    tags = _get_tags_dict(described)
    scale = content.metadata["Signal"].get("Noise_properties")
    if scale:
        _add_scale(tags, **scale["Variance_linear_model"])
    images: Any = (np.ascontiguousarray(image) for image in data)
    if data.ndim == 2:
        images = np.asarray(data)
    with atomic(path) as temporary:
        tifffile.imwrite(
            temporary,
            images,
            shape=data.shape,
            dtype=data.dtype,
            photometric="minisblack",
            software="hyperspy",
            metadata=None,
            **tags,
        )


def _add_scale(tags: dict[str, Any], gain_factor: float, gain_offset: float) -> None:
    """Say how whole numbers stand for values, in ImageJ's words and in Gatan's tags."""
    extra = {tag[0]: tag for tag in tags["extratags"]}
    code, kind, count, text, once = extra[270]
    text += f"cf=0\nc0={gain_offset!r}\nc1={gain_factor!r}\nvunit=Intensity\n"
    extra[270] = (code, kind, count, text, once)
    # Gatan's origin is the number stored for zero
    extra[65024] = (65024, "d", 1, -gain_offset / gain_factor, False)
    tags["extratags"] = list(extra.values())
