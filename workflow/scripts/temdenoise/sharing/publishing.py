"""Make a model of a run one that is handed on: small, described, and known by its SHA-256.

A published model is a file ``NAME.pt`` with a card ``NAME.md`` beside it and an entry in
the folder's ``models.json``. Dates stand in none of them, so the same run gives the same files.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.files import atomic, read_json, read_table, write_json
from temdenoise.foundation.seals import digest
from temdenoise.learning.inference import Model, load
from temdenoise.micrographs.index import FOLDER, INDEX, index
from temdenoise.report.model_card import card
from temdenoise.sharing.example import example_image

LARGEST = 10_000_000
"""Most that all models of a folder may take together [bytes]."""

HALF = 0.1
"""Weights are stored in 16 bits if no pixel of the example images changes by more [sigma]."""


def publish(run: Path, *, name: str, model: str = "universal", folder: Path = FOLDER) -> str:
    """Publish a trained model of a finished run.

    Parameters
    ----------
    run
        The run's folder, or its ``results``.
    name
        To publish it under.
    model
        Which model of the run.
    folder
        To publish it in.

    Returns
    -------
    str
        What was done.

    Raises
    ------
    FileNotFoundError
        If the run lacks a file: it is not finished.
    DataError
        If the model is not the one the run judged, predicts patches side by side, or the
        folder would hold more than `LARGEST`; nothing is written then.
    """
    if not name.replace("-", "").replace("_", "").isalnum():
        raise DataError(f"name {name!r}: expected letters, digits, - and _ alone")
    results = run / "results" if (run / "results").is_dir() else run
    trained = results / "models" / model / "model.pt"
    tables = {key: results / f"evaluation/{key}.csv" for key in ("quality", "fidelity")}
    record = results / "provenance.json"
    for path in (trained, *tables.values(), record):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: there is no such file, and a model is published with the record and the "
                "figures of a finished run; run the workflow to its end (make run)"
            )
    provenance = _provenance(read_json(record), trained, results)
    full = load(trained)
    if full.description.patch is not None:
        raise DataError(f"{trained}: a paper-like model, made to be compared with; choose another")
    description = full.description.published(name=name, provenance=provenance)
    content, weights = _smallest(replace(full, description=description))
    listed = dict(index(folder))
    total = len(content) + sum(
        path.stat().st_size for path in folder.glob("*.pt") if path.stem != name
    )
    if total > LARGEST:
        raise DataError(
            f"{folder} would hold {total / 1e6:.2f} MB of models, expected at most "
            f"{LARGEST / 1e6:.0f} MB: {name}.pt has {len(content) / 1e6:.2f} MB; lower "
            "training.universal.width or levels, or publish into another folder"
        )
    target = folder / f"{name}.pt"
    with atomic(target) as temporary:
        temporary.write_bytes(content)
    listed[name] = {
        "sha256": digest(target),
        "bytes": len(content),
        "licence": description.licence,
        **weights,
        **entry_of(full),
        "provenance": provenance,
    }
    rows = {key: read_table(path) for key, path in tables.items()}
    text = card(name, listed[name], description, **rows)
    with atomic(folder / f"{name}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(folder / INDEX, dict(sorted(listed.items())))
    state = provenance["commit"] or "no commit known"
    changed = " WITH CHANGES THAT ARE NOT COMMITTED" if provenance["changed"] else ""
    return (
        f"published: {target} ({len(content) / 1e6:.2f} MB, {weights['weights']}), its card "
        f"{name}.md, and {INDEX}; from {state}{changed}; {total / 1e6:.2f} of "
        f"{LARGEST / 1e6:.0f} MB are used"
    )


def _provenance(record: Mapping[str, Any], trained: Path, results: Path) -> dict[str, Any]:
    """Take from a run's record what says where a model comes from, without dates or places."""
    file = trained.relative_to(results).as_posix()
    expected, found = record["files"].get(file), digest(trained)
    if found != expected:
        raise DataError(
            f"{trained}: not the model that was judged (SHA-256 {found[:12]}, expected "
            f"{str(expected)[:12]} by provenance.json); run the workflow to its end again"
        )
    repository = record["repository"] or {"commit": None, "changed": False}
    return {
        "version": record["temdenoise"]["version"],
        "commit": repository["commit"],
        "changed": repository["changed"],
        "code": record["temdenoise"]["code"],
        "recipes": record["temdenoise"]["recipes"],
        "configuration_sha256": record["configuration_sha256"],
        "seed": record["seed"],
        "trained_sha256": found,
    }


def entry_of(model: Model) -> dict[str, Any]:
    """Return what a model was trained on and its size, for whoever looks at the index alone."""
    trained = model.description
    return {
        "kind": trained.mode.name,
        "c_noise": [round(c, 6) for c in trained.noise],
        "sampling_angstrom": [round(step, 6) for step in trained.pixels],
        "spacings_angstrom": {name: round(d, 4) for name, d in trained.spacings.items()},
        "parameters": sum(value.numel() for value in model.network.state_dict().values()),
    }


def card_of(name: str, model: Model, *, title: str) -> str:
    """Return the card of a model: the one beside it if it is published, or one without tables.

    Parameters
    ----------
    name
        Path of the model, or its name among the pretrained ones.
    model
        The model.
    title
        What to call it.
    """
    own = FOLDER / f"{name}.md"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    return card(title, entry_of(model), model.description)


def _smallest(model: Model) -> tuple[bytes, dict[str, Any]]:
    """Return the file with weights in 16 bits, if that changes next to nothing; else in 32."""
    full = model.network.state_dict()
    half = {key: value.half() for key, value in full.items()}
    change = _change(model, half)
    small = change <= HALF
    return model.content(half if small else full), {
        "weights": "float16" if small else "float32",
        "change_by_float16_over_sigma": float(f"{change:.2g}"),
    }


def _change(model: Model, weights: Mapping[str, torch.Tensor]) -> float:
    """Largest change of a pixel that other weights make [sigma], from weak to strong noise."""
    other = copy.deepcopy(model.network)
    other.load_state_dict(weights)
    changed = replace(model, network=other.eval())
    low, high = model.description.noise
    changes = []
    for c_noise in np.geomspace(max(low, high / 1e3), high, 3):
        noisy, _ = example_image(model.description, c_noise=float(c_noise))
        pairs = zip(model.denoise(noisy), changed.denoise(noisy), strict=True)
        (before, after), (sigma, other_sigma) = pairs
        for difference in (after - before, other_sigma - sigma):
            changes.append(float((np.abs(difference) / sigma).max()))
    return float(np.max(changes)) if np.isfinite(changes).all() else float("inf")
