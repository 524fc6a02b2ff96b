import numpy as np
import pytest
import torch
import torchmetrics.functional.image as reference
from scipy.ndimage import gaussian_filter, zoom
from scipy.special import j0
from temdenoise.foundation.quantities import PixelSize
from temdenoise.judging.metrics import (
    SCALE_WEIGHTS,
    error_spectrum,
    fourier_ring_correlation,
    intensity_errors,
    loss_by_scale,
    ms_ssim,
    ms_ssim_maps,
    pooled_ms_ssim,
    psnr,
    sums_by_label,
)

SIZE = PixelSize(0.2, 0.2)


def noisy(lattice, rng, c):
    return lattice + c * rng.standard_normal(lattice.shape)


def test_equal_images(lattice):
    assert ms_ssim(denoised=lattice, clean=lattice) == pytest.approx(1)
    assert psnr(denoised=lattice, clean=lattice) == np.inf


@pytest.mark.parametrize("c", [0.05, 0.2, 0.5])
def test_against_an_independent_implementation(lattice, rng, c):
    image = noisy(lattice, rng, c)
    pair = [torch.from_numpy(np.array(a, dtype=np.float64))[None, None] for a in (image, lattice)]
    theirs = reference.multiscale_structural_similarity_index_measure(
        *pair, data_range=1.0, gaussian_kernel=True, sigma=1.5, kernel_size=11, normalize="relu"
    )
    # they crop the borders differently
    assert ms_ssim(denoised=image, clean=lattice) == pytest.approx(float(theirs), abs=0.01)
    theirs = reference.peak_signal_noise_ratio(*pair, data_range=1.0)
    assert psnr(denoised=image, clean=lattice) == pytest.approx(float(theirs), abs=1e-4)


def test_more_noise_is_worse(lattice, rng):
    values = [ms_ssim(denoised=noisy(lattice, rng, c), clean=lattice) for c in (0.05, 0.2, 0.5)]
    assert values == sorted(values, reverse=True)


def test_inverted_contrast_is_bad_but_not_nan(lattice):
    assert 0 <= ms_ssim(denoised=1 - lattice, clean=lattice) < 0.1


def test_175_pixels_are_too_few_176_enough(lattice):
    with pytest.raises(ValueError, match="at least 176"):
        ms_ssim(denoised=lattice[:175, :176], clean=lattice[:175, :176])
    assert ms_ssim(denoised=lattice[:176, :176], clean=lattice[:176, :176]) == pytest.approx(1)


@pytest.mark.parametrize("metric", [ms_ssim, psnr])
def test_bad_pairs(metric, lattice):
    with pytest.raises(ValueError, match="equal shape"):
        metric(denoised=lattice[1:], clean=lattice)
    with pytest.raises(ValueError, match="not finite"):
        metric(denoised=np.full_like(lattice, np.nan), clean=lattice)
    with pytest.raises(ValueError, match="two images"):
        metric(denoised=lattice[None], clean=lattice[None])


def of_all(maps):
    """Sums and counts of whole maps."""
    return np.array([m.values.sum() for m in maps]), np.array([m.values.size for m in maps])


@pytest.mark.parametrize(
    "shape", [(176, 176), (177, 176), (191, 200), (192, 192), (203, 301), (176, 353)]
)
@pytest.mark.parametrize("c", [0.05, 0.4])
def test_product_of_the_means_of_the_maps_is_ms_ssim(rng, shape, c):
    clean = gaussian_filter(rng.random(shape), 2)
    clean = (clean - clean.min()) / np.ptp(clean)
    image = gaussian_filter(noisy(clean, rng, c), (0.7, 0))
    whole = ms_ssim(denoised=image, clean=clean)
    maps = ms_ssim_maps(denoised=image, clean=clean)
    assert whole < 0.99
    assert pooled_ms_ssim(*of_all(maps)) == pytest.approx(whole, abs=1e-9)


def test_maps_of_inverted_contrast_count_as_nothing(lattice):
    maps = ms_ssim_maps(denoised=1 - lattice, clean=lattice)
    assert maps[0].values.mean() < 0
    assert pooled_ms_ssim(*of_all(maps)) == ms_ssim(denoised=1 - lattice, clean=lattice) == 0


