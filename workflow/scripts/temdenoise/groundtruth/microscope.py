"""From atoms to the image a microscope would make: ADF-STEM and HRTEM.

A supercell is imaged once, as periodic as it is. abTEM makes the potential and
sends plane waves through it (multislice); the optics below are functions of arrays.

For ADF no probe is scanned. The probe at r is a sum of plane waves with phases
exp(-2πi k·r), so the intensity on the detector is a Fourier series of r:

    I(r) = Σ_ij a_i a_j* exp(-2πi (k_i - k_j)·r) M_ij,   M_ij = Σ_det S_i(k) S_j*(k)

with S_i what becomes of plane wave i. M is one matrix product, and the image is
known at every r: exact PRISM, without interpolation.

References
----------
J. Madsen, T. Susi, doi:10.12688/openreseurope.13015.2 (abTEM).
C. Ophus, doi:10.1186/s40679-017-0046-1 (PRISM).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from temdenoise.foundation.errors import DataError
from temdenoise.foundation.microscopes import impossible, wavelength

MARGIN = 1.0
"""Empty space kept above and below the atoms; waves that pass more of it only change phase [Å]."""

SLICE = 2.0
"""Largest thickness of a slice [Å]; their number is odd, so that no atomic plane lies on a border
in a crystal of one or three planes."""

E_OVER_EPSILON = 180.9512801
"""Elementary charge over the vacuum permittivity [V Å]."""

FOCI = 9
"""Points of the Gauss-Hermite quadrature over the focal spread."""


def form_image(
    atoms: Atoms, microscope: Mapping[str, Any], *, bonding: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[float, float]]:
    """Image a supercell.

    Parameters
    ----------
    atoms
        In an orthogonal cell, periodic in x and y.
    microscope
        See `microscopes.microscope_of`.
    bonding
        Projected potential [V Å] to add to that of independent atoms, shape (x, y).

    Returns
    -------
    image : numpy.ndarray
        float64, shape (x, y), in the unit that `IMAGING` has for the mode.
    sampling : tuple of float
        Its pixel size along x and y [Å].

    Raises
    ------
    DataError
        If the microscope does not suit the supercell.
    """
    x, y, _ = atoms.cell.lengths().tolist()
    extent = (x, y)
    for problem in impossible(microscope, extent):
        raise DataError(problem)
    potential = slices(atoms, sampling=microscope["sampling"], bonding=bonding)
    image = IMAGING[microscope["mode"]].form(potential, microscope, extent=extent)
    return image, (extent[0] / image.shape[0], extent[1] / image.shape[1])


def slices(atoms: Atoms, *, sampling: float, bonding: np.ndarray | None = None) -> Any:
    """Make the sliced potential of independent atoms (Lobato's parametrisation) with abTEM.

    Parameters
    ----------
    atoms
        In an orthogonal cell; the empty space along z is cut off.
    sampling
        Largest pixel size [Å].
    bonding
        Projected potential [V Å] to add in the plane of the middle atom, shape (x, y).

    Returns
    -------
    abtem.PotentialArray
    """
    abtem = _abtem()
    layer = atoms.copy()
    layer.pbc = True
    layer.center(vacuum=MARGIN, axis=2)
    x, y, height = layer.cell.lengths().tolist()
    # even numbers with small factors: fast Fourier transforms, and a symmetric band limit
    gpts = (_fast(math.ceil(x / sampling - 1e-9)), _fast(math.ceil(y / sampling - 1e-9)))
    number = 2 * int(height / SLICE / 2) + 1
    number += 2 * (height / number > SLICE)
    potential = abtem.Potential(
        layer,
        gpts=gpts,
        slice_thickness=height / number,
        parametrization="lobato",
        projection="infinite",
    ).build(lazy=False)
    if bonding is not None:
        heights = np.cumsum(potential.slice_thickness)
        middle = int(np.searchsorted(heights, np.median(layer.positions[:, 2])))
        potential.array[middle] += _resampled(bonding, gpts)
    return potential


def scattering_matrix(
    potential: Any, microscope: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Send every plane wave of the probe through the potential and correlate them on the detector.

    Parameters
    ----------
    potential
        See `slices`.
    microscope
        See `microscopes.microscope_of`.

    Returns
    -------
    wave_vectors : numpy.ndarray
        k of the plane waves [1/Å], shape (n, 2).
    matrix : numpy.ndarray
        M, complex128, shape (n, n), Hermitian; for a detector of all angles its diagonal is 1.
    """
    energy, extent = microscope["energy"], potential.extent
    # every point of the reciprocal lattice within the aperture and its soft edge
    reach = [int(microscope["aperture"] / wavelength(energy) * 1e-3 * side) + 2 for side in extent]
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1)
    wave_vectors = steps.reshape(-1, 2) / np.asarray(extent)
    wave_vectors = wave_vectors[aperture_weights(wave_vectors, microscope, extent=extent) > 0]
    angle = angles(potential.gpts, extent, energy)
    on_detector = (angle >= microscope["inner"]) & (angle < microscope["outer"])
    waves = plane_waves(potential, wave_vectors, energy=energy)
    scattered = np.stack([spectrum[on_detector] for spectrum in waves])
    return wave_vectors, (scattered @ scattered.conj().T).astype(complex)


