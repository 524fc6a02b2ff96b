"""Figures of merit of a denoised image against the clean one."""

from typing import NamedTuple

import numpy as np
import pytorch_msssim
import torch
from scipy import fft
from torch.nn.functional import avg_pool2d, conv2d

from temdenoise.foundation.quantities import PixelSize

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales of MS-SSIM, finest first; each is twice as coarse as the one before."""

# Window of SSIM [pixels], its standard deviation, and the constants at data range 1.
_WINDOW, _WIDTH = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


class ScaleMap(NamedTuple):
    """Similarity at one scale of MS-SSIM, of every window.

    Attributes
    ----------
    values
        Contrast and structure, at the coarsest scale times luminance, shape (nx, ny).
    x, y
        Centres of the windows [pixels of the full image], shapes (nx,) and (ny,).
    """

    values: np.ndarray
    x: np.ndarray
    y: np.ndarray


class RingValues(NamedTuple):
    """A quantity by spatial frequency.

    Attributes
    ----------
    frequency
        Mean spatial frequency of each ring [1/Å], shape (n,).
    values
        Of each ring, shape (n,).
    """

    frequency: np.ndarray
    values: np.ndarray


def _pair(denoised: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    denoised, clean = (np.array(a, dtype=np.float64) for a in (denoised, clean))
    if denoised.shape != clean.shape or clean.ndim != 2:
        raise ValueError(
            f"denoised {denoised.shape} and clean {clean.shape}: expected two images (x, y) "
            "of equal shape"
        )
    if not (np.isfinite(denoised).all() and np.isfinite(clean).all()):
        raise ValueError("denoised or clean holds values that are not finite")
    return denoised, clean


def _large_pair(denoised: np.ndarray, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    denoised, clean = _pair(denoised, clean)
    if min(clean.shape) < 176:
        raise ValueError(
            f"images of {clean.shape} pixels: MS-SSIM with 5 scales and an 11-pixel window "
            "needs sides of at least 176 pixels"
        )
    return denoised, clean


def ms_ssim(*, denoised: np.ndarray, clean: np.ndarray) -> float:
    """Multi-scale structural similarity: 5 scales, 11-pixel window, data range 1.

    Negative contrast-structure terms count as 0, so the result is never NaN.

    Parameters
    ----------
    denoised, clean
        Normalised images of equal shape (x, y), sides at least 176 pixels.

    Returns
    -------
    float
        In [0, 1]; 1 for equal images.

    Raises
    ------
    ValueError
        If shapes differ, a side is below 176 pixels, or a value is not finite.

    References
    ----------
    Z. Wang, E. P. Simoncelli, A. C. Bovik, doi:10.1109/ACSSC.2003.1292216.
    """
    denoised, clean = _large_pair(denoised, clean)
    tensors = (torch.from_numpy(a)[None, None] for a in (denoised, clean))
    return float(pytorch_msssim.ms_ssim(*tensors, data_range=1.0, win_size=11))


def ms_ssim_maps(*, denoised: np.ndarray, clean: np.ndarray) -> tuple[ScaleMap, ...]:
    """Resolve MS-SSIM by scale and place.

    The product over the scales of the means of the maps (negative ones count as 0), each to
    the power of its weight in `SCALE_WEIGHTS`, is `ms_ssim` of the same pair.

    A window is 11 pixels wide at its scale: from 11 pixels of the image at the finest to 176
    at the coarsest, with a standard deviation of 1.5 to 24 pixels.

    Parameters
    ----------
    denoised, clean
        Normalised images of equal shape (x, y), sides at least 176 pixels.

    Returns
    -------
    tuple of ScaleMap
        One for each of the five scales, finest first.

    Raises
    ------
    ValueError
        As `ms_ssim`.

    References
    ----------
    Z. Wang, E. P. Simoncelli, A. C. Bovik, doi:10.1109/ACSSC.2003.1292216.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(1).random((176, 200))
    >>> maps = ms_ssim_maps(denoised=image, clean=image)
    >>> [(scale.values.shape, float(scale.x[0])) for scale in maps[::4]]
    [((166, 190), 5.0), ((1, 3), 87.5)]
    """
    pair = torch.from_numpy(np.stack(_large_pair(denoised, clean))[:, None])
    # place of a pixel i of this scale in the full image: start + step * i
    start, step = np.zeros(2), 1
    maps = []
    for scale in range(len(SCALE_WEIGHTS)):
        if scale:
            padding = [side % 2 for side in pair.shape[2:]]
            # the mean of pixels 2i and 2i + 1, one less along a side that was padded
            start = start + step * (0.5 - np.array(padding))
            step *= 2
            pair = avg_pool2d(pair, kernel_size=2, padding=padding)
        luminance, structure = _ssim_maps(pair)
        values = structure * luminance if scale == len(SCALE_WEIGHTS) - 1 else structure
        centres = (
            s + step * (np.arange(n) + _WINDOW // 2)
            for s, n in zip(start, values.shape, strict=True)
        )
        maps.append(ScaleMap(values, *centres))
    return tuple(maps)


def _ssim_maps(pair: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, and contrast times structure, of two images, shape (2, 1, x, y)."""
    # in single precision first, as pytorch_msssim has it: the two agree to rounding
    window = torch.exp(-((torch.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _WIDTH**2))
    window = (window / window.sum()).to(pair.dtype)
    stack = torch.cat([pair, pair**2, pair[:1] * pair[1:]])
    for shape in ((-1, 1), (1, -1)):
        stack = conv2d(stack, window.reshape(1, 1, *shape))
    mean_a, mean_b, square_a, square_b, product = stack[:, 0].numpy()
    both, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    structure = (2 * (product - both) + _C2) / (square_a + square_b - squares + _C2)
    return (2 * both + _C1) / (squares + _C1), structure


def sums_by_label(maps: tuple[ScaleMap, ...], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the maps of MS-SSIM over the structures that an image is made of.

    A window counts where its centre lies. At the coarsest scales it reaches into the
    neighbours of a structure that is smaller than the window.

    Parameters
    ----------
    maps
        What `ms_ssim_maps` returned.
    labels
        Number of the structure of each pixel, shape (x, y), integers; -1: not counted.

    Returns
    -------
    tuple of numpy.ndarray
        Sums, and numbers of windows, shape (n_labels, 5) each, n_labels being the largest
        label plus 1; see `pooled_ms_ssim`.

    Raises
    ------
    ValueError
        If the labels are no image of integers from -1, or smaller than that of the maps.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(1).random((176, 176))
    >>> halves = np.repeat([0, 1], 88)[:, None] * np.ones(176, int)
    >>> sums, counts = sums_by_label(ms_ssim_maps(denoised=image, clean=image), halves)
    >>> counts[:, 0].tolist(), float(pooled_ms_ssim(sums.sum(0), counts.sum(0)).round(9))
    ([13778, 13778], 1.0)
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < -1:
        raise ValueError(
            f"labels of shape {labels.shape} and type {labels.dtype}: expected an image (x, y) of "
            "integers from -1"
        )
    ends = [round(float(axis[-1] + axis[0])) for axis in (maps[0].x, maps[0].y)]
    if tuple(end + 1 for end in ends) != labels.shape:
        raise ValueError(
            f"labels of shape {labels.shape}: expected that of the images, "
            f"{tuple(end + 1 for end in ends)}"
        )
    # one place more for what is not counted, at the end
    n = int(labels.max()) + 2
    sums, counts = np.zeros((n, len(maps))), np.zeros((n, len(maps)), dtype=int)
    for scale, each in enumerate(maps):
        # centres half way between two pixels go to the upper one
        x, y = (np.floor(axis + 0.5).astype(int) for axis in (each.x, each.y))
        at = labels[np.ix_(x, y)].ravel()
        at = np.where(at < 0, n - 1, at)
        sums[:, scale] = np.bincount(at, each.values.ravel(), minlength=n)
        counts[:, scale] = np.bincount(at, minlength=n)
    return sums[:-1], counts[:-1]


def pooled_ms_ssim(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """MS-SSIM of sums of its maps: the means at the five scales to the power of their weights.

    Of several images it is that of their means by scale, which is not the mean of their
    MS-SSIM.

    Parameters
    ----------
    sums, counts
        Sums of the maps and numbers of windows, shape (..., 5), see `sums_by_label`.

    Returns
    -------
    numpy.ndarray
        Shape (...); NaN where a scale has no window.

    Examples
    --------
    >>> import numpy as np
    >>> float(pooled_ms_ssim(np.full(5, 9.0), np.full(5, 10)).round(3))
    0.9
    """
    return np.prod(_means(sums, counts) ** np.array(SCALE_WEIGHTS), axis=-1)


def loss_by_scale(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Fraction of -log(MS-SSIM) that each scale contributes.

    Parameters
    ----------
    sums, counts
        See `pooled_ms_ssim`.

    Returns
    -------
    numpy.ndarray
        Shape (..., 5), sum 1. NaN where nothing is lost or a scale has no window. Scales
        whose mean is 0 or below lose all there is, in proportion to their weights.

    Examples
    --------
    >>> import numpy as np
    >>> loss_by_scale(np.array([9.0, 10, 10, 10, 9]), np.full(5, 10)).round(2)
    array([0.25, 0.  , 0.  , 0.  , 0.75])
    """
    means = _means(sums, counts)
    none_left = (means == 0).any(axis=-1, keepdims=True)
    logarithm = np.log(means, out=np.zeros_like(means), where=means != 0)
    lost = np.array(SCALE_WEIGHTS) * np.where(none_left, means == 0, 0.0 - logarithm)
    total = lost.sum(axis=-1, keepdims=True)
    return np.divide(lost, total, out=np.full(lost.shape, np.nan), where=total != 0)


def _means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means by scale, negative ones as 0, NaN without windows."""
    sums, counts = np.asarray(sums, dtype=float), np.asarray(counts)
    if sums.shape != counts.shape or sums.shape[-1:] != (len(SCALE_WEIGHTS),):
        raise ValueError(
            f"sums {sums.shape} and counts {counts.shape}: expected shape (..., 5) of both"
        )
    return np.maximum(
        np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts != 0), 0.0
    )


def psnr(*, denoised: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio for data range 1: -10 log10(mean squared error) [dB].

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> round(psnr(denoised=np.full((8, 8), 0.1), clean=np.zeros((8, 8))), 3)
    20.0
    """
    denoised, clean = _pair(denoised, clean)
    error = np.mean((denoised - clean) ** 2)
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def fourier_ring_correlation(
    *, denoised: np.ndarray, clean: np.ndarray, sampling: PixelSize
) -> RingValues:
    """Correlation of the two Fourier transforms in rings of spatial frequency.

    1 where the phases are right, whatever the amplitudes; sqrt(snr / (1 + snr)) where noise
    of that signal-to-noise ratio is left. Means are removed; a Hann window keeps the edges
    of the image out of it.

    Parameters
    ----------
    denoised, clean
        Images of equal shape (x, y).
    sampling
        Pixel size [Å].

    Returns
    -------
    RingValues
        In [-1, 1]; 0 where one image has no power. Rings are two pixels of the transform wide
        and end at the Nyquist frequency.

    Raises
    ------
    ValueError
        If shapes differ, a side is below 16 pixels, or a value is not finite.

    References
    ----------
    M. van Heel, M. Schatz, doi:10.1016/j.jsb.2005.05.009.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(1).random((64, 64))
    >>> half = fourier_ring_correlation(
    ...     denoised=0.5 * image, clean=image, sampling=PixelSize(0.2, 0.2)
    ... )
    >>> half.values.round(6).tolist() == [1.0] * 16
    True
    """
    rings = _Rings(_pair(denoised, clean), sampling)
    first, second = rings.transforms
    cross = rings.means((first * second.conj()).real)
    power = rings.means(np.abs(first) ** 2) * rings.means(np.abs(second) ** 2)
    values = np.divide(cross, np.sqrt(power), out=np.zeros_like(cross), where=power > 0)
    return RingValues(rings.frequency, values)


def error_spectrum(*, denoised: np.ndarray, clean: np.ndarray, sampling: PixelSize) -> RingValues:
    """Power of the error over that of the clean image in rings of spatial frequency.

    0 where all is as it should be, 1 where all is lost (or as much noise as signal is left),
    (1 - H)² where the amplitudes are H times what they should be.

    Parameters
    ----------
    denoised, clean, sampling
        See `fourier_ring_correlation`, as for the window, the means and the rings.

    Returns
    -------
    RingValues
        At least 0; NaN where the clean image has no power.

    Raises
    ------
    ValueError
        As `fourier_ring_correlation`.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(1).random((64, 64))
    >>> half = error_spectrum(denoised=0.5 * image, clean=image, sampling=PixelSize(0.2, 0.2))
    >>> half.values.round(6).tolist() == [0.25] * 16
    True
    """
    rings = _Rings(_pair(denoised, clean), sampling)
    first, second = rings.transforms
    error, power = (rings.means(np.abs(part) ** 2) for part in (first - second, second))
    values = np.divide(error, power, out=np.full(error.shape, np.nan), where=power > 0)
    return RingValues(rings.frequency, values)


class _Rings:
    """Fourier transforms of two images under a Hann window, and the rings to average over."""

    def __init__(self, pair: tuple[np.ndarray, np.ndarray], sampling: PixelSize):
        shape = pair[0].shape
        if min(shape) < 16:
            raise ValueError(f"images of {shape} pixels: expected sides of at least 16 pixels")
        window = np.outer(*(np.hanning(n + 2)[1:-1] for n in shape))
        # the mean under the window, so that nothing of it leaks
        self.transforms = [
            fft.fft2((image - (image * window).sum() / window.sum()) * window) for image in pair
        ]
        axes = [fft.fftfreq(n, step) for n, step in zip(shape, sampling, strict=True)]
        frequency = np.hypot(axes[0][:, None], axes[1][None])
        # as wide as the window blurs the transform, along the axis where its pixels are coarser
        width = 2 * max(axis[1] for axis in axes)
        number = (frequency / width).astype(int)
        self.n = int(min(np.abs(axis).max() for axis in axes) / width)
        self.number = np.minimum(number, self.n).ravel()
        self.frequency = self.means(frequency)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean over each ring, shape (n,)."""
        count = np.bincount(self.number, minlength=self.n)[: self.n]
        means: np.ndarray = np.bincount(self.number, values.ravel(), self.n)[: self.n] / count
        return means


def intensity_errors(
    *, denoised: np.ndarray, clean: np.ndarray, centres: np.ndarray, radius: float
) -> np.ndarray:
    """Error of the mean intensity about sites: of an atom's column, or of a pore.

    The mean is over a disc; a pixel that its rim cuts counts by the fraction of it within,
    taken as radius + 1/2 less its distance from the centre, between 0 and 1. So the mean
    follows the centre smoothly. Of a disc that leaves the image the part within counts.

    Parameters
    ----------
    denoised, clean
        Images of equal shape (x, y).
    centres
        Sites [pixels], shape (n, 2), within the image.
    radius
        Of the disc [pixels], at least 1.

    Returns
    -------
    numpy.ndarray
        Mean of the denoised less that of the clean image, shape (n,).

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, a centre lies off the image, or the radius
        is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> clean = np.ones((32, 32))
    >>> brighter = clean + 0.1 * (np.arange(32) > 15)[:, None]
    >>> sites = np.array([[5.0, 9.3], [25.5, 9.0]])
    >>> intensity_errors(denoised=brighter, clean=clean, centres=sites, radius=3.5).round(6)
    array([0. , 0.1])
    """
    denoised, clean = _pair(denoised, clean)
    centres = np.asarray(centres, dtype=float).reshape(-1, 2)
    if not radius >= 1:
        raise ValueError(f"radius = {radius} pixels: expected at least 1")
    last = np.array(clean.shape) - 1
    if not ((centres >= 0) & (centres <= last)).all():
        raise ValueError(f"centres lie off the image of {clean.shape} pixels")
    reach = int(np.ceil(radius)) + 1
    offsets = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 2)
    pixels = np.rint(centres).astype(int)[:, None] + around
    distance = np.hypot(*np.moveaxis(pixels - centres[:, None], -1, 0))
    weights = np.clip(radius + 0.5 - distance, 0, 1)
    weights *= ((pixels >= 0) & (pixels <= last)).all(axis=-1)
    x, y = np.moveaxis(np.clip(pixels, 0, last), -1, 0)
    errors: np.ndarray = (weights * (denoised - clean)[x, y]).sum(axis=1) / weights.sum(axis=1)
    return errors