@pytest.mark.parametrize("shape", [(256, 320), (251, 305), (203, 301)])
def test_a_map_lies_where_the_image_differs(rng, shape):
    """The centroid of what is lost about one wrong place is that place, at every scale."""
    clean = rng.random(shape)
    place = np.array([0.48, 0.55]) * shape
    x, y = np.ogrid[: shape[0], : shape[1]]
    wrong = clean + 0.3 * rng.standard_normal(shape) * (np.hypot(x - place[0], y - place[1]) < 9)
    for number, scale in enumerate(ms_ssim_maps(denoised=wrong, clean=clean)[:4]):
        lost = 1 - scale.values
        assert lost.shape == (len(scale.x), len(scale.y))
        assert np.diff(scale.x) == pytest.approx(2**number)
        found = (lost.sum(axis=1) @ scale.x, lost.sum(axis=0) @ scale.y) / lost.sum()
        assert found == pytest.approx(place, abs=2 + 2**number / 4)


def test_centres_of_the_windows(lattice):
    """Of 192 pixels all scales are symmetric; of 193 the padding adds half a pixel in front."""
    for scale in ms_ssim_maps(denoised=lattice, clean=lattice):
        assert scale.x[0] + scale.x[-1] == scale.y[0] + scale.y[-1] == 191
    odd = zoom(lattice, 193 / 192, order=1)
    second = ms_ssim_maps(denoised=odd, clean=odd)[1]
    # its pixel 5, the first centre, is the mean of pixels 9 and 10
    assert (second.x[0], second.x[1]) == (9.5, 11.5)


def test_sums_by_label_add_up_and_follow_the_labels(rng):
    clean = rng.random((200, 240))
    image = clean.copy()
    image[:90, :100] += 0.5 * rng.standard_normal((90, 100))
    labels = np.full(clean.shape, -1)
    labels[:100, :120], labels[:100, 120:], labels[100:, 120:] = 0, 1, 3
    maps = ms_ssim_maps(denoised=image, clean=clean)
    sums, counts = sums_by_label(maps, labels)
    assert sums.shape == counts.shape == (4, 5)
    # the finest map: windows centred 5 pixels off the rim
    assert counts[:, 0].tolist() == [95 * 115, 95 * 115, 0, 95 * 115]
    assert sums[0, 0] == pytest.approx(maps[0].values[:95, :115].sum())
    lost = 1 - pooled_ms_ssim(sums, np.maximum(counts, 1))
    assert lost[0] > 3 * lost[1] > 0
    assert lost[3] < lost[1]
    # counted or not, every window is of one label
    everything = sums_by_label(maps, np.where(labels < 0, 2, labels))
    for total, whole in zip(everything, of_all(maps), strict=True):
        assert total.sum(axis=0) == pytest.approx(whole)
    assert everything[1][[0, 1, 3]].tolist() == counts[[0, 1, 3]].tolist()


def test_labels_that_are_none(lattice):
    maps = ms_ssim_maps(denoised=lattice, clean=lattice)
    for labels in (np.zeros((192, 192)), np.full((192, 192), -2), np.zeros(192, int)):
        with pytest.raises(ValueError, match="integers from -1"):
            sums_by_label(maps, labels)
    with pytest.raises(ValueError, match=r"expected that of the images, \(192, 192\)"):
        sums_by_label(maps, np.zeros((192, 191), int))


def test_pooled_over_images_is_of_the_means_by_scale():
    sums = np.array([[8.0] * 5, [4.0] * 5])
    counts = np.full((2, 5), 10)
    total = sum(SCALE_WEIGHTS)
    assert pooled_ms_ssim(sums, counts) == pytest.approx([0.8**total, 0.4**total])
    assert pooled_ms_ssim(sums.sum(0), counts.sum(0)) == pytest.approx(0.6**total)
    assert np.isnan(pooled_ms_ssim(sums[0], np.array([10, 10, 10, 10, 0])))
    with pytest.raises(ValueError, match="expected shape"):
        pooled_ms_ssim(sums, counts[0])