def plane_waves(potential: Any, wave_vectors: np.ndarray, *, energy: float) -> Iterator[np.ndarray]:
    """Send plane waves through the potential, one after the other (multislice).

    abTEM's own transmission functions, propagator and band limit, but slices without
    atoms are skipped, and the first with atoms needs no Fourier transform: a tilted
    wave's spectrum behind it is that of the untilted one, shifted. A flat crystal has
    no other slice, so its cost is that of the detector alone.

    Parameters
    ----------
    potential
        See `slices`.
    wave_vectors
        k [1/Å], shape (n, 2), of the supercell's reciprocal lattice.
    energy
        [keV]

    Yields
    ------
    numpy.ndarray
        Fourier transform of the exit wave, complex64, shape (x, y); the squares of
        that of an unscattered wave add up to 1.
    """
    from abtem.antialias import antialias_aperture

    shape, extent, length = potential.gpts, potential.extent, wavelength(energy)
    k = np.hypot(
        *np.meshgrid(
            *(np.fft.fftfreq(n, side / n) for n, side in zip(shape, extent, strict=True)),
            indexing="ij",
        )
    )
    limit = antialias_aperture(shape, potential.sampling, np)
    transmissions = potential.transmission_function(energy=energy * 1e3).array
    # from each slice with atoms: its transmission, and the way to the next one
    passes: list[tuple[np.ndarray, float]] = []
    before = 0.0
    for slab, transmission, thickness in zip(
        potential.array, transmissions, potential.slice_thickness, strict=True
    ):
        if np.any(slab):
            passes.append((np.fft.fft2(transmission) * limit, thickness))
        elif passes:
            passes[-1] = (passes[-1][0], passes[-1][1] + thickness)
        else:
            before += thickness
    ways = [
        (limit * np.exp(-1j * np.pi * length * k**2 * way)).astype(np.complex64)
        for _, way in passes
    ]
    first = (passes[0][0] / np.prod(shape)).astype(np.complex64)
    further = [np.fft.ifft2(spectrum).astype(np.complex64) for spectrum, _ in passes[1:]]
    for vector in wave_vectors:
        shift = tuple(np.rint(vector * np.asarray(extent)).astype(int))
        phase = np.exp(-1j * np.pi * length * (vector @ vector) * before)
        spectrum = np.roll(first, shift, axis=(0, 1)) * ways[0] * np.complex64(phase)
        for transmission, way in zip(further, ways[1:], strict=True):
            spectrum = np.fft.fft2(np.fft.ifft2(spectrum) * transmission) * way
        yield spectrum


def adf_image(
    wave_vectors: np.ndarray,
    matrix: np.ndarray,
    microscope: Mapping[str, Any],
    *,
    extent: tuple[float, float],
    shape: tuple[int, int],
) -> np.ndarray:
    """Sum the Fourier series of the ADF image.

    Parameters
    ----------
    wave_vectors, matrix
        See `scattering_matrix`.
    microscope
        See `microscopes.microscope_of`.
    extent
        Sides of the supercell [Å].
    shape
        Of the image [pixels].

    Returns
    -------
    numpy.ndarray
        Fraction of the beam on the detector at every position of the probe, shape (x, y).
    """
    steps = np.rint(wave_vectors * np.asarray(extent)).astype(int)
    weights = aperture_weights(wave_vectors, microscope, extent=extent)
    difference = steps[:, None] - steps[None]
    series = np.zeros(shape, dtype=complex)
    for focus, weight in foci(microscope):
        wave = weights * np.exp(-1j * phase(wave_vectors, microscope, defocus=focus))
        pairs = weight * wave[:, None] * wave.conj()[None] * matrix
        # exp(-2πi k·r) of the probe's position is the inverse of numpy's sign
        where = tuple(np.moveaxis(-difference, -1, 0) % np.array(shape)[:, None, None])
        np.add.at(series, where, pairs)
    image = np.fft.ifft2(series).real * np.prod(shape)
    return blur_by_source(image, microscope["source_size"], extent)


