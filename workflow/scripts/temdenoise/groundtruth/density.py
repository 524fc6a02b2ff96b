"""From a three-dimensional density to a projected map."""

import numpy as np

from temdenoise.foundation.errors import DataError


def project_density(n_zR: np.ndarray, spacing_z: float) -> np.ndarray:
    """Integrate an electron density along z.

    m(x, y) = Σ_z n(x, y, z) Δz

    Parameters
    ----------
    n_zR
        Density [e/Å³], shape (z, x, y).
    spacing_z
        Grid spacing along z [Å].

    Returns
    -------
    numpy.ndarray
        Projected density [e/Å²], float64, shape (x, y).

    Raises
    ------
    DataError
        If the density holds values that are not finite.
    """
    projected: np.ndarray = np.asarray(np.sum(n_zR, axis=0, dtype=np.float64)) * spacing_z
    if not np.isfinite(projected).all():
        raise DataError("the density holds values that are not finite; run its DFT job again")
    return projected


def blur_periodic(
    image: np.ndarray, *, resolution: float, sampling: tuple[float, float]
) -> np.ndarray:
    """Convolve a periodic map with a Gaussian, exactly, in Fourier space.

    Parameters
    ----------
    image
        Shape (x, y).
    resolution
        Standard deviation of the Gaussian [Å]; 0 changes nothing.
    sampling
        Pixel size along x and y [Å].
    """
    if resolution == 0:
        return image
    qx = np.fft.fftfreq(image.shape[0], sampling[0])[:, None]
    qy = np.fft.rfftfreq(image.shape[1], sampling[1])[None, :]
    transfer = np.exp(-2 * (np.pi * resolution) ** 2 * (qx**2 + qy**2))
    return np.fft.irfft2(np.fft.rfft2(image) * transfer, s=image.shape)


def check_electrons(
    projected: np.ndarray,
    *,
    sampling: tuple[float, float],
    expected: float,
    tolerance: float = 1e-3,
) -> float:
    """Return the number of electrons in a map, or refuse a map that lost some.

    Parameters
    ----------
    projected
        Projected density [e/Å²], shape (x, y).
    sampling
        Pixel size along x and y [Å].
    expected
        Number of electrons the map should hold.
    tolerance
        Largest relative deviation.

    Raises
    ------
    DataError
        If the map holds more or fewer electrons than it should.

    Examples
    --------
    >>> import numpy as np
    >>> check_electrons(np.full((10, 20), 2.0), sampling=(0.1, 0.2), expected=8.0)
    8.0
    """
    electrons = float(projected.sum() * sampling[0] * sampling[1])
    if not abs(electrons - expected) <= tolerance * expected:
        raise DataError(
            f"the map holds {electrons:.4f} electrons, expected {expected:.4f} within "
            f"{tolerance:.1%}; a finer dft.grid_spacing or density_grid_spacing mends this"
        )
    return round(electrons, 6)