def test_loss_by_scale_says_at_which_scale_the_error_is(rng):
    clean = gaussian_filter(rng.random((256, 256)), 1.5)
    clean = (clean - clean.min()) / np.ptp(clean)
    white = rng.standard_normal(clean.shape)
    smooth = gaussian_filter(white, 12)
    fine, coarse = (
        loss_by_scale(*of_all(ms_ssim_maps(denoised=clean + error, clean=clean)))
        for error in (0.1 * white, 0.1 * smooth / smooth.std())
    )
    assert fine.sum() == pytest.approx(1)
    assert coarse.sum() == pytest.approx(1)
    # the coarsest scale has an eighth of the weight
    assert fine[0] + fine[1] > 0.5
    assert coarse[3] + coarse[4] > 0.8


def test_loss_of_no_error_and_of_all():
    counts = np.full(5, 10)
    assert np.isnan(loss_by_scale(counts, counts)).all()
    none_left = loss_by_scale(np.array([0.0, 5, 5, -1, 5]), counts)
    assert none_left == pytest.approx(np.array([0.0448, 0, 0, 0.2363, 0]) / 0.2811)


def white_image(rng, shape=(300, 256)):
    """An image with power at all frequencies, and none to spare at the edges."""
    return rng.standard_normal(shape)


def filtered(image, transfer):
    """Multiply the Fourier transform by a function of the frequency [1/Å]."""
    axes = [np.fft.fftfreq(n, 0.2) for n in image.shape]
    factor = transfer(axes[0][:, None], axes[1][None])
    return np.fft.ifft2(np.fft.fft2(image) * factor).real


def test_rings_of_equal_images(rng):
    image = white_image(rng)
    correlation = fourier_ring_correlation(denoised=image, clean=image, sampling=SIZE)
    error = error_spectrum(denoised=image + 0.7, clean=image, sampling=SIZE)
    assert correlation.values == pytest.approx(1)
    assert error.values == pytest.approx(0)
    # up to Nyquist, in rings two pixels of the coarser side wide
    assert len(correlation.frequency) == len(error.frequency) == 64
    assert np.diff(correlation.frequency)[1:] == pytest.approx(2 / (256 * 0.2), rel=0.1)
    assert correlation.frequency[-1] < 2.5


def test_a_blurred_image_keeps_its_phases_and_loses_amplitude(rng):
    image = white_image(rng)

    def transfer(u, v):
        return np.exp(-(u**2 + v**2) / 6)

    blurred = filtered(image, transfer)
    correlation = fourier_ring_correlation(denoised=blurred, clean=image, sampling=SIZE)
    error = error_spectrum(denoised=blurred, clean=image, sampling=SIZE)
    assert correlation.values.min() > 0.998
    assert error.values == pytest.approx((1 - transfer(error.frequency, 0)) ** 2, abs=0.01)
    assert error.values[-1] > 0.3


def test_white_noise_by_its_signal_to_noise_ratio(rng):
    def transfer(u, v):
        return np.exp(-(u**2 + v**2) / 3)

    image = filtered(white_image(rng, (512, 512)), transfer)
    noisy_image = image + 0.5 * rng.standard_normal(image.shape)
    correlation = fourier_ring_correlation(denoised=noisy_image, clean=image, sampling=SIZE)
    error = error_spectrum(denoised=noisy_image, clean=image, sampling=SIZE)
    snr = transfer(correlation.frequency, 0) ** 2 / 0.25
    # of the pixels in a ring the window leaves some half independent, of each pair of opposite
    # ones one; the first rings hold too few
    pixels = np.pi * (2 * np.arange(len(snr)) + 1) * 4 / 4
    apart = (correlation.values - np.sqrt(1 / (1 + 1 / snr))) * np.sqrt(pixels)
    assert np.abs(apart[3:]).max() < 4
    assert np.sqrt(np.mean(apart[3:] ** 2)) < 1.5
    assert correlation.values[-1] < 0.5 < 0.89 < correlation.values[3]
    assert (error.values * snr)[3:] == pytest.approx(1, abs=0.35)
    assert np.mean((error.values * snr)[20:]) == pytest.approx(1, abs=0.03)


