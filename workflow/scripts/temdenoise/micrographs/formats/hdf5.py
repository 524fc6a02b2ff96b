"""Files in HDF5: EMD of Velox and of Berkeley's NCEM, HyperSpy, NeXus, Delmic, and any other."""

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic
from temdenoise.micrographs import memory
from temdenoise.micrographs.formats import probing
from temdenoise.micrographs.formats.base import Content, Kind, Stored, unread
from temdenoise.micrographs.formats.rosettasciio import LARGE, content_of

if TYPE_CHECKING:
    import h5py

MOST = 64
"""Maximum number of data sets of another program's file that are listed."""

_PROGRAMS = {
    "DataSetInfo": "Imaris",
    "4DSTEM_experiment": "py4DSTEM",
    "s00": "BigDataViewer",
    "SPECTRUM": "Horiba",
    "Measurement_000": "USID",
    "EDAX": "EDAX",
}
"""Programs by the name of a group at the root of their files."""


@contextmanager
def _opened(path: Path) -> "Iterator[h5py.File]":
    import h5py

    with h5py.File(path, "r") as file:
        yield file


def require_sound(path: Path) -> None:
    """Raise if the library HDF5 does not come to an end with a file.

    Raises
    ------
    DataError
        If reading does not come to an end, or ends the process.
    """
    probing.require_sound(path, "hdf5")


def is_velox(path: Path) -> bool:
    """Tell whether a file was written by Velox."""
    with suppress(Exception), _opened(path) as file:
        version = file.get("Version")
        return version is not None and json.loads(version[0])["format"] in (
            "Velox",
            "DevelopersKit",
        )
    return False


def is_ncem(path: Path) -> bool:
    """Tell whether a file is EMD of Berkeley's NCEM, Prismatic and py4DSTEM among its writers."""
    with suppress(Exception), _opened(path) as file:
        groups = (file, *(group for group in file.values() if hasattr(group, "attrs")))
        return any({"version_major", "version_minor"} <= set(group.attrs) for group in groups)
    return False


def is_hyperspy(path: Path) -> bool:
    """Tell whether a file was written by HyperSpy."""
    with suppress(Exception), _opened(path) as file:
        said = file.attrs.get("file_format", b"")
        said = said.decode() if isinstance(said, bytes) else str(said)
        return "hyperspy" in said.lower() or "Experiments" in file
    return False


def is_nexus(path: Path) -> bool:
    """Tell whether a file is NeXus."""
    with suppress(Exception), _opened(path) as file:
        classes = [file.attrs.get("NX_class")] + [
            group.attrs.get("NX_class") for group in file.values()
        ]
        return any(said is not None for said in classes)
    return False


def is_delmic(path: Path) -> bool:
    """Tell whether a file was written by Delmic's Odemis."""
    with suppress(Exception), _opened(path) as file:
        return any(
            name.startswith("Acquisition") and "SVIData" in group for name, group in file.items()
        )
    return False


def read_velox(path: Path) -> list[Content]:
    """Read the images of a Velox file; spectra and streams of X-rays are named only."""
    import h5py
    from rsciio.emd._emd_velox import FeiEMDReader

    large = _size_of_values(path) > LARGE

    class Images(FeiEMDReader):  # type: ignore[misc]
        """Leaves out the spectra, which would need a package and minutes."""

        def _read_data(self, _: Any) -> None:
            self.load_images, self.load_SI, self.load_single_spectrum = True, False, False
            self._read_images()

        def _parse_image_display(self, file: Any) -> None:
            # labels alone: what an older version of the format lacks is no loss
            with suppress(Exception):
                super()._parse_image_display(file)

        def _read_images(self) -> None:
            group = self.d_grp.get("Image")
            for key in group or ():
                stored = group[key]["Data"]
                # values without chunks are read at once or not at all
                self.lazy = large and stored.chunks is not None
                if large and not self.lazy:
                    needed = 2 * stored.size * stored.dtype.itemsize
                    memory.require_bytes(needed, "a file that is read whole")
                try:
                    entry = self._read_image(group, key)
                except (KeyError, TypeError, ValueError, IndexError):
                    # a description that is not understood; the pixels are there all the same
                    entry = {"data": _frames_first(path, stored)}
                self.dictionaries.append(entry)

    # the file of values that are read only when asked for has to stay open
    file = h5py.File(path, "r")
    try:
        reader = Images(load_SI_image_stack=True)
        reader.read_file(file)
        contents = [content_of(entry, kind=_kind_of_velox(entry)) for entry in reader.dictionaries]
        contents += _spectra_of_velox(file)
    finally:
        if not large:
            file.close()
    return contents


def _frames_first(path: Path, values: "h5py.Dataset") -> Stored | np.ndarray:
    """Give images that Velox stores as (rows, columns, frames)."""
    rows, columns, frames = values.shape
    name = values.name

    def image(index: tuple[int, ...]) -> np.ndarray:
        with _opened(path) as file:
            return np.asarray(file[name][:, :, index[0] if index else 0])

    shape = (rows, columns) if frames == 1 else (frames, rows, columns)
    return Stored(shape, values.dtype, image)


