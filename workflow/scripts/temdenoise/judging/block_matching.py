"""Methods that average patches that look alike: nearby, a lattice translation apart, or grouped.

Images are normalised, shape (x, y). The entries of `classical.BASELINES` are made of these.
"""

from dataclasses import replace

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, maximum_filter, shift, spline_filter
from skimage.restoration import denoise_nl_means

from temdenoise.foundation.quantities import PixelSize
from temdenoise.measuring.spectrum import Spectrum, lattice_peaks, spectrum

ASSUMED_PIXEL = 0.2
"""A method is not given the pixel size; with this one [Å], periods of 4 to 60 pixels are found."""

EQUIVALENT = 0.75
"""Autocorrelation of a lattice translation, at least, over that of the best one.

Between sites of a cell that only resemble each other it stays below 0.6.
"""

PHASES = 2
"""Translations are rounded to this fraction of a pixel along either axis; finer brings nothing."""

SEARCH = 63
"""Side of the square BM3D searches [pixels]: five periods of graphene at 0.2 Å/pixel.

Its own 39 pixels are three; five leave a tenth less 1 - MS-SSIM, eight take twice the time.
"""


def nl_means(
    noisy: np.ndarray, *, sigma: float, h: float, patch: float, search: float
) -> np.ndarray:
    """Non-local means (A. Buades et al., doi:10.1109/CVPR.2005.38).

    h: over sigma; patch: side of the patches; search: largest distance of one along either axis
    [pixels].
    """
    averaged: np.ndarray = denoise_nl_means(
        noisy,
        patch_size=int(patch),
        patch_distance=int(search),
        h=h * sigma,
        sigma=sigma,
        fast_mode=True,
    )
    return averaged


def lattice_translations(noisy: np.ndarray, *, sigma: float, number: int) -> np.ndarray | None:
    """Find the shortest translations of the lattice in a noisy image.

    The lattice peaks of the power spectrum alone are transformed back to an autocorrelation, in
    which the noise is weak. The two shortest of its equivalent maxima are the basis, which is then
    fitted to all of them.

    Parameters
    ----------
    noisy
        Shape (x, y).
    sigma
        Root mean square of the noise.
    number
        How many translations at most; none is longer than half the shorter side.

    Returns
    -------
    numpy.ndarray or None
        Shape (n, 2), along x and y [pixels], the shortest first, without that of length 0. None
        if no lattice of two directions stands out of the noise.

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(128), np.arange(128), indexing="ij")
    >>> image = np.cos(2 * np.pi * x / 12.5) + np.cos(2 * np.pi * y / 16)
    >>> found = lattice_translations(image, sigma=0.1, number=8)
    >>> np.abs(found).max(axis=0).round(1).tolist()
    [12.5, 16.0]
    """
    basis = _basis(spectrum(noisy, PixelSize.of(ASSUMED_PIXEL)), sigma)
    if basis is None:
        return None
    longest = min(noisy.shape) / 2
    # steps along either vector that may be needed: the largest singular value bounds them
    most = int(np.ceil(longest * np.linalg.norm(np.linalg.inv(basis), 2)))
    steps = np.arange(-most, most + 1)
    every = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2) @ basis
    length = np.hypot(*every.T)
    order = np.argsort(length, kind="stable")[1 : number + 1]
    return every[order[length[order] <= longest]]


def _basis(found: Spectrum, sigma: float) -> np.ndarray | None:
    """Two shortest lattice translations, shape (2, 2), rows are vectors [pixels]."""
    # an image without noise has no floor that peaks could stand out of
    found = replace(found, floor=np.maximum(found.floor, sigma**2))
    correlation = _lattice_autocorrelation(found)
    vectors = None if correlation is None else _equivalent(correlation)
    if vectors is None:
        return None
    first, lengths = vectors[0], np.hypot(*vectors.T)
    area = np.abs(first[0] * vectors[:, 1] - first[1] * vectors[:, 0])
    others = vectors[area > 0.4 * lengths[0] * lengths]
    if not len(others):
        return None
    basis = np.array([first, others[0]])
    # first to the next cells, then to those that these lead to
    for cells in (2.5, 5):
        index = vectors @ np.linalg.inv(basis)
        whole = np.rint(index)
        fits = (np.abs(index - whole) < 0.25).all(axis=1) & (lengths < cells * np.hypot(*basis[1]))
        if np.linalg.matrix_rank(whole[fits]) < 2:
            return None
        basis = np.linalg.lstsq(whole[fits], vectors[fits], rcond=None)[0]
    return basis


