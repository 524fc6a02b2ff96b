"""Mutated and truncated files: read or refused with the cause, soon, within memory, never half.

`make test` takes a few of each format, `make test-fuzz` 2,000 through `inspect` and 50 through
`denoise`; TEMDENOISE_FUZZ is another number of the former.
"""

import os
from pathlib import Path

import pytest
from fuzz_workers import Workers
from mutated_files import SEEDS, mutated
from temdenoise.foundation.errors import DataError
from temdenoise.micrographs.formats import FORMATS
from temdenoise.micrographs.signals import signals

FEW = 2
NUMBER = int(os.environ.get("TEMDENOISE_FUZZ", "2000"))
DENOISED = 40  # one in so many is denoised as well

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is counted by /proc"
)


def test_every_format_has_seeds():
    assert set(SEEDS) == {entry.name for entry in FORMATS}


@pytest.mark.parametrize(("form", "name"), [(form, name) for form in SEEDS for name in SEEDS[form]])
def test_seeds_are_images(form, name, tmp_path):
    SEEDS[form][name](tmp_path / name)
    if form == "zspy":  # with the zarr at hand nothing but its kind is read
        with pytest.raises(DataError, match="need zarr 2"):
            signals(tmp_path / name)
        return
    (one, *_) = (one for one in signals(tmp_path / name) if not one.left_out)
    assert one.shape[-2:] == (48, 64)


def test_mutated_files_can_be_made_again(tmp_path):
    made = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        made.append(mutated("mrc", 3, folder).read_bytes())
    assert made[0] == made[1]


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    started = Workers(os.cpu_count() or 1, tmp_path_factory.mktemp("mutated"))
    yield started
    started.close()


def faults(workers, tasks):
    """What is wrong with the answers, each with its file; every file has an answer."""
    answers = list(workers.answers(tasks))
    assert sorted(task[:3] for task in tasks) == sorted(
        (a.form, a.number, a.command) for a in answers
    )
    return [f"{a.form} {a.number} {a.command}: {a.faults} {a.said}" for a in answers if a.faults]


def tasks(form, number):
    inspected = [(form, n, "inspect") for n in range(number)]
    return inspected + [(form, n, "denoise") for n in range(-(-number // DENOISED))]


def test_a_few_mutated_files_are_read_or_refused(workers):
    assert faults(workers, [one for form in SEEDS for one in tasks(form, FEW)]) == []


def test_a_worker_that_does_not_answer_is_killed_and_its_file_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz_workers.GIVEN_UP", -1)
    workers = Workers(1, tmp_path)
    try:
        answers = list(workers.answers([("npy", 0, "denoise"), ("npy", 1, "denoise")]))
    finally:
        workers.close()
    assert [one.faults for one in answers] == [("it does not come to an end",)] * 2


@pytest.mark.fuzz
@pytest.mark.parametrize("form", SEEDS)
def test_mutated_files_are_read_or_refused(form, workers):
    assert faults(workers, tasks(form, NUMBER)) == []
