"""Formats and depths that denoised images are written in."""

from collections.abc import Mapping

RESULT_FORMATS: Mapping[str, str] = {
    "tiff": ".tif",
    "mrc": ".mrc",
    "npy": ".npy",
    "hspy": ".hspy",
}
"""Formats that a result can be asked for in, and their endings."""

WRITTEN_AS: Mapping[str, str] = {
    **{ending: name for name, ending in RESULT_FORMATS.items()},
    ".tiff": "tiff",
}
"""The format of each ending that the name of a result may have."""

BITS = (32, 16, 8)
"""Depths of a pixel that a result can be asked for in."""
