"""The methods that figures, charts and tables compare, and how each is shown.

The one place that gives them names for readers, colours and markers; standard library only,
since the Snakefile reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CLASSICAL = "#56B4E9"
"""Colour of each single classical method; markers and dashes tell them apart."""


@dataclass(frozen=True)
class Method:
    """How a method is shown.

    Attributes
    ----------
    label
        Its name for readers.
    colour
        Of Okabe and Ito's palette, safe for the colour-blind.
    marker
        Of matplotlib; empty for a method that the figures leave out, and that the charts of the
        page show only on request.
    short
        Name of a network above small panels; empty for a method that is no network.
    trainings
        Title of the chart that shows how its networks were trained; likewise.
    """

    label: str
    colour: str = CLASSICAL
    marker: str = ""
    short: str = ""
    trainings: str = ""


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "raw": Method("Noisy", "#999999", "s"),
        # black would vanish on a dark page
        "constant": Method("Constant", "#7F7F7F"),
        "best_classical": Method("Best classical (tuned)", "#E69F00", "^"),
        "paper_like": Method(
            "Paper-like CNN", "#CC79A7", "v", "paper-like", "The paper-like baselines"
        ),
        "cnn": Method(
            "CNN of this noise", "#0072B2", "o", "of this noise", "One network for each noise"
        ),
        "universal": Method("Universal CNN", "#009E73", "D", "universal", "The universal network"),
        "local_bragg": Method("Local Bragg filter"),
        "nl_means": Method("Non-local means"),
        "periodic_nl_means": Method("Non-local means over translations"),
        "radial_wiener": Method("Radial Wiener filter"),
        "bm3d": Method("BM3D"),
        "bm3d_anscombe": Method("BM3D, Anscombe"),
        "best_two": Method("Best two, mixed"),
    }
)
"""Methods in the order of charts and tables; the name of any other is made of its key."""

COMPARED = tuple(name for name, method in METHODS.items() if method.marker)
"""What figures and the summary compare."""

NETWORK_METHODS = tuple(name for name, method in METHODS.items() if method.short)
"""The methods that are networks of the run."""


def method_label(method: str) -> str:
    """Name a method for readers.

    Examples
    --------
    >>> method_label("cnn"), method_label("gaussian_blur")
    ('CNN of this noise', 'Gaussian blur')
    """
    return METHODS[method].label if method in METHODS else method.replace("_", " ").capitalize()
