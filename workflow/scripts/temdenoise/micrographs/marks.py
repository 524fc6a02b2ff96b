"""What the predicted error says about places of a denoised micrograph, for figure 3.

Nothing is marked by hand: where the mean brightness lies below that of the image by more than
its error, where the result varies by no more than its error, and which of the features
found neither hold against that error nor show in the image as recorded.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import center_of_mass, gaussian_filter, label

from temdenoise.micrographs.evidence import FoundFeatures
from temdenoise.micrographs.marked import DARK, DOUBTFUL, NAMES

SPACING = 3.0
"""What stands for the lattice's spacing where its ring is not known [Å]."""

WIDTH = 0.5
"""Standard deviation of the Gaussian that averages the lattice away over its spacing: of the
lattice's amplitude exp(-2 pi² WIDTH²), 0.7 %, is left."""

SHOWN = 3.0
"""Evidence in the image as recorded from which an uncertain feature is no suspected invention."""


@dataclass(frozen=True)
class Marks:
    """Places of a denoised image that are marked.

    Attributes
    ----------
    areas
        Sum of `DARK` and `DOUBTFUL` at every pixel, shape (rows, columns), uint8.
    places
        Rows of a table, ``mark`` (``certain``, ``uncertain``, ``suspected`` or one of `NAMES`),
        ``row`` and ``column`` [pixels], ``confidence`` and ``evidence`` (None for areas) and
        ``area`` [pixels] (None for features).
    """

    areas: np.ndarray
    places: list[dict[str, Any]]


def mark(
    denoised: np.ndarray,
    sigma: np.ndarray,
    slow: np.ndarray,
    features: FoundFeatures,
    *,
    width: tuple[float, float],
    invented: bool,
) -> Marks:
    """Mark a denoised image by its predicted error.

    With m the mean of the denoised image, s the rms of what stands out of its slow
    background and e that of the predicted error, all under a Gaussian of half a lattice
    spacing:

    - low brightness: m < median(m) - max(2 e, s0 / 2), s0 the rms of s over the image;
    - nothing certain: s < e, so that what seems to be seen there may be error alone;
    - a feature is uncertain if its confidence is below `evidence.CERTAIN`;
    - it is a suspected invention if it is uncertain and shows in the image as recorded by less
      than `SHOWN` standard deviations, if it lies where nothing is certain, or if the lattice
      as a whole is not in the image.

    Errors are taken as alike under the Gaussian, which marks rather too much than too little.

    Parameters
    ----------
    denoised, sigma, slow
        The result, its predicted error and the slow background, shape (rows, columns).
    features
        The features found.
    width
        Standard deviation of the Gaussian along rows and columns [pixels].
    invented
        Whether the lattice of the result is not in the image (`evidence.Invention`).

    Returns
    -------
    Marks
    """

    def mean(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(np.asarray(image, dtype=np.float64), width, mode="mirror")

    structure = np.sqrt(mean((denoised - slow) ** 2))
    error = np.sqrt(mean(np.square(sigma, dtype=np.float64)))
    brightness = mean(denoised)
    least = np.maximum(2 * error, np.sqrt(np.mean(structure**2)) / 2)
    dark = brightness < np.median(brightness) - least
    doubtful = structure < error
    centres = np.asarray(features.centres, dtype=float).reshape(-1, 2)
    at = np.clip(np.rint(centres).astype(int), 0, np.array(denoised.shape) - 1)
    confidence = np.asarray(features.confidence, dtype=float)
    evidence = np.asarray(features.evidence, dtype=float)
    uncertain = ~features.certain
    suspected = (uncertain & (evidence < SHOWN)) | doubtful[tuple(at.T)] | invented
    marks = np.where(suspected, "suspected", np.where(uncertain, "uncertain", "certain"))
    places = [
        {
            "mark": str(mark),
            "row": float(row),
            "column": float(column),
            "confidence": float(held),
            "evidence": float(min(shown, 1e3)),
            "area": None,
        }
        for (row, column), mark, held, shown in zip(
            centres, marks, confidence, evidence, strict=True
        )
    ]
    for value, area in ((DARK, dark), (DOUBTFUL, doubtful)):
        parts, number = label(area)
        sizes = np.bincount(parts.ravel())[1:]
        middles = center_of_mass(area, parts, range(1, number + 1))
        places += [
            {
                "mark": NAMES[value],
                "row": float(row),
                "column": float(column),
                "confidence": None,
                "evidence": None,
                "area": int(size),
            }
            for (row, column), size in zip(middles, sizes, strict=True)
        ]
    return Marks((DARK * dark + DOUBTFUL * doubtful).astype(np.uint8), places)
