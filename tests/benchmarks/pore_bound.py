"""How well could any method draw a pore in so much noise: the bounds in docs/denoising.md.

Needs the results of `make run`. Gaussian noise of standard deviation C on an image I limits
every unbiased estimate of a shift u of the neighbourhood of a pore (Cramér and Rao):
var(u_x) >= C² / Σ (∂I/∂x)², summed over the pixels of that neighbourhood; Poisson noise,
with 1/C² counts at I = 1, var(u_x) >= C² / Σ (∂I/∂x)² / I where I > 0. A method that
also knows how far pores stray (standard deviation s, from the clean images) cannot do
better than 1 / (1 / var + 1 / s²) (van Trees). Prints both beside what was measured,
all as root mean square distances over the pores away from defects.

The same for a stretch of the neighbourhood gives how much of a pore's ellipticity the
image tells. Who draws what is likely on average (least squares) draws the share ρ of it,
1 - ρ² = 1 / (1 + s² / var), so pores come out too round by (1 - ρ) times their mean
ellipticity.

    python tests/benchmarks/pore_bound.py [--results results] [--noise gaussian]
                                          [--radius 0.5 0.7]
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import numpy as np
from scipy.ndimage import affine_transform
from scipy.spatial import cKDTree
from temdenoise.foundation.files import read_json, read_table
from temdenoise.groundtruth.mosaics import sites_in_images
from temdenoise.images.storage import read_images
from temdenoise.judging.detector import Detector

INFORMATION = {
    "gaussian": np.ones_like,
    "poisson": lambda image: np.where(image > 0, 1 / np.maximum(image, 1e-12), 0.0),
}
"""What a pixel tells (Fisher) of a change of its intensity at C = 1, by noise."""


def main() -> None:
    """Print bound and measurement for every C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--noise", choices=INFORMATION, default="gaussian")
    parser.add_argument("--radius", type=float, nargs="+", default=[0.5, 0.7])
    arguments = parser.parse_args()
    results = arguments.results
    images = read_images(results / f"datasets/{arguments.noise}/test/clean.tif")
    detector = Detector(**read_json(results / "evaluation/detector.json"))
    rows = read_table(results / "structures/structures.csv")
    sites = sites_in_images(
        read_json(results / "mosaics/test/joints.json"),
        {row["structure"]: json.loads(row["defects"]) for row in rows},
        size=images.data.shape[1],
        sampling=images.sampling[0],
    )
    per_c, strays = {radius: [] for radius in arguments.radius}, []
    stretched, ellipticities = {radius: [] for radius in arguments.radius}, []
    reach = int(np.ceil(max(arguments.radius) * detector.spacing))
    x, y = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    for image, known in zip(images.data, sites, strict=True):
        weight = np.sqrt(INFORMATION[arguments.noise](np.asarray(image, dtype=float)))
        slopes = [weight * slope for slope in np.gradient(np.asarray(image, dtype=float))]
        features = detector.features(image)
        pores = features.centres
        chosen = detector.inside(pores, image.shape)
        if len(known):
            holes = cKDTree([(site["x"], site["y"]) for site in known])
            chosen &= holes.query(pores)[0] > 1.2 * detector.spacing
        ellipticities.append(ellipticity(features)[chosen])
        neighbours = cKDTree(pores)
        for pore in pores[chosen]:
            distance, ring = neighbours.query(pore, 7)
            if distance[-1] < 1.3 * detector.spacing:
                strays.append(((pore - pores[ring[1:]].mean(axis=0)) ** 2).sum())
            i, j = np.round(pore).astype(int)
            for radius, found in per_c.items():
                inside = np.hypot(x, y) <= radius * detector.spacing
                along, across = (slope[i + x, j + y][inside] for slope in slopes)
                found.append(sum(1 / (slope**2).sum() for slope in (along, across)))
                u, v = x[inside], y[inside]
                # of stretches along the axes and along the diagonals
                changes = (u * along - v * across) / 2, (v * along + u * across) / 2
                stretched[radius].append(np.mean([1 / (c**2).sum() for c in changes]))
    picometres = 100 * images.sampling[0]
    # a pore against the mean of six neighbours strays by 1 + 1/6 of its own variance
    own = picometres * np.sqrt(np.mean(strays) / (1 + 1 / 6))
    print(f"pores stray by {own:.2f} pm ({len(strays)} pores)")
    ellipticities = np.concatenate(ellipticities)
    spread = np.mean(ellipticities**2) / 2  # of either component
    gain = answer_to_stretch(detector, np.asarray(images.data[0], dtype=float))
    print(f"mean ellipticity {100 * ellipticities.mean():.2f} %, {gain:.2f} of a stretch")
    measured = [
        row
        for row in read_table(results / "evaluation/fidelity.csv")
        if row["noise"] == arguments.noise
        and row["trained_on"] in ("", None, arguments.noise, "all")
        and row["method"] in ("gaussian_blur", "cnn", "universal")
    ]
    for c in sorted({row["c_noise"] for row in measured}):
        cells = [f"C {c:.2f}"]
        for radius, found in per_c.items():
            unbiased = picometres * c * np.sqrt(np.mean(found))
            known = 1 / np.hypot(1 / unbiased, 1 / own)
            cells.append(
                f"bound within {radius:g} spacings {unbiased:.2f}, spread known {known:.2f}"
            )
        for radius, found in stretched.items():
            told = spread / (spread + (gain * c) ** 2 * np.mean(found))
            bias = 100 * (1 - np.sqrt(told)) * ellipticities.mean()
            cells.append(f"too round by {bias:.2f} % within {radius:g}")
        cells += [
            f"{row['method']} {row['pore_centre_rmse_pm']:.2f} and "
            f"{100 * row['roundness_bias']:.2f} %"
            for row in measured
            if row["c_noise"] == c
        ]
        print("; ".join(cells))


def ellipticity(features) -> np.ndarray:
    """(λ1 - λ2) / (λ1 + λ2) of the second moments of each feature."""
    return (1 - features.roundness**2) / (1 + features.roundness**2)


def answer_to_stretch(detector: Detector, image: np.ndarray, by: float = 0.06) -> float:
    """Ellipticity that the detector sees in a stretched image, over the stretch."""
    middle = (np.array(image.shape) - 1) / 2
    shrink = np.exp([-by / 2, by / 2])
    stretched = affine_transform(image, shrink, middle * (1 - shrink), order=3, mode="mirror")
    before, after = (np.mean(ellipticity(detector.features(i)) ** 2) for i in (image, stretched))
    return float(np.sqrt(after - before) / by)


if __name__ == "__main__":
    main()
