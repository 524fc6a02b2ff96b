"""Packages that only some uses of the installed project need, and what installs them."""

from collections.abc import Mapping
from types import MappingProxyType

EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "benchmark": ("pytorch_msssim", "skimage", "pywt"),
        "codecs": ("imagecodecs",),
        "crystals": ("ase",),
        "export": ("onnx", "onnxscript", "yaml"),
        "hyperspy": ("hyperspy",),
        "report": ("vl_convert", "ase"),
        "zspy": ("zarr", "msgpack"),
    }
)
"""Packages of each extra of pyproject.toml, by the names under which they are imported."""


def install_hint(package: str) -> str:
    """Say what installs a package that the command or the Python interface did not find.

    Parameters
    ----------
    package
        Name under which it is imported, with or without a submodule.

    Returns
    -------
    str
        A command to be typed in the project's folder: that of the first extra which holds the
        package, or else of the installation itself.

    Examples
    --------
    >>> install_hint("onnxscript.ir")
    "pip install '.[export]'"
    >>> install_hint("scipy")
    'pip install .'
    """
    top = package.partition(".")[0]
    extra = next((extra for extra, packages in EXTRAS.items() if top in packages), None)
    return f"pip install '.[{extra}]'" if extra else "pip install ."