def _kind_of_velox(entry: Mapping[str, Any]) -> Kind | None:
    """Tell the maps of elements, which are made of X-rays, from the images of detectors."""
    described = entry.get("original_metadata", {})
    result = described.get("BinaryResult", {})
    if not result or "DetectorIndex" in result:
        return None
    analytical = {
        detector.get("DetectorName", "")
        for detector in described.get("Detectors", {}).values()
        if detector.get("DetectorType") == "AnalyticalDetector"
    }
    said = result.get("Detector") or ""
    if said and any(name.startswith(said) or said.startswith(name[:6]) for name in analytical):
        return Kind.ELEMENT_MAP
    return None


def _spectra_of_velox(file: "h5py.File") -> Iterator[Content]:
    """Name the spectra and streams of X-rays of a Velox file."""
    kinds = {
        "SpectrumStream": Kind.SPECTRUM_IMAGE,
        "EelsSpectrumImage": Kind.SPECTRUM_IMAGE,
        "Spectrum": Kind.SPECTRUM,
    }
    for group, kind in kinds.items():
        for stored in (file["Data"].get(group) or {}).values():
            shape: tuple[int, ...] = ()
            with suppress(Exception):
                shape = tuple(n for n in stored["Data"].shape if n > 1)
                if group == "SpectrumStream":
                    said = json.loads(stored["AcquisitionSettings"][0])
                    area = said["RasterScanDefinition"]
                    shape = tuple(int(n) for n in (area["Height"], area["Width"], said["bincount"]))
            yield Content(
                unread(shape, np.uint16), name="EDX" if group[0] == "S" else "EELS", kind=kind
            )


def read_ncem(path: Path) -> list[Content]:
    """Read EMD of Berkeley's NCEM."""
    return _read_with("emd", path)


def read_hspy(path: Path) -> list[Content]:
    """Read a file of HyperSpy."""
    return _read_with("hspy", path)


def read_nexus(path: Path) -> list[Content]:
    """Read the data of a NeXus file."""
    try:
        return [content for content in _read_with("nexus", path) if content.data.ndim > 1]
    except (KeyError, TypeError, ValueError, AttributeError, OSError):
        return read_other(path)


def read_delmic(path: Path) -> list[Content]:
    """Read the images and name the spectra of a file of Delmic's Odemis."""
    memory.require_bytes(2 * _size_of_values(path), "a file that is read whole")
    reader = importlib.import_module("rsciio.delmic").file_reader
    try:
        return [content_of(entry) for entry in reader(str(path), signal="all")]
    except (KeyError, TypeError, ValueError, AttributeError, OSError):
        return read_other(path)


def read_other(path: Path) -> list[Content]:
    """Read the data sets of any other file in HDF5, named by their paths; without pixel sizes."""
    import h5py

    found: list[Content] = []

    def take(name: str, value: Any) -> bool | None:
        if isinstance(value, h5py.Dataset) and value.ndim >= 2 and value.dtype.kind in "buifc":
            found.append(Content(_dataset(path, value), name=name))
        return len(found) >= MOST or None

    with _opened(path) as file:
        program = next((said for group, said in _PROGRAMS.items() if group in file), "")
        file.visititems(take)
    if not found:
        raise DataError(
            f"an HDF5 file{f' of {program}' if program else ''} that holds no data set of two axes "
            "or more: export the image from the program that wrote it, as TIFF or .hspy"
        )
    return found


def _dataset(path: Path, dataset: "h5py.Dataset") -> Stored | np.ndarray:
    if dataset.size * dataset.dtype.itemsize <= LARGE:
        return np.asarray(dataset[()])
    name = dataset.name

    def image(index: tuple[int, ...]) -> np.ndarray:
        with _opened(path) as file:
            return np.asarray(file[name][index])

    return Stored(dataset.shape, dataset.dtype, image)


def _read_with(plugin: str, path: Path) -> list[Content]:
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    stored = _size_of_values(path)
    try:
        entries = reader(str(path), lazy=stored > LARGE)
    except ValueError:
        # values without chunks are read at once or not at all
        memory.require_bytes(2 * stored, "a file that is read whole")
        entries = reader(str(path), lazy=False)
    return [content_of(entry) for entry in entries]


def _size_of_values(path: Path) -> int:
    """Size of all values of a file, uncompressed [bytes]."""
    import h5py

    total = 0

    def add(_: str, value: Any) -> None:
        nonlocal total
        if isinstance(value, h5py.Dataset):
            total += value.size * value.dtype.itemsize if value.shape is not None else 0

    with _opened(path) as file:
        file.visititems(add)
    return total


def write_emd(path: Path, content: Content) -> None:
    """Write EMD of Berkeley's NCEM."""
    with atomic(path) as temporary:
        write_with("emd", temporary, content)


def write_hspy(path: Path, content: Content) -> None:
    """Write a file of HyperSpy."""
    with atomic(path) as temporary:
        write_with("hspy", temporary, content, show_progressbar=False)


def write_with(plugin: str, path: Path, content: Content, **options: Any) -> None:
    """Write a signal with a plugin of RosettaSciIO."""
    data: Any = content.data
    lazy = isinstance(data, Stored)
    if lazy:  # written image by image
        import dask.array

        data = dask.array.from_array(  # type: ignore[no-untyped-call]
            data, chunks=(*(1,) * (data.ndim - 2), *data.shape[-2:])
        )
    signal = {
        "data": data,
        "axes": content.axes,
        "metadata": content.metadata,
        "original_metadata": {},
        "attributes": {"_lazy": lazy},
        "package_info": {"package": "temdenoise", "package_version": ""},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
    }
    importlib.import_module(f"rsciio.{plugin}").file_writer(str(path), signal, **options)
