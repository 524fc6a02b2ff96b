"""The local Bragg filter: what is periodic within a window is kept, what is not is taken away.

A Wiener filter in the Fourier transform of overlapping windows (a windowed Fourier transform). It
knows that a lattice repeats over many cells, and nothing of atoms.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional

STEPS = 4
"""Windows overlap so that each pixel lies in this many of them along either axis."""

AT_ONCE = 2**24
"""Pixels of windows that are transformed at once, which bounds memory."""


def local_bragg(
    images: Tensor,
    *,
    window: int,
    threshold: float,
    variance: float | Tensor,
    steps: int = STEPS,
) -> Tensor:
    """Filter images by the transforms of their windows.

    Of a coefficient of a window with the power p the part max(p - k v, 0) / p is kept, with v the
    power of the noise there. Windows are weighted by half a sine before and after, so that they
    add up to one. The mean of a window is kept as it is.

    Parameters
    ----------
    images
        Shape (n, rows, columns), finite; any device.
    window
        Side of the windows [pixels], a multiple of `steps`; some six lattice constants.
    threshold
        The factor k; 1.5 to 4, more for less noise and less signal.
    variance
        Variance of white noise, or the power spectrum of the noise in a window, such that white
        noise has its variance everywhere, shape (window, window // 2 + 1).
    steps
        Number of windows a pixel lies in along either axis.

    Returns
    -------
    Tensor
        Shape and type of the images.

    Raises
    ------
    ValueError
        If the window is no multiple of the steps, or larger than an image mirrored once.

    Examples
    --------
    >>> rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    >>> lattice = torch.cos(0.9 * rows + 0.2 * columns)[None]
    >>> noise = torch.randn(lattice.shape, generator=torch.Generator().manual_seed(0))
    >>> filtered = local_bragg(lattice + noise, window=32, threshold=2.5, variance=1.0)
    >>> bool((filtered - lattice).std() < 0.3)
    True
    """
    if window < steps or window % steps:
        raise ValueError(f"window = {window}: expected a multiple of steps = {steps}")
    rows, columns = images.shape[-2:]
    if window >= min(rows, columns):
        raise ValueError(f"window = {window}: expected less than the sides, {rows} x {columns}")
    step = window // steps
    # each pixel in all its windows: mirrored beyond the rim by a window less a step, and so much
    # more that whole steps fit
    before = window - step
    after = [before + -n % step for n in (rows, columns)]
    padded = functional.pad(images[:, None], (before, after[1], before, after[0]), mode="reflect")[
        :, 0
    ]
    weights = _weights(window).to(images)
    power = torch.as_tensor(variance, dtype=images.dtype, device=images.device)
    power = threshold * power * (weights**2).sum()
    total = torch.zeros_like(padded)
    tops = range(0, padded.shape[1] - window + 1, step)
    wide = (padded.shape[2] - window) // step + 1
    some = max(1, AT_ONCE // (len(images) * wide * window**2))
    for first in range(0, len(tops), some):
        strip = tops[first : first + some]
        part = padded[:, strip[0] : strip[-1] + window]
        # shape (n, windows down, windows across, window, window)
        windows = part.unfold(1, window, step).unfold(2, window, step)
        means = windows.mean((-2, -1), keepdim=True)
        transform = torch.fft.rfft2((windows - means) * weights)
        found = transform.real.square() + transform.imag.square()
        kept = transform * ((found - power).clamp(min=0) / found.clamp(min=1e-30))
        back = torch.fft.irfft2(kept, s=(window, window)) * weights + means * weights**2
        for down, top in enumerate(strip):
            for across in range(steps):
                # windows side by side do not overlap
                beside = back[:, down, across::steps]
                row = beside.permute(0, 2, 1, 3).flatten(2)
                left = across * step
                total[:, top : top + window, left : left + row.shape[2]] += row
    # squares of half a sine, `steps` of them over each pixel along either axis
    total /= (steps / 2) ** 2
    return total[:, before : before + rows, before : before + columns]


@functools.lru_cache
def _weights(window: int) -> Tensor:
    """Half a sine along both axes, shape (window, window)."""
    half = torch.sin(torch.pi * (torch.arange(window, dtype=torch.float64) + 0.5) / window)
    return torch.outer(half, half)
