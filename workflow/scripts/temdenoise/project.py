"""Set up a run of the workflow that trains models for a crystal of one's own."""

import math
import shutil
from pathlib import Path
from typing import Any

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.lattices import BUILT_IN

LARGE_ENOUGH = 12.0
"""Side of a supercell aimed at [Å]: rims fade in over 2.5 Å on either side."""

OVERLAY = """\
# From {crystal} to a universal model for it. Run it in the project's folder with
#   {command}
# and denoise with
#   temdenoise denoise IMAGE --model {folder}/results/models/universal/model.pt
# Every key: config/README.md of the project.
structures:
  crystal: {crystal}
  repeat: {repeat}                  # orthogonal cells; aim at 12 Å or more along both sides
  families:
    vacancies: {{share: 2, count: [0, 2]}}
    displacements: {{share: 1}}
"""

KINDS = {
    "density": """\
training:
  universal: {c_noise: [0.02, 0.5]} # widen it for noisier images
""",
    # bright atoms; what real frames ask for, as in config/adf.yaml
    "adf": """\
image: {mode: adf}
mosaics: {size: 320, sampling: 0.1} # Å
datasets:
  noises: [dose, scan_lines, contamination, background_gaussian]
  c_noise_grid: [0.1, 0.25, 0.5, 1.0, 2.0, 4.0]
  c_noise_train: [0.1, 1.0]
  white: 0.99
training:
  batch: 16
  universal: {levels: 4, c_noise: [0.1, 4.0], c_spacing: logarithmic, mixtures: 0.7, edges: 0.2,
              steps: 6000, standardised: true, rotation: true, sampling: [0.08, 0.30],
              blur: 0.6, keep_slow: 3.0, quadratic_below: 1.0}
report: {c_noise: [0.5, 2.0]}
""",
}
"""What an overlay says besides, by the kind of image the model is for."""


def new_project(crystal: Path, folder: Path | None, *, kind: str = "density") -> str:
    """Write a folder with a configuration for a crystal.

    Parameters
    ----------
    crystal
        A file ASE reads, or one of `lattices.BUILT_IN`.
    folder
        To make; default: named after the crystal, in the working directory.
    kind
        Of the images the model is for: a key of `KINDS`.

    Returns
    -------
    str
        What was made, and what to do next.

    Raises
    ------
    DataError
        If there is no such crystal, or the folder holds a project already.
    """
    name = crystal.stem if crystal.is_file() else str(crystal).lower()
    if not crystal.is_file() and name not in BUILT_IN:
        raise DataError(
            f"{crystal}: there is no such file; expected one that ASE reads (CIF, POSCAR, "
            f"extended XYZ), or one of {', '.join(BUILT_IN)}"
        )
    folder = (folder or Path(name)).resolve()
    target = folder / "config.yaml"
    if target.exists():
        raise DataError(f"{target} exists already; name another folder with -o")
    repeat = [4, 3]
    if crystal.is_file():
        repeat = _repeat(crystal) or repeat
    folder.mkdir(parents=True, exist_ok=True)
    if crystal.is_file():
        copy = folder / crystal.name
        if crystal.resolve() != copy:
            shutil.copyfile(crystal, copy)
    written = crystal.name if crystal.is_file() else name
    command = f'make run ARGS="--configfile {target} --directory {folder}"'
    text = OVERLAY.format(crystal=written, folder=folder, repeat=repeat, command=command)
    target.write_text(text + KINDS[kind], encoding="utf-8")
    first = "  make imaging     # once: what forms images of a microscope\n" * (kind != "density")
    other = (
        ""
        if kind != "density"
        else "\n(it is for densities, dark pores; for bright atoms, ADF-STEM: --kind adf)"
    )
    return (
        f"made {target}\nnext, in the project's folder:\n{first}  {command}\n"
        "or, for the universal model alone, the same with results/models/universal/model.pt as "
        f"the last word of ARGS{other}"
    )


def _repeat(crystal: Path) -> list[int] | None:
    """Count the cells a supercell large enough takes; None if ASE is not at hand to read it."""
    try:
        from ase.io import read
    except ModuleNotFoundError:
        return None
    # whatever a broken file makes ASE raise
    try:
        atoms: Any = read(crystal)
    except Exception as error:
        raise DataError(f"{crystal}: not a structure ASE can read ({error})") from error
    a, b, *_ = atoms.cell.lengths()
    if min(a, b) <= 0:
        raise DataError(f"{crystal}: holds no unit cell; expected a layer or slab with one")
    angle = math.radians(atoms.cell.angles()[2])
    # hexagonal and centred lattices are put into their orthogonal cell, twice as large
    sides = (a, b) if abs(math.cos(angle)) < 1e-3 else (a, 2 * b * math.sin(angle))
    return [max(1, math.ceil(LARGE_ENOUGH / side)) for side in sides]
