"""The formats of files that are read, and some written: one table.

A further format is one entry of `FORMATS` and the module that reads it. Nothing heavy is
imported before a file is read.
"""

from pathlib import Path

from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.formats import (
    arrays,
    hdf5,
    mrc,
    pictures,
    rosettasciio,
    tia,
    tiff,
    zarr,
)
from temdenoise.micrographs.formats.base import Content, Format, Kind, Stored, Values

__all__ = [
    "ENDINGS",
    "FORMATS",
    "Content",
    "Format",
    "Kind",
    "Stored",
    "Values",
    "recognise",
    "written_as",
]

_HDF5 = ((0, b"\x89HDF\r\n"),)

FORMATS: tuple[Format, ...] = (
    Format(
        name="tif",
        title="TIFF",
        endings=("tif", "tiff", "btf", "tf8"),
        signatures=tuple((0, text) for text in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
        read=tiff.read_tiff,
        write=tiff.write_tiff,
    ),
    Format(
        name="velox",
        title="EMD of Velox",
        endings=("emd",),
        signatures=_HDF5,
        claims=hdf5.is_velox,
        read=hdf5.read_velox,
    ),
    Format(
        name="hspy",
        title="HyperSpy",
        endings=("hspy", "hdf5"),
        signatures=_HDF5,
        claims=hdf5.is_hyperspy,
        read=hdf5.read_hspy,
        write=hdf5.write_hspy,
    ),
    Format(
        name="emd",
        title="EMD",
        endings=("emd", "h5"),
        signatures=_HDF5,
        claims=hdf5.is_ncem,
        read=hdf5.read_ncem,
        write=hdf5.write_emd,
    ),
    Format(
        name="nexus",
        title="NeXus",
        endings=("nxs", "h5", "hdf5", "nexus"),
        signatures=_HDF5,
        claims=hdf5.is_nexus,
        read=hdf5.read_nexus,
    ),
    Format(
        name="delmic",
        title="HDF5 of Delmic's Odemis",
        endings=("h5",),
        signatures=_HDF5,
        claims=hdf5.is_delmic,
        read=hdf5.read_delmic,
    ),
    Format(
        name="hdf5",
        title="HDF5",
        endings=("h5", "hdf5", "hdf", "he5"),
        signatures=_HDF5,
        read=hdf5.read_other,
    ),
    Format(
        name="png",
        title="PNG",
        endings=("png",),
        signatures=((0, b"\x89PNG\r\n"),),
        read=pictures.read_picture,
    ),
    Format(
        name="jpg",
        title="JPEG",
        endings=("jpg", "jpeg"),
        signatures=((0, b"\xff\xd8\xff"),),
        read=pictures.read_picture,
    ),
    Format(
        name="npy",
        title="NumPy",
        endings=("npy",),
        signatures=((0, b"\x93NUMPY"),),
        read=arrays.read_npy,
        write=arrays.write_npy,
    ),
    Format(
        name="npz",
        title="NumPy's archive",
        endings=("npz",),
        signatures=((0, b"PK\x03\x04"),),
        claims=arrays.is_npz,
        read=arrays.read_npz,
    ),
    Format(
        name="dm",
        title="Gatan DM3 or DM4",
        endings=("dm3", "dm4"),
        signatures=((0, b"\0\0\0\x03"), (0, b"\0\0\0\x04")),
        read=rosettasciio.read_gatan,
    ),
    Format(
        name="ser",
        title="TIA series",
        endings=("ser",),
        signatures=((0, b"II\x97\x01"),),
        read=tia.read_ser,
    ),
    Format(
        name="emi",
        title="description of TIA series",
        endings=("emi",),
        signature_needed=False,
        read=tia.read_emi,
    ),
    Format(
        name="mrc",
        title="MRC",
        endings=("mrc", "mrcs", "map", "rec", "st", "ali", "ccp4"),
        signatures=((208, b"MAP"),),
        signature_needed=False,
        read=mrc.read_mrc,
        write=mrc.write_mrc,
    ),
    Format(
        name="zspy",
        title="HyperSpy (zarr)",
        endings=("zspy",),
        folder=True,
        claims=zarr.is_hyperspy,
        signature_needed=False,
        read=zarr.read_zspy,
        write=zarr.write_zspy,
    ),
    Format(
        name="zarr",
        title="Zarr",
        endings=("zarr",),
        folder=True,
        claims=zarr.is_zarr,
        signature_needed=False,
        read=zarr.read_other,
    ),
)
"""All formats; of several with one signature the first that claims the file is taken."""

ENDINGS = tuple(sorted({ending for entry in FORMATS for ending in entry.endings}))
"""Endings of file names that are read, without the dot."""

_HEAD = 1024

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd"}


def recognise(path: Path) -> tuple[Format, tuple[str, ...]]:
    """Tell the format of a file from its content, then from its ending.

    Parameters
    ----------
    path
        An existing file or folder.

    Returns
    -------
    Format, tuple of str
        The format, and what the user should know about the choice.

    Raises
    ------
    DataError
        If the file is in none of the formats.
    """
    ending = path.suffix.lower().removeprefix(".")
    folder = path.is_dir()
    head = b""
    if not folder:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    if head.startswith(_HDF5[0][1]):
        hdf5.require_sound(path)
    possible = [entry for entry in FORMATS if entry.folder == folder]
    for entry in possible:
        if (folder or entry.signed(head)) and (entry.claims is None or entry.claims(path)):
            if ending in entry.endings:
                return entry, ()
            said = f"read as {entry.title} by its content, not as its ending {path.suffix!r} says"
            return entry, (said,)
    named = [entry for entry in possible if ending in entry.endings]
    if named and not named[0].signature_needed:
        return named[0], ()
    if folder:
        raise DataError(f"{path}: a folder: expected a file; name its images, {path}/*")
    for start, program in _PACKED.items():
        if head.startswith(start):
            raise DataError(f"{path}: packed with {program}: unpack it first")
    if named:
        raise DataError(
            f"{path}: not a {named[0].title} file by its content, whatever its ending says; "
            "export it again, or give it its right ending"
        )
    raise DataError(
        f"{path}: neither its content nor its ending {path.suffix!r} is one that can be "
        f"read ({', '.join(ENDINGS)}); {_remedy(ending)}"
    )


def _remedy(ending: str) -> str:
    """Tell what helps with a format that is not read here, but perhaps by HyperSpy."""
    from rsciio import IO_PLUGINS

    for plugin in IO_PLUGINS:
        if ending in (known.lower() for known in plugin["file_extensions"]):
            return (
                f"HyperSpy reads this ending as {plugin['name']}: open it there, and save the "
                "image in it as .hspy"
            )
    return "export it as one of these"


def written_as(path: Path) -> Format | None:
    """Give the format in which a file of that ending can be written; None if in none."""
    ending = path.suffix.lower().removeprefix(".")
    for entry in FORMATS:
        if entry.write is not None and ending == entry.endings[0]:
            return entry
    return None