def test_half_a_pixel_of_shift_counts_at_high_frequencies(rng):
    image = white_image(rng, (512, 512))
    moved = filtered(image, lambda u, v: np.exp(-2j * np.pi * u * 0.1) + 0 * v)
    found = fourier_ring_correlation(denoised=moved, clean=image, sampling=SIZE)
    assert found.values[found.frequency < 0.3].min() > 0.99
    # the phase averages to a Bessel function over a ring
    expected = j0(2 * np.pi * 0.1 * found.frequency)
    assert found.values[2:-1] == pytest.approx(expected[2:-1], abs=0.03)
    assert found.values[-1] < 0.6


def test_rings_of_oblong_pixels(rng):
    """A lattice of period 1.6 Å across rows lies in the ring of 1/1.6 per Å."""
    x = 0.1 * np.arange(256)[:, None] + np.zeros(128)
    pair = {"denoised": np.cos(2 * np.pi * x / 1.6), "clean": rng.standard_normal(x.shape)}
    found = error_spectrum(**pair, sampling=PixelSize(0.1, 0.2))
    assert found.frequency[found.values.argmax()] == pytest.approx(1 / 1.6, abs=0.04)
    # up to the lower of the two Nyquist frequencies
    assert 2.4 < found.frequency[-1] < 2.5


def test_rings_where_nothing_is(rng):
    image = white_image(rng)
    flat = np.zeros_like(image)
    correlation = fourier_ring_correlation(denoised=flat, clean=image, sampling=SIZE)
    assert (correlation.values == 0).all()
    assert error_spectrum(denoised=flat, clean=image, sampling=SIZE).values == pytest.approx(1)
    assert np.isnan(error_spectrum(denoised=image, clean=flat, sampling=SIZE).values).all()


@pytest.mark.parametrize("spectral", [fourier_ring_correlation, error_spectrum])
def test_pairs_without_rings(spectral, lattice):
    with pytest.raises(ValueError, match="equal shape"):
        spectral(denoised=lattice[1:], clean=lattice, sampling=SIZE)
    with pytest.raises(ValueError, match="at least 16 pixels"):
        spectral(denoised=lattice[:15], clean=lattice[:15], sampling=SIZE)


def test_one_site_that_is_too_bright_is_found_alone():
    places = np.array([[20.3, 20.7], [20.3, 40.2], [40.9, 30.5], [55.0, 11.0]])
    x, y = np.ogrid[:64, :64]
    atoms = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 1.5**2)) for a, b in places]
    clean = sum(atoms)
    image = clean + 0.1 * atoms[2]
    pair = {"denoised": image, "clean": clean, "centres": places, "radius": 4.0}
    found = intensity_errors(**pair)
    # of a Gaussian 1 - exp(-r²/2w²) lies within r
    within = 2 * np.pi * 1.5**2 * (1 - np.exp(-(4**2) / (2 * 1.5**2)))
    assert found[2] == pytest.approx(0.1 * within / (np.pi * 4**2), rel=0.02)
    assert np.abs(np.delete(found, 2)).max() < 1e-4 * found[2]


def test_the_disc_follows_its_centre_to_a_fraction_of_a_pixel():
    """Of a slope the mean over a disc is the value at its centre."""
    slope = 0.01 * np.arange(64)[:, None] + np.zeros(64)
    centres = np.stack([np.linspace(20, 22, 41), np.linspace(30, 30.7, 41)], axis=1)
    found = intensity_errors(denoised=slope, clean=np.zeros((64, 64)), centres=centres, radius=3.0)
    assert found == pytest.approx(0.01 * centres[:, 0], abs=4e-4)


def test_a_disc_at_the_rim_counts_what_lies_within():
    image = np.ones((40, 40))
    found = intensity_errors(
        denoised=image, clean=0 * image, centres=[[0.0, 0.0], [39.0, 20.4]], radius=5.0
    )
    assert found == pytest.approx(1)
    none = intensity_errors(denoised=image, clean=image, centres=np.empty((0, 2)), radius=5.0)
    assert none.shape == (0,)


def test_sites_that_are_none():
    pair = {"denoised": np.ones((40, 40)), "clean": np.ones((40, 40))}
    with pytest.raises(ValueError, match="off the image"):
        intensity_errors(**pair, centres=[[20.0, 39.5]], radius=2.0)
    with pytest.raises(ValueError, match=r"radius = 0\.5 pixels: expected at least 1"):
        intensity_errors(**pair, centres=[[20.0, 20.0]], radius=0.5)
