"""A stand-in for HyperSpy's signals, for the tests of what is done with one."""

from copy import deepcopy
from types import SimpleNamespace


class Metadata(SimpleNamespace):
    """A tree of what is said about a signal."""

    def add_dictionary(self, entries):
        vars(self).update(entries)


class Signal:
    """As much of a signal of images as is used, with HyperSpy's names.

    `scale` is the pixel size, one number or (columns, rows), in `units`.
    """

    def __init__(self, data, *, units="nm", scale=0.015, signal_axes=2):
        scales = scale if isinstance(scale, tuple) else (scale,) * signal_axes
        axes = tuple(SimpleNamespace(scale=step, units=units) for step in scales)
        self.data, self.axes_manager = data, SimpleNamespace(signal_axes=axes)
        self.metadata = Metadata(General=SimpleNamespace(title="scan"))

    def _deepcopy_with_new_data(self, data):
        new = deepcopy(self)
        new.data = data
        return new
