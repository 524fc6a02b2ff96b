"""The way of a micrograph: through which modules it goes, and that it never goes back."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from made_up_frames import counts
from temdenoise.denoise_files import Request, Terminal, denoise_file
from temdenoise.micrographs import (
    denoising,
    evidence,
    frame,
    models,
    readers,
    results,
    verdict,
    weighing,
)
from temdenoise.micrographs.results import Guard
from temdenoise.report import marked, micrograph

HOME = "temdenoise.micrographs."

STAGES = tuple(
    module.__name__
    for module in (readers, frame, models, denoising, weighing, evidence, verdict, results)
)
"""What a frame passes through, in this order."""

ORCHESTRATORS = ("temdenoise.denoise_files", "temdenoise.api", f"{HOME}stack")
"""What takes it from one stage to the next."""

WRITE = "write_results"
"""What enters the last stage; it names files, and refuses some, before anything is computed."""

HELD_OUT = ("_gain", "_of_part", "best_model")
"""Functions of an orchestrator in which a part of the frame, an image of its own, is denoised."""

MOST_MODULES = 8


class Call(NamedTuple):
    """A call of a function, and the modules of those above it, the nearest first."""

    module: str
    function: str
    above: tuple[tuple[str, str], ...]

    @property
    def caller(self):
        """The nearest stage or orchestrator."""
        return next((name for name, _ in self.above if name in (*STAGES, *ORCHESTRATORS)), None)

    @property
    def of_a_part(self):
        """Whether it is about a part of the frame that is scored."""
        return any(name in ORCHESTRATORS and code in HELD_OUT for name, code in self.above)


class Way:
    """Which functions of the package were called."""

    def __init__(self):
        self.calls = []
        self.read = _properties()

    def __call__(self, called, event, _):
        if event != "call" or called.f_code.co_filename.startswith("<"):
            return
        name = called.f_globals.get("__name__", "")
        if name.startswith(HOME) or name in ORCHESTRATORS:
            # what a value says of itself is read, not asked for
            if called.f_code in self.read or called.f_code.co_name == "<module>":
                return
            self.calls.append(Call(name, called.f_code.co_qualname, tuple(_above(called))))

    def stages(self):
        """Modules of the stages in the order in which the frame entered them."""
        entered = [
            call.module
            for call in self.calls
            if call.module in STAGES
            and not call.of_a_part
            and (call.module != results.__name__ or call.function == WRITE)
        ]
        return list(dict.fromkeys(entered))

    def back(self):
        """Direct calls from a stage to an earlier one, or to what orchestrates them."""
        return [
            f"{call.caller} -> {call.module}.{call.function}"
            for call in self.calls
            if call.caller in STAGES
            and (
                (call.module in STAGES and _place(call.module) < _place(call.caller))
                # a function that was handed in is the orchestrator's own
                or (call.module in ORCHESTRATORS and "<locals>" not in call.function)
            )
        ]


def _place(module):
    return STAGES.index(module)


def _above(called):
    above = called.f_back
    while above is not None:
        name = above.f_globals.get("__name__", "")
        if name.startswith("temdenoise."):
            yield name, above.f_code.co_name
        above = above.f_back


def _properties():
    """Code of all properties; what is computed when it is first asked for is none of them."""
    return {
        value.fget.__code__
        for name in (*STAGES, f"{HOME}stack")
        for kind in vars(sys.modules[name]).values()
        if isinstance(kind, type)
        for value in vars(kind).values()
        if isinstance(value, property)
    }


@pytest.fixture
def walk(tmp_path, monkeypatch, rng):
    """Follow one micrograph through the command, from its file to its results."""
    monkeypatch.setattr(micrograph, "summarise", lambda *_: (b"", ""))
    monkeypatch.setattr(marked, "write_figure_3", lambda *_: None)
    path = tmp_path / "scan.npy"
    np.save(path, counts(rng))

    def walk():
        way = Way()
        silent = Terminal(lambda _: None, lambda _: None)
        request = Request(sampling=0.15, figure=True)
        sys.setprofile(way)
        try:
            assert denoise_file(path, request, Guard(), silent)
        finally:
            sys.setprofile(None)
        assert Path(tmp_path / "scan_marked.tif").exists()
        return way

    return walk


def test_a_micrograph_walks_one_way(walk):
    way = walk()
    assert way.stages() == list(STAGES)
    assert len(STAGES) <= MOST_MODULES
    assert way.back() == []
    assert {*ORCHESTRATORS} <= {call.module for call in way.calls}
    # other modules help one stage to read or write: none of them leads to another stage
    for call in way.calls:
        if call.module in STAGES:
            direct = call.above[0][0]
            assert direct in (*STAGES, *ORCHESTRATORS), f"{direct} -> {call.module}.{call.function}"


def test_a_step_back_would_be_seen(walk, monkeypatch):
    namespace = {"__name__": verdict.__name__, "contrast_of": frame.contrast_of}
    exec(  # a check that looks at the image again
        compile(
            "def planted(seen):\n    contrast_of(seen.frame.image)\n", verdict.__file__, "exec"
        ),
        namespace,
    )
    monkeypatch.setattr(verdict, "CHECKS", (*verdict.CHECKS, namespace["planted"]))
    assert walk().back() == [f"{verdict.__name__} -> {frame.__name__}.contrast_of"]
