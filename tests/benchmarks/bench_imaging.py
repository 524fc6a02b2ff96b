"""What an image of the microscope costs and how far it can be trusted (`make bench-imaging`).

Times are those of one thread's processor, so other programs do not lengthen them.
"""

import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from temdenoise.foundation.microscopes import PRESETS
from temdenoise.groundtruth import microscope
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.mosaics import join, joint_ratio
from temdenoise.groundtruth.structures import Disorder, build_structure

SAMPLING = 0.05
CRYSTALS = {"graphene": (5, 3), "hbn": (5, 3), "mos2": (4, 2)}
FOREIGN = {"graphene": ("C", "Si"), "hbn": ("B", "C"), "mos2": ("S", "Se")}


def timed(function, *arguments, **options):
    """Return a result and the processor's time [s]."""
    start = time.process_time()
    result = function(*arguments, **options)
    return result, time.process_time() - start


def disordered(name, kind):
    """One structure of a crystal: displaced, with a vacancy, or with a foreign atom."""
    own, foreign = FOREIGN[name]
    families = {
        "displacements": {},
        "vacancies": {"element": own, "count": (1, 1), "apart": 0},
        "substitution": {"replace": {own: [foreign]}, "count": (1, 1)},
    }
    return build_structure(
        crystal(name, repeat=CRYSTALS[name], vacuum=4.0),
        np.random.default_rng(1),
        Disorder(kind, families[kind], displacement=0.06, fade_width=2.5, defect_margin=3.0),
        name="bench",
    )


def exponents():
    """Exponent of the atomic number in the brightness of single atoms."""
    numbers = {"B": 5, "C": 6, "N": 7, "O": 8, "Si": 14, "Mo": 42}
    for preset in ("adf_60kv_medium", "adf_60kv_high"):
        signal = []
        for symbol in numbers:
            atom = Atoms(symbol, positions=[(6, 6, 4)], cell=(12, 12, 8), pbc=True)
            image, steps = microscope.form_image(atom, PRESETS[preset] | {"sampling": SAMPLING})
            signal.append((image - image.min()).sum() * np.prod(steps))
        z, signal = np.log(list(numbers.values())), np.log(signal)
        light, all_six = (np.polyfit(z[:n], signal[:n], 1)[0] for n in (4, 6))
        print(f"  {preset}: Z^{light:.2f} (B, C, N, O), Z^{all_six:.2f} (B to Mo)")


def main():
    """Print all of it."""
    start = time.process_time()
    microscope.slices(crystal("graphene"), sampling=0.2)
    print(f"abTEM imported and compiled, once per job: {time.process_time() - start:.1f} s")
    for name in CRYSTALS:
        atoms = {k: disordered(name, k) for k in ("displacements", "vacancies", "substitution")}
        for preset in ("adf_60kv_medium", "hrtem_80kv"):
            lens = PRESETS[preset] | {"sampling": SAMPLING}
            timings = {k: timed(microscope.form_image, a, lens) for k, a in atoms.items()}
            images = {k: image for k, ((image, _), _) in timings.items()}
            plain, seconds = images.pop("displacements"), [t for _, t in timings.values()]
            layout = np.array([[0, 1], [1, 0]])
            ratios = ", ".join(
                f"{kind} {joint_ratio(join([plain, image], layout), plain.shape):.2f}"
                for kind, image in images.items()
            )
            print(
                f"{name} {preset}: {plain.shape[0]} x {plain.shape[1]} pixels, "
                f"{np.median(seconds):.2f} s; joint ratio {ratios}"
            )
    potential = microscope.slices(disordered("graphene", "displacements"), sampling=SAMPLING)
    abtem = microscope._abtem()
    probe = abtem.Probe(energy=60e3, semiangle_cutoff=31)
    probe.grid.match(potential)
    scan = abtem.CustomScan(np.random.default_rng(0).uniform(0, 12, (20, 2)))
    _, seconds = timed(
        probe.scan,
        potential,
        scan=scan,
        detectors=abtem.AnnularDetector(inner=58, outer=200),
        lazy=False,
    )
    # the ADF image is band-limited at twice the aperture: so many positions hold it
    step = microscope.wavelength(60) / 4 / 31e-3
    positions = np.prod([int(np.ceil(side / step)) for side in potential.extent])
    print(f"abTEM's scan of the same at one focus: {seconds / 20 * positions:.0f} s")
    print("Brightness of single atoms:")
    exponents()


main()
