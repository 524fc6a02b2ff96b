"""Other people's programs as a method."""

import shlex
import sys
import time

import numpy as np
import pytest
from temdenoise.foundation.errors import ConfigurationError, DataError
from temdenoise.judging.programs import Program

LOADS = "import sys, numpy as np, tifffile; given, wanted = sys.argv[1:]; "
READS = LOADS + "image = tifffile.imread(given); "


def python(code, files="{input} {output}"):
    """Write a command that runs a little program."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {files}"


@pytest.fixture
def frame(rng):
    return rng.random((12, 9))


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".tif", "tifffile.imwrite(wanted, image)"),
        (".tiff", "tifffile.imwrite(wanted, image[None])"),
        (".npy", "np.save(wanted, image)"),
    ],
)
def test_what_a_program_returns_is_the_image(frame, suffix, write):
    program = Program(python(READS + write), "copy", suffix=suffix, rescale=False)
    denoised, sigma = program.denoise(frame)
    assert sigma is None
    assert denoised.shape == frame.shape
    assert denoised == pytest.approx(frame, abs=1e-6)


def test_programs_are_given_float32_with_rows_along_y(frame):
    code = (
        READS + "assert image.dtype == 'float32' and image.shape == (9, 12); np.save(wanted, image)"
    )
    denoised, _ = Program(python(code), "look", suffix=".npy").denoise(frame)
    assert denoised == pytest.approx(frame, abs=1e-6)


def test_eight_bits_are_fitted_to_the_intensities_of_the_frame(frame):
    code = READS + "image = (image - image.min()) / np.ptp(image) * 255; "
    command = python(code + "tifffile.imwrite(wanted, image.astype(np.uint8))")
    given = 3 + 0.5 * frame
    assert Program(command, "bits").denoise(given)[0] == pytest.approx(given, abs=0.01)
    raw, _ = Program(command, "bits", rescale=False).denoise(given)
    assert raw.max() == 255


def test_inverted_contrast_and_flat_images_are_not_repaired(frame):
    inverted = Program(python(READS + "tifffile.imwrite(wanted, -image)"), "inverted")
    flat = Program(python(READS + "tifffile.imwrite(wanted, image * 0 + 7)"), "flat")
    for program in (inverted, flat):
        assert program.denoise(frame)[0] == pytest.approx(np.full(frame.shape, frame.mean()))


def test_failure_is_told_with_the_last_lines(frame):
    code = "import sys; print(*range(100), sep='\\n', file=sys.stderr); sys.exit(3)"
    with pytest.raises(DataError, match=r"unlucky .*exit code 3(.|\n)*98\n99$") as caught:
        Program(python(code), "unlucky").denoise(frame)
    assert "\n50\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("tifffile.imwrite(wanted, image[1:])", r"shape \(8, 12\), expected \(9, 12\)"),
        ("tifffile.imwrite(wanted, np.stack([image] * 3))", r"shape \(3, 9, 12\), expected"),
        ("image[2, 3] = np.nan; tifffile.imwrite(wanted, image)", "1 of 108 pixels"),
        ("pass", "wrote no output.tif"),
        ("open(wanted, 'w').write('no image')", "output.tif cannot be read"),
    ],
)
def test_what_is_no_denoised_image_is_refused(frame, code, told):
    with pytest.raises(DataError, match=told):
        Program(python(READS + code), "odd").denoise(frame)


def test_objects_are_not_unpickled(frame):
    code = LOADS + "np.save(wanted, np.array([{}], object), allow_pickle=True)"
    with pytest.raises(DataError, match=r"output\.npy cannot be read"):
        Program(python(code), "odd", suffix=".npy").denoise(frame)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("denoiser {input}", "{output}"),
        ("denoiser {output}", "{input}"),
        ("denoiser '{input} {output}", "quotation"),
    ],
)
def test_commands_that_cannot_work_are_refused_at_once(command, told):
    with pytest.raises(ConfigurationError, match=told):
        Program(command, "odd")


@pytest.mark.parametrize("options", [{"suffix": ".png"}, {"timeout": 0}])
def test_options_out_of_range_are_refused_at_once(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Program("denoiser {input} {output}", "odd", **options)


def test_missing_program_is_told(frame):
    with pytest.raises(ConfigurationError, match=r"cannot be started .*full path"):
        Program("/nowhere/denoiser {input} {output}", "absent").denoise(frame)


def test_no_shell_sees_the_command(frame, tmp_path):
    """What would be shell syntax is an argument; placeholders may stand within a word."""
    mark = tmp_path / "mark"
    code = (
        "import sys, numpy as np, tifffile; "
        "given, wanted = (word.partition('=')[2] for word in sys.argv[1:3]); "
        f"assert sys.argv[3:] == [';', 'touch', {str(mark)!r}]; "
        "tifffile.imwrite(wanted, tifffile.imread(given))"
    )
    command = python(code, "--from={input} --to={output} ';' touch " + shlex.quote(str(mark)))
    assert Program(command, "words").denoise(frame)[0] == pytest.approx(frame, abs=1e-6)
    assert not mark.exists()


def test_a_program_that_hangs_is_ended_with_what_it_started(frame, tmp_path):
    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(mark)!r}).touch()"
    code = (
        "import subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    start = time.monotonic()
    with pytest.raises(DataError, match=r"not done after 1 s"):
        Program(python(code), "slow", timeout=1).denoise(frame)
    assert time.monotonic() - start < 20
    time.sleep(3.5)
    assert not mark.exists()
