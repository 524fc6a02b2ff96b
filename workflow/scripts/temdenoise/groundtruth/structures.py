"""Disordered supercells whose rim stays pristine, so that their maps can be joined."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from temdenoise.foundation.errors import DataError
from temdenoise.groundtruth.crystals import check_distances
from temdenoise.groundtruth.disorder import Supercell
from temdenoise.groundtruth.families import FAMILIES
from temdenoise.groundtruth.relaxation import Defect, apply

DRAWS = 100
"""How often a structure is drawn anew when atoms come too close; such have no thermal weight."""


@dataclass(frozen=True)
class Disorder:
    """What is done to a pristine supercell.

    Attributes
    ----------
    family
        A key of `FAMILIES`.
    parameters
        Options of the family.
    displacement
        Standard deviation of the thermal displacement along each axis, away
        from the rim [Å]; one for all or one per element.
    fade_width
        Distance from the rim over which displacements and strain fade in [Å].
    defect_margin
        Smallest distance of a defect from the rim [Å].
    """

    family: str
    parameters: Mapping[str, Any]
    displacement: float | Mapping[str, float]
    fade_width: float
    defect_margin: float


def build_structure(
    pristine: Atoms,
    rng: np.random.Generator,
    disorder: Disorder,
    *,
    name: str,
    relaxed: Iterable[Defect] | None = None,
) -> Atoms:
    """Build one disordered supercell.

    Parameters
    ----------
    pristine
        The supercell to start from (not changed).
    rng
        Where the randomness comes from.
    disorder
        What is done to it.
    name
        What to call the structure.
    relaxed
        The kinds of defect of the family with the atoms around them relaxed; None: all of
        them stay at their ideal places.

    Returns
    -------
    ase.Atoms
        With ``structure``, ``family``, ``parameters`` and ``defects`` (see
        `Supercell.finished`) in its ``info``.

    Raises
    ------
    ConfigurationError
        If the family's options do not suit the crystal.
    DataError
        If atoms overlap in each of `DRAWS` draws, or a defect is of a kind that is not among
        `relaxed`.
    """
    family, parameters = disorder.family, disorder.parameters
    for draw in range(DRAWS):
        cell = Supercell(
            pristine, fade_width=disorder.fade_width, defect_margin=disorder.defect_margin
        )
        cell.displace(rng, disorder.displacement)
        FAMILIES[family](cell, rng, **parameters)
        if relaxed is not None:
            apply(cell, relaxed, rng)
        atoms = cell.finished()
        try:
            check_distances(atoms, source=f"structure {name} ({family})")
        except DataError as error:
            if draw == DRAWS - 1:
                raise DataError(
                    f"{error} (none of {DRAWS} draws was free of overlaps; lower "
                    "structures.displacement)"
                ) from error
        else:
            break
    atoms.info |= {"structure": name, "family": family, "parameters": json.dumps(dict(parameters))}
    return atoms


def table_row(atoms: Atoms) -> dict[str, Any]:
    """Describe a structure in a row of ``structures.csv``."""
    info = atoms.info
    return {
        "structure": info["structure"],
        "split": info["structure"].split("-")[0],
        "family": info["family"],
        "parameters": info["parameters"],
        "seed": int(info["seed"]),
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "defects": info["defects"],
    }


def stored_structure(atoms: Atoms) -> dict[str, Any]:
    """Describe a structure as maps store it: its defects, cell, middle height and atoms [Å]."""
    return {
        "name": atoms.info["structure"],
        "family": atoms.info["family"],
        "defects": json.loads(atoms.info["defects"]),
        "symbols": " ".join(atoms.symbols),
        "cell": atoms.cell.lengths().round(6).tolist(),
        **({"middle": float(atoms.info["middle"])} if "middle" in atoms.info else {}),
        "positions": atoms.positions.round(5).tolist(),
    }
