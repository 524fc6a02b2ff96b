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
from temdenoise.micrographs.formats.base import (
    Content,
    Format,
    Kind,
    Stored,
    Values,
    each_image,
    quiet,
    require_stored,
)

__all__ = [
    "ENDINGS",
    "FORMATS",
    "Content",
    "Format",
    "Kind",
    "Stored",
    "Values",
    "each_image",
    "quiet",
    "recognise",
    "reference_table",
    "require_stored",
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
        library="tifffile (RosettaSciIO for the tags of microscopes)",
        reads="images and stacks: pages, or planes or samples of a page; ImageJ, OME, JEOL,"
        " BigTIFF; tiles; integers of 1 to 64 bits, floats of 16 to 64; deflate, "
        "LZMA, packbits, LZW, zstd, JPEG, and with the extra `codecs` JPEG 2000, LERC"
        " and more",
        pixel_size="ImageJ, OME, tags of JEOL, FEI, Zeiss, Olympus, TVIPS, Gatan; the resolution"
        " where it is atomic",
        refuses="colours: export the data, not the display; thumbnails and copies for display"
        " are left out",
    ),
    Format(
        name="velox",
        title="EMD of Velox",
        endings=("emd",),
        signatures=_HDF5,
        claims=hdf5.is_velox,
        read=hdf5.read_velox,
        library="RosettaSciIO",
        reads="images and series of detectors",
        pixel_size="stored",
        refuses="spectra, spectrum images, element maps and Fourier transforms are left out",
    ),
    Format(
        name="hspy",
        title="HyperSpy",
        endings=("hspy", "hdf5"),
        signatures=_HDF5,
        claims=hdf5.is_hyperspy,
        read=hdf5.read_hspy,
        write=hdf5.write_hspy,
        library="RosettaSciIO",
        reads="images, stacks and series of stacks, axes in any order",
        pixel_size="by the axes",
        refuses="spectra, 4-D data, diffraction patterns: they are named",
    ),
    Format(
        name="emd",
        title="EMD",
        endings=("emd", "h5"),
        signatures=_HDF5,
        claims=hdf5.is_ncem,
        read=hdf5.read_ncem,
        write=hdf5.write_emd,
        library="RosettaSciIO",
        reads="images and stacks, of Prismatic and openNCEM, too",
        pixel_size="by the axes (`n_m` and the like)",
        refuses="4-D data, diffraction patterns: they are named",
    ),
    Format(
        name="nexus",
        title="NeXus",
        endings=("nxs", "h5", "hdf5", "nexus"),
        signatures=_HDF5,
        claims=hdf5.is_nexus,
        read=hdf5.read_nexus,
        library="RosettaSciIO",
        reads="NXdata of two axes or more",
        pixel_size="by the axes",
        refuses="spectra and diffraction patterns: they are named",
    ),
    Format(
        name="delmic",
        title="HDF5 of Delmic's Odemis",
        endings=("h5",),
        signatures=_HDF5,
        claims=hdf5.is_delmic,
        read=hdf5.read_delmic,
        library="RosettaSciIO",
        reads="images of electrons",
        pixel_size="stored",
        refuses="spectra of light are left out",
    ),
    Format(
        name="hdf5",
        title="HDF5",
        endings=("h5", "hdf5", "hdf", "he5"),
        signatures=_HDF5,
        read=hdf5.read_other,
        library="h5py",
        reads="every data set of two axes or more, named by its path",
        pixel_size="none: `--sampling`",
        refuses="complex values; files without such a data set (Imaris, Horiba, EDAX, ...): "
        "export TIFF or `.hspy`",
    ),
    Format(
        name="png",
        title="PNG",
        endings=("png",),
        signatures=((0, b"\x89PNG\r\n"),),
        read=pictures.read_picture,
        library="Pillow",
        reads="grey of 1, 8 and 16 bits; colours made grey, which is said",
        pixel_size="none: `--sampling`",
        refuses="nothing; the data themselves are better",
    ),
    Format(
        name="jpg",
        title="JPEG",
        endings=("jpg", "jpeg"),
        signatures=((0, b"\xff\xd8\xff"),),
        read=pictures.read_picture,
        library="Pillow",
        reads="grey of 8 bits; colours made grey, which is said",
        pixel_size="none: `--sampling`",
        refuses="nothing; the data themselves are better",
    ),
    Format(
        name="npy",
        title="NumPy",
        endings=("npy",),
        signatures=((0, b"\x93NUMPY"),),
        read=arrays.read_npy,
        write=arrays.write_npy,
        library="NumPy",
        reads="images, stacks, series of stacks; frames on any axis with `--frames-axis`",
        pixel_size="none: `--sampling`",
        refuses="Python objects: save plain numbers",
    ),
    Format(
        name="npz",
        title="NumPy's archive",
        endings=("npz",),
        signatures=((0, b"PK\x03\x04"),),
        claims=arrays.is_npz,
        read=arrays.read_npz,
        library="NumPy",
        reads="the same, every array by its name",
        pixel_size="none: `--sampling`",
        refuses="Python objects and other files in it are left out",
    ),
    Format(
        name="dm",
        title="Gatan DM3 or DM4",
        endings=("dm3", "dm4"),
        signatures=((0, b"\0\0\0\x03"), (0, b"\0\0\0\x04")),
        read=rosettasciio.read_gatan,
        library="RosettaSciIO",
        reads="images and stacks of either byte order; several images of a file; thumbnails"
        " are left out",
        pixel_size="stored",
        refuses="colours, Fourier transforms, diffraction patterns, spectra and spectrum "
        "images: they are named",
    ),
    Format(
        name="ser",
        title="TIA series",
        endings=("ser",),
        signatures=((0, b"II\x97\x01"),),
        read=tia.read_ser,
        library="RosettaSciIO",
        reads="images and series",
        pixel_size="stored; its unit by the `.emi` beside it",
        refuses="spectra, spectrum images and diffraction patterns: they are named",
    ),
    Format(
        name="emi",
        title="description of TIA series",
        endings=("emi",),
        signature_needed=False,
        read=tia.read_emi,
        library="RosettaSciIO",
        reads="all `.ser` that belong to it",
        pixel_size="its own and that of the `.ser`",
        refuses="as of `.ser`; without a `.ser` beside it: copy both",
    ),
    Format(
        name="mrc",
        title="MRC",
        endings=("mrc", "mrcs", "map", "rec", "st", "ali", "ccp4"),
        signatures=((208, b"MAP"),),
        signature_needed=False,
        read=mrc.read_mrc,
        write=mrc.write_mrc,
        library="mrcfile (header), RosettaSciIO (movies of Direct Electron)",
        reads="images and stacks of modes 0 (signed or not), 1, 2, 6 and 12 in either byte order",
        pixel_size="cell of the header, extended headers of FEI",
        refuses="modes 3 and 4 (complex), 16 (colours); 101 (4 bits): `newstack -mode 6` of IMOD",
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
        library="RosettaSciIO",
        reads="as `.hspy`; needs zarr 2: the extra `zspy`, in an environment of its own",
        pixel_size="by the axes",
        refuses="with zarr 3 all of it: save as `.hspy`",
    ),
    Format(
        name="zarr",
        title="Zarr",
        endings=("zarr",),
        folder=True,
        claims=zarr.is_zarr,
        signature_needed=False,
        read=zarr.read_other,
        library="zarr",
        reads="stores of versions 2 and 3: OME-Zarr (its first level), or every array of "
        "two axes or more by its path; needs the package zarr",
        pixel_size="OME's; else none: `--sampling`",
        refuses="complex values; stores without such an array",
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
        titles = " or ".join(entry.title for entry in named)
        raise DataError(
            f"{path}: by its content not {titles}, as its ending {path.suffix!r} says; it is "
            "damaged or of another format: copy or export it again, or give it its right ending"
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


def reference_table() -> str:
    """Describe every format in a Markdown table, for docs/micrographs.md."""
    columns = (
        *("format", "endings", "what is read", "pixel size", "read by", "written"),
        "refused or left out, and what helps",
    )
    rows: list[tuple[str, ...]] = [columns, ("---",) * len(columns)]
    for entry in FORMATS:
        endings = ", ".join(f"`.{ending}`" for ending in entry.endings)
        written = f"`.{entry.endings[0]}`" if entry.write else "no"
        said = (entry.reads, entry.pixel_size, entry.library, written, entry.refuses)
        rows.append((entry.title, endings, *said))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def written_as(path: Path) -> Format | None:
    """Give the format in which a file of that ending can be written; None if in none."""
    ending = path.suffix.lower().removeprefix(".")
    for entry in FORMATS:
        if entry.write is not None and ending == entry.endings[0]:
            return entry
    return None