def _adf(
    potential: Any, microscope: Mapping[str, Any], *, extent: tuple[float, float]
) -> np.ndarray:
    wave_vectors, matrix = scattering_matrix(potential, microscope)
    return adf_image(wave_vectors, matrix, microscope, extent=extent, shape=potential.gpts)


def exit_wave(potential: Any, microscope: Mapping[str, Any]) -> np.ndarray:
    """Send a plane wave of intensity 1 through the potential: complex, shape (x, y)."""
    abtem = _abtem()
    wave = abtem.PlaneWave(energy=microscope["energy"] * 1e3)
    return np.asarray(wave.multislice(potential, lazy=False).array).squeeze().astype(complex)


def hrtem_image(
    wave: np.ndarray, microscope: Mapping[str, Any], *, extent: tuple[float, float]
) -> np.ndarray:
    """Image an exit wave through the objective lens.

    The intensity at each focus of the focal spread is added up (no envelope is assumed).

    Parameters
    ----------
    wave
        Exit wave, shape (x, y).
    microscope
        See `microscopes.microscope_of`.
    extent
        Sides of the supercell [Å].

    Returns
    -------
    numpy.ndarray
        Intensity over that of the incident beam, shape (x, y).
    """
    kx, ky = (np.fft.fftfreq(n, side / n) for n, side in zip(wave.shape, extent, strict=True))
    k = np.stack(np.meshgrid(kx, ky, indexing="ij"), axis=-1)
    within = angles(wave.shape, extent, microscope["energy"]) <= microscope["aperture"]
    spectrum = np.fft.fft2(wave) * within
    image = np.zeros(wave.shape)
    for focus, weight in foci(microscope):
        lens = np.exp(-1j * phase(k, microscope, defocus=focus))
        image += weight * np.abs(np.fft.ifft2(spectrum * lens)) ** 2
    return blur_by_source(image, microscope["source_size"], extent)


def _hrtem(
    potential: Any, microscope: Mapping[str, Any], *, extent: tuple[float, float]
) -> np.ndarray:
    return hrtem_image(exit_wave(potential, microscope), microscope, extent=extent)


class Forming(Protocol):
    """A function that forms images of one mode."""

    def __call__(
        self, potential: Any, microscope: Mapping[str, Any], *, extent: tuple[float, float]
    ) -> np.ndarray:
        """Image a potential (see `slices`) of sides `extent` [Å]; float64, shape (x, y)."""


@dataclass(frozen=True)
class Imaging:
    """How images of one mode are formed.

    Attributes
    ----------
    form
        The function that forms them.
    unit
        Unit of their intensity.
    """

    form: Forming
    unit: str


IMAGING: Mapping[str, Imaging] = MappingProxyType(
    {
        "adf": Imaging(_adf, "share of the beam"),
        "hrtem": Imaging(_hrtem, "share of the incident beam"),
    }
)
"""How images are formed, by the name of their mode (`modes.IMAGE_MODES`)."""


def phase(k: np.ndarray, microscope: Mapping[str, Any], *, defocus: float) -> np.ndarray:
    """Phase χ(k) = π λ k² (Cs λ² k² / 2 - defocus) of a lens [rad].

    Parameters
    ----------
    k
        Wave vectors [1/Å], shape (..., 2).
    microscope
        Its energy and Cs.
    defocus
        Positive for underfocus [Å].
    """
    length = wavelength(microscope["energy"])
    square = (k**2).sum(axis=-1)
    chi: np.ndarray = (
        np.pi * length * square * (microscope["cs"] * length**2 * square / 2 - defocus)
    )
    return chi