def _equivalent(correlation: np.ndarray) -> np.ndarray | None:
    """Maxima of an autocorrelation nearly as high as the best, shape (n, 2), the shortest first."""
    reach = np.array(correlation.shape) // 3
    near = correlation[
        tuple(
            slice(n // 2 - r, n // 2 + r + 1) for n, r in zip(correlation.shape, reach, strict=True)
        )
    ]
    tops = np.argwhere(near == maximum_filter(near, 5, mode="nearest"))
    inside = ((tops > 0) & (tops < np.array(near.shape) - 1)).all(axis=1)
    tops = tops[inside & (np.hypot(*(tops - reach).T) > 2)]
    height = near[tuple(tops.T)]
    if not len(tops) or height.max() <= 0:
        return None
    tops = tops[height >= EQUIVALENT * height.max()]
    vectors = np.array([_top(near, top) for top in tops]) - reach
    return vectors[np.argsort(np.hypot(*vectors.T))]


def _lattice_autocorrelation(found: Spectrum) -> np.ndarray | None:
    """Autocorrelation of what the lattice peaks hold, zero in the middle; None without lattice."""
    peaks = lattice_peaks(found)
    angles = np.array([np.arctan2(peak.rows, peak.columns) for peak in peaks])
    # stripes have peaks in one direction alone
    if not (np.abs(np.sin(angles[:, None] - angles)) > np.sin(np.deg2rad(15))).any():
        return None
    kept: np.ndarray = np.zeros(found.power.shape, bool)
    for peak in peaks:
        for sign in (1, -1):
            i, j = (
                int(np.abs(v - sign * p).argmin())
                for v, p in zip(found.vectors, (peak.rows, peak.columns), strict=True)
            )
            kept[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3] = True
    # the window of the spectrum, which would draw maxima inwards, is divided out
    window = np.outer(_correlation_of_hann(kept.shape[0]), _correlation_of_hann(kept.shape[1]))
    correlation = fft.fftshift(fft.ifft2(fft.ifftshift(found.power * kept)).real)
    return correlation / window


def _correlation_of_hann(number: int) -> np.ndarray:
    """Autocorrelation of the window of `spectrum` along an axis, zero in the middle."""
    window = np.hanning(number + 2)[1:-1]
    return fft.fftshift(fft.ifft(np.abs(fft.fft(window)) ** 2).real)


def _top(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Place of a maximum to a fraction of a pixel: a parabola along each axis."""
    refined = place.astype(float)
    for axis in (0, 1):
        step = np.arange(2) == axis
        before, here, after = (float(image[tuple(place + s * step)]) for s in (-1, 0, 1))
        bend = before - 2 * here + after
        if bend < 0:
            refined[axis] += np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    return refined


def average_over_translations(
    noisy: np.ndarray, estimate: np.ndarray, translations: np.ndarray, *, h: float, patch: float
) -> np.ndarray:
    """Average an image with its translated copies, each pixel by how alike the patches are.

    Non-local means whose candidates are lattice translations (N. Mevenkamp et al.,
    doi:10.1186/s40679-015-0004-8): a copy weighs exp(-d / h²) with d the mean squared difference
    of the patches around the pixel. As in the second step of BM3D, patches are compared in a
    first estimate, since noise would hide how alike they are.

    Parameters
    ----------
    noisy, estimate
        The image, and the first estimate of it, shape (x, y).
    translations
        Shape (n, 2) [pixels].
    h
        Difference that still counts as alike [intensity].
    patch
        Standard deviation of the Gaussian that weights a patch [pixels].

    Returns
    -------
    numpy.ndarray
        float32, shape (x, y).
    """
    steps = np.rint(translations * PHASES).astype(int)
    margin = int(np.abs(steps).max()) // PHASES + 2
    copies, compared = (_phases(image, margin) for image in (noisy, estimate))
    total, weight = noisy.astype(np.float32), np.ones(noisy.shape, np.float32)
    reference = estimate.astype(np.float32)
    scale = np.float32(-1 / max(h, 1e-12) ** 2)
    for step in steps:
        whole, phase = np.divmod(step, PHASES)
        part = tuple(
            slice(margin + w, margin + w + n) for w, n in zip(whole, noisy.shape, strict=True)
        )
        place = (*phase, *part)
        alike = gaussian_filter((reference - compared[place]) ** 2, patch, truncate=3)
        alike = np.exp(alike * scale)
        total += alike * copies[place]
        weight += alike
    averaged: np.ndarray = total / weight
    return averaged


def _phases(image: np.ndarray, margin: int) -> np.ndarray:
    """Shift an image by fractions of a pixel; (phases, phases, x + 2 margin, y + 2 margin)."""
    padded = np.pad(image.astype(np.float32), margin, mode="reflect")
    spline = spline_filter(padded, mode="mirror", output=np.float32)
    return np.array(
        [
            [
                shift(spline, (-i / PHASES, -j / PHASES), mode="mirror", prefilter=False)
                for j in range(PHASES)
            ]
            for i in range(PHASES)
        ]
    )


def bm3d(noisy: np.ndarray, *, sigma: float, factor: float = 1.0) -> np.ndarray:
    """BM3D (K. Dabov et al., doi:10.1109/TIP.2007.901238); factor: on the true sigma."""
    from bm3d import BM3DProfile
    from bm3d import bm3d as filtered

    profile = BM3DProfile()
    profile.search_window_ht = profile.search_window_wiener = SEARCH
    denoised: np.ndarray = filtered(noisy, factor * sigma, profile)
    return denoised


def bm3d_anscombe(
    noisy: np.ndarray, *, sigma: float, pedestal: float, factor: float = 1.0
) -> np.ndarray:
    """BM3D between the generalised Anscombe transform and its exact unbiased inverse.

    For noise of counting, whose variance is gain (x + pedestal) at the intensity x. The gain
    follows from what a method is given: its mean over the image is sigma². A pedestal is what
    normalising took away (`images.noise.dose`), or the variance of a read-out over the gain; no
    method is given it. factor: on sigma, as in `bm3d`.
    """
    level = float(np.mean(noisy)) + pedestal
    if level <= 0 or sigma <= 0:
        # nothing is counted, so the noise is of another kind
        return bm3d(noisy, sigma=sigma, factor=factor)
    gain = sigma**2 / level
    stable = anscombe((noisy + pedestal) / gain)
    middle = stable.mean()
    # in units in which the noise is sigma again: BM3D's thresholds expect images from 0 to 1
    filtered = bm3d(sigma * (stable - middle), sigma=sigma, factor=factor) / sigma
    denoised: np.ndarray = gain * inverse_anscombe(filtered + middle) - pedestal
    # the mean of the frame is known best; below a few counts the inverse is not exact
    return denoised + (noisy.mean() - denoised.mean())


def anscombe(counts: np.ndarray) -> np.ndarray:
    """Stabilise the variance of counts to about 1 (F. J. Anscombe, doi:10.1093/biomet/35.3-4.246).

    Examples
    --------
    >>> float(anscombe(np.array(5.625)).round(3))
    4.899
    """
    stable: np.ndarray = 2 * np.sqrt(np.maximum(counts + 3 / 8, 0))
    return stable


def inverse_anscombe(stable: np.ndarray) -> np.ndarray:
    """Return the mean counts whose transformed counts have this mean: the exact unbiased inverse.

    By the closed form of M. Mäkitalo, A. Foi (doi:10.1109/TIP.2011.2121085; of the generalised
    transform doi:10.1109/TIP.2012.2202675). The algebraic inverse is a quarter of a count too low.

    Parameters
    ----------
    stable
        Means of what `anscombe` returns. Below the transform of 0 the result is 0.
    """
    least = 2 * np.sqrt(3 / 8)
    d = np.maximum(stable, least)
    root = np.sqrt(3 / 2)
    counts = d**2 / 4 - 1 / 8 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3)
    return np.maximum(counts, 0)
