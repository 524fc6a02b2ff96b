"""Damaged files are noticed, and what a run's files come from is recorded."""

import json
import subprocess

import pytest
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.provenance import commit, environment, record
from temdenoise.foundation.seals import check, digest, read_seal, seal, seal_of, unseal

ABOUT = {"rule": "copy", "seconds": 1.0, **environment()}


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(bytes(range(200)))
    seal(path, ABOUT)
    return path


def test_an_untouched_file_passes(sealed):
    check(sealed)
    assert read_seal(sealed) == {"sha256": digest(sealed), **ABOUT}


@pytest.mark.parametrize("place", [0, 100, 199])
@pytest.mark.parametrize("bit", [0, 7])
def test_one_flipped_bit_is_noticed_and_the_file_named(sealed, place, bit):
    content = bytearray(sealed.read_bytes())
    content[place] ^= 1 << bit
    sealed.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: not what its job wrote .* delete it and run"):
        check(sealed)


def test_a_truncated_file_is_noticed(sealed):
    sealed.write_bytes(sealed.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"a\.tif: not what"):
        check(sealed)


def test_the_remedies_named_are_remedies(sealed):
    sealed.write_bytes(b"edited")
    with pytest.raises(DataError, match=r"to keep an edit, delete .*\.a\.tif\.seal instead"):
        check(sealed)
    seal_of(sealed).unlink()
    check(sealed)


def test_a_file_about_to_be_made_anew_has_no_seal(sealed):
    unseal(sealed)
    sealed.write_bytes(b"new")
    check(sealed)
    assert read_seal(sealed) == {"sha256": digest(sealed)}


def test_a_broken_seal_is_named(sealed):
    seal_of(sealed).write_text('{"sha')
    with pytest.raises(DataError, match=r"\.a\.tif\.seal: not valid JSON"):
        check(sealed)


def test_record_tells_versions_machines_and_digests(tmp_path):
    paths = [tmp_path / name for name in ("maps/train-0000.tif", "maps/val-0000.tif", "table.csv")]
    for path, gpaw in zip(paths, ("26.7.0", "26.8.0", "26.7.0"), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
        seal(path, ABOUT | {"rule": path.parent.name, "packages": {"gpaw": gpaw}})
    (tmp_path / "unsealed.csv").write_text("x")
    found = record([*paths, tmp_path / "unsealed.csv"], root=str(tmp_path))
    # a run that moved to another version in the middle says so
    assert found["rules"]["maps"]["packages"] == {"gpaw": ["26.7.0", "26.8.0"]}
    assert found["rules"]["maps"]["files"] == 2
    assert found["rules"]["maps"]["python"] == [ABOUT["python"]]
    assert [m["host"] for m in found["rules"]["maps"]["machines"]] == [ABOUT["host"]]
    assert found["files"]["maps/*.tif"]["n"] == 2
    assert found["files"]["table.csv"] == digest(paths[2])
    assert found["files"]["unsealed.csv"] == digest(tmp_path / "unsealed.csv")
    json.dumps(found, allow_nan=False)
    # order does not matter, content does
    assert record(reversed([*paths, tmp_path / "unsealed.csv"]), root=str(tmp_path)) == found
    paths[0].write_text("changed")
    seal(paths[0], ABOUT | {"rule": "maps"})
    assert record(paths, root=str(tmp_path))["files"]["maps/*.tif"] != found["files"]["maps/*.tif"]


def test_commit_of_a_folder(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    assert commit(tmp_path) is None
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "first")
    found = commit(tmp_path)
    assert len(found["commit"]) == 40
    assert found["changed"] is False
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path)["changed"] is True


def test_packages_are_those_loaded():
    packages = environment()["packages"]
    assert packages["pytest"] == pytest.__version__
    assert "json" not in packages