def foci(microscope: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Defocus [Å] and weight of each point of the quadrature over the focal spread.

    Examples
    --------
    >>> foci({"defocus": 10.0, "focal_spread": 0.0})
    [(10.0, 1.0)]
    """
    if microscope["focal_spread"] == 0:
        return [(microscope["defocus"], 1.0)]
    nodes, weights = np.polynomial.hermite_e.hermegauss(FOCI)
    foci = microscope["defocus"] + microscope["focal_spread"] * nodes
    return list(zip(foci.tolist(), (weights / weights.sum()).tolist(), strict=True))


def aperture_weights(
    k: np.ndarray, microscope: Mapping[str, Any], *, extent: tuple[float, float]
) -> np.ndarray:
    """Amplitudes of the probe's plane waves, with the sum of their squares 1.

    The edge of the aperture is one reciprocal pixel soft, so that it does not jump with
    the size of the supercell.

    Parameters
    ----------
    k
        [1/Å], shape (n, 2).
    microscope
        Its energy and aperture.
    extent
        Sides of the supercell [Å].
    """
    length = 1e3 * wavelength(microscope["energy"])
    radius = np.hypot(*k.T)
    along = np.where(radius[:, None] > 0, k / np.maximum(radius, 1e-12)[:, None], np.sqrt(0.5))
    step = np.hypot(*(along / np.asarray(extent)).T) * length
    amplitude = np.clip((microscope["aperture"] - radius * length) / step + 0.5, 0, 1)
    weights: np.ndarray = amplitude / np.sqrt((amplitude**2).sum())
    return weights


def angles(shape: tuple[int, int], extent: tuple[float, float], energy: float) -> np.ndarray:
    """Scattering angle of every point of the Fourier transform [mrad], shape (x, y)."""
    kx, ky = (np.fft.fftfreq(n, side / n) for n, side in zip(shape, extent, strict=True))
    k: np.ndarray = np.hypot(*np.meshgrid(kx, ky, indexing="ij"))
    return 1e3 * wavelength(energy) * k


def blur_by_source(image: np.ndarray, width: float, extent: tuple[float, float]) -> np.ndarray:
    """Convolve a periodic image with a Gaussian of a full width at half maximum [Å]."""
    sigma = width / np.sqrt(8 * np.log(2))
    qx = np.fft.fftfreq(image.shape[0], extent[0] / image.shape[0])[:, None]
    qy = np.fft.rfftfreq(image.shape[1], extent[1] / image.shape[1])[None]
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * (qx**2 + qy**2))
    return np.fft.irfft2(np.fft.rfft2(image) * transfer, s=image.shape)


def bonding_potential(
    bonded: np.ndarray, free: np.ndarray, *, extent: tuple[float, float]
) -> np.ndarray:
    """Projected potential of the charge that bonding moves.

    The electrons of charge -e satisfy ∇²V = (e/ε0) n; projected along z over a cell much
    taller than the charge: V(k) = -(e/ε0) Δn(k) / (4π² k²), and V(0) = 0.

    Parameters
    ----------
    bonded, free
        Projected densities with bonds and of free atoms [e/Å²], shape (x, y).
    extent
        Sides of the supercell [Å].

    Returns
    -------
    numpy.ndarray
        [V Å], shape (x, y).

    Examples
    --------
    Electrons gathered along a line lower the potential there:

    >>> wave = np.cos(2 * np.pi * np.arange(8) / 8)[:, None] * np.ones(8)
    >>> V = bonding_potential(1 + 0.1 * wave, np.ones((8, 8)), extent=(4.0, 4.0))
    >>> bool(np.allclose(V, -0.1 * wave * E_OVER_EPSILON * 4.0**2 / (4 * np.pi**2)))
    True
    """
    moved = np.fft.fft2(bonded - free)
    kx, ky = (np.fft.fftfreq(n, side / n) for n, side in zip(moved.shape, extent, strict=True))
    square = np.add.outer(kx**2, ky**2)
    square[0, 0] = np.inf
    return np.fft.ifft2(-E_OVER_EPSILON * moved / (4 * np.pi**2 * square)).real


def _resampled(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Periodic image on another grid, by its Fourier series."""
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    result = np.zeros(shape, dtype=complex)
    kept, given = [], []
    for old, new in zip(image.shape, shape, strict=True):
        n = (min(old, new) - 1) // 2
        given.append(slice(old // 2 - n, old // 2 + n + 1))
        kept.append(slice(new // 2 - n, new // 2 + n + 1))
    result[tuple(kept)] = spectrum[tuple(given)]
    scale = np.prod(shape) / image.size
    return np.fft.ifft2(np.fft.ifftshift(result)).real * scale


def _fast(n: int) -> int:
    """Next even number with no prime factor above 5."""
    while True:
        rest = n
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1 and n % 2 == 0:
            return n
        n += 1


def _abtem() -> Any:
    try:
        import abtem  # some seconds; and not in the environments of the other stages
    except ImportError as error:
        raise ModuleNotFoundError(
            f"abTEM is needed to form images ({error}); install it with `make imaging`, or let "
            "conda do so (--sdm conda)"
        ) from error
    abtem.config.set({"local_diagnostics.progress_bar": False})
    return abtem
