"""The verdict: which checks find something, what it weighs, and what becomes of it."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_frames import MOS2, PIXEL, TRAINED, hexagonal
from temdenoise.foundation.modes import IMAGE_MODES, image_mode, mode_by_contrast
from temdenoise.foundation.quantities import NoiseRange, PixelRange
from temdenoise.measuring.lattice import Ring, check
from temdenoise.micrographs.denoising import fit
from temdenoise.micrographs.evidence import Invention, Residual, Score
from temdenoise.micrographs.frame import analyse
from temdenoise.micrographs.nodata import without_data
from temdenoise.micrographs.sites import SiteEvidence
from temdenoise.micrographs.verdict import CHECKS, TITLES, Evidence, Weight, judge
from temdenoise.micrographs.weighing import PLAIN


@pytest.fixture(scope="module")
def frame():
    noise = np.random.default_rng(7).standard_normal((256, 240))
    return analyse(50 + hexagonal((256, 240)) + 1.5 * noise, sampling=PIXEL)


def scored(network, gaussian, *, valid=True):
    return Score(network, gaussian, 2.0, network - gaussian, 0.01, 0, 0.4, 0.01, valid)


def sites(supported=100, contradicted=0, untold=0):
    outcome = np.repeat(np.arange(3), (supported, contradicted, untold))
    none = np.zeros(len(outcome))
    return SiteEvidence(np.zeros((len(outcome), 2)), *[none] * 7, outcome)


def residual(lattice_left):
    return Residual((0.0, 0.0), 1.0, lattice_left)


def evidence(recorded, /, **changes):
    """All is well, but for the changes."""
    frame = changes.get("frame", recorded)
    trained = changes.get("trained", TRAINED)
    all_well = Evidence(
        frame=frame,
        trained=trained,
        fit=fit(frame.level, frame.noise_model, trained, frame.sampling),
        support=PLAIN,
        pixel_check=check(frame.ring, PIXEL, {"mos2": MOS2}, certain=True),
        score=scored(0.3, 0.2),
        sites=sites(),
        residual=residual(0.01),
        invented=Invention(6, 6, flat=False),
        mode=trained.mode,
    )
    return replace(all_well, **changes)


def findings(verdict):
    return {finding.check: finding.weight for finding in verdict.findings}


def test_verdict_when_all_is_well(frame):
    verdict = judge(evidence(frame))
    assert verdict.level == "good", verdict.reasons
    assert not verdict.use_gaussian
    assert verdict.remedies == ()
    assert findings(verdict) == {
        "held_out_score": Weight.FOR,
        "supported_sites": Weight.FOR,
        "right_pixel_size": Weight.FOR,
    }
    assert verdict.findings[0].check == "held_out_score"
    assert verdict.headline == f"{TITLES['good']}: {verdict.findings[0].text}."


def with_noise(kind):
    def change(frame):
        changed = replace(frame)
        vars(changed)["noise"] = replace(frame.noise, kinds=(kind,))
        return {"frame": changed}

    return change


def without_lattice(frame):
    empty = analyse(np.random.default_rng(1).standard_normal(frame.image.shape), sampling=PIXEL)
    assert empty.ring is None
    return {"frame": empty}


def changed_frame(**changes):
    return lambda frame: {"frame": replace(frame, **changes)}


def blanked(frame):
    """A tenth of the rows without data."""
    recorded = np.where(np.arange(len(frame.image))[:, None] < 26, 0, frame.image)
    return {"frame": replace(frame, no_data=without_data(recorded))}


WRONG = {
    "invented_structure": ("no", lambda _: {"invented": Invention(1, 6, flat=False)}),
    "too_much_noise": (
        "no",
        lambda _: {
            "trained": replace(TRAINED, noise=NoiseRange(0.02, 0.1)),
            "score": scored(0.3, 0.2, valid=False),
        },
    ),
    "worse_than_gaussian": ("no", lambda _: {"score": scored(0.2, 0.3)}),
    "wrong_pixel_size": (
        "no",
        lambda _: {"pixel_check": check(Ring(3.1, 3, 0), PIXEL, {"mos2": 2.7}, certain=True)},
    ),
    "contradicted_sites": ("no", lambda _: {"sites": sites(90, 10)}),
    "undecided_sites": ("careful", lambda _: {"sites": sites(40, 0, 60)}),
    "untrained_pixel_size": (
        "careful",
        lambda _: {"trained": replace(TRAINED, pixel_range=PixelRange(0.2, 0.3))},
    ),
    "coloured_noise": ("careful", with_noise("correlated")),
    "little_support": ("careful", lambda _: {"support": replace(PLAIN, fraction=0.59)}),
    "other_mode": ("careful", lambda _: {"mode": image_mode("density")}),
    "lattice_removed": ("careful", lambda _: {"residual": residual(0.3)}),
    "saturated_pixels": ("careful", changed_frame(saturated=0.01)),
    "areas_without_data": ("careful", blanked),
    "outlier_pixels": ("careful", changed_frame(replaced=256 * 240 // 20)),
    "no_lattice": ("careful", without_lattice),
    "held_out_score": ("careful", lambda _: {"score": scored(0.2, 0.2)}),
}
"""Level and change of the evidence for each check that can speak against a result."""


@pytest.mark.parametrize("name", WRONG)
def test_verdict_names_what_is_wrong(name, frame):
    level, change = WRONG[name]
    verdict = judge(evidence(frame, **change(frame)))
    assert verdict.level == level
    weight = Weight.AGAINST if level == "no" else Weight.DOUBT
    # that, and nothing else, speaks against it
    against = {name for name, found in findings(verdict).items() if found is not Weight.FOR}
    assert against == {name}
    assert findings(verdict)[name] is weight
    assert verdict.headline == f"{TITLES[level]}: {verdict.findings[0].text}."
    assert verdict.findings[0].check == name
    assert verdict.remedies == verdict.findings[0].remedies
    assert verdict.use_gaussian == (name == "worse_than_gaussian")


def test_every_check_has_its_case():
    names = {check.__name__ for check in CHECKS}
    assert names == {*WRONG, "supported_sites", "right_pixel_size"}
    assert len(names) == len(CHECKS)


def test_what_is_right_at_the_edge_of_its_check_is_not_found(frame):
    """So that no check fires whatever it is given."""
    verdict = judge(
        evidence(
            replace(frame, replaced=frame.image.size // 100),
            support=replace(PLAIN, fraction=0.6),
            residual=residual(0.1),
            sites=sites(50, 0, 50),
            invented=Invention(3, 6, flat=False),
            trained=replace(TRAINED, pixel_range=PixelRange(0.1515, 0.3)),
        )
    )
    assert verdict.level == "good", verdict.reasons


@pytest.mark.parametrize(
    ("score", "weight"),
    [
        (None, Weight.DOUBT),
        (scored(0.2, 0.2), Weight.DOUBT),
        (scored(0.3, 0.2), Weight.FOR),
        # what is not valid says nothing
        (scored(0.3, 0.2, valid=False), None),
        (scored(0.2, 0.3, valid=False), None),
    ],
)
def test_what_the_data_held_out_say(score, weight, frame):
    assert findings(judge(evidence(frame, score=score))).get("held_out_score") is weight


@pytest.mark.parametrize("kind", ["correlated", "rows", "columns"])
def test_noise_that_pixels_share_is_named(kind, frame):
    (found,) = (
        finding
        for finding in judge(evidence(frame, **with_noise(kind)(frame))).findings
        if finding.check == "coloured_noise"
    )
    assert f"({kind})" in found.text
    assert "cannot judge" not in found.text
    unknown = evidence(frame, **with_noise(kind)(frame), score=scored(0.3, 0.2, valid=False))
    assert "what was held out cannot judge" in " ".join(judge(unknown).reasons)
    assert findings(judge(evidence(frame, **with_noise("impulses")(frame)))).keys() == {
        "held_out_score",
        "supported_sites",
        "right_pixel_size",
    }


def test_more_noise_than_trained_on_is_a_doubt_where_data_held_out_speak_for_it(frame):
    verdict = judge(evidence(frame, trained=replace(TRAINED, noise=NoiseRange(0.02, 0.1))))
    assert verdict.level == "careful"
    assert findings(verdict)["too_much_noise"] is Weight.DOUBT


def test_few_contradicted_sites_make_it_doubtful_and_many_refuse_it(frame):
    for seen, level in (
        (sites(100, 1), "careful"),
        (sites(10000, 20), "careful"),
        (sites(300, 3), "no"),
    ):
        verdict = judge(evidence(frame, sites=seen))
        assert verdict.level == level
        assert "supported_sites" not in findings(verdict)
    assert judge(evidence(frame, sites=None)).level == "good"


def test_the_gravest_comes_first_and_no_remedy_twice(frame):
    verdict = judge(
        evidence(
            frame,
            score=scored(0.2, 0.3),
            support=replace(PLAIN, fraction=0.1),
            invented=Invention(0, 6, flat=False),
        )
    )
    assert [(finding.check, finding.weight) for finding in verdict.findings] == [
        ("invented_structure", Weight.AGAINST),
        ("worse_than_gaussian", Weight.AGAINST),
        ("little_support", Weight.DOUBT),
        ("supported_sites", Weight.FOR),
        ("right_pixel_size", Weight.FOR),
    ]
    assert verdict.reasons == [finding.text for finding in verdict.findings]
    assert verdict.level == "no"
    assert len(set(verdict.remedies)) == len(verdict.remedies) == 2
    named = {remedy for finding in verdict.findings for remedy in finding.remedies}
    assert set(verdict.remedies) == named


@pytest.mark.parametrize("name", IMAGE_MODES)
@pytest.mark.parametrize(
    ("changes", "level"),
    [({}, "good"), ({"score": None}, "careful"), ({"score": scored(0.2, 0.3)}, "no")],
)
def test_a_model_of_any_mode_can_get_any_verdict(name, changes, level, frame):
    mode = image_mode(name)
    trained = replace(TRAINED, mode=mode)
    # an image of phase contrast may look like either of the others
    for sign in (1, -1) if mode.contrast is None else (mode.contrast,):
        seen = evidence(frame, trained=trained, mode=mode_by_contrast(sign), **changes)
        verdict = judge(seen)
        assert verdict.level == level, verdict.reasons
        assert "other_mode" not in findings(verdict)
    if mode.contrast is not None:
        other = evidence(frame, trained=trained, mode=mode_by_contrast(-mode.contrast))
        assert findings(judge(other))["other_mode"] is Weight.DOUBT


def test_more_noise_than_trained_on_is_fitted_to_the_most_that_is_known(rng):
    image = hexagonal((512, 512)) + 6 * rng.standard_normal((512, 512))
    frame = analyse(image, sampling=PIXEL)
    weak = replace(
        TRAINED, noise=NoiseRange(0.02, 0.25), pixel_range=PixelRange(0.14, 0.16), spacings={}
    )
    seen = evidence(
        frame, trained=weak, score=None, pixel_check=check(None, PIXEL, {}, certain=False)
    )
    assert seen.fit.c_noise == pytest.approx(0.25)
    verdict = judge(seen)
    assert verdict.level == "no"
    first = verdict.findings[0]
    assert (first.check, first.weight) == ("too_much_noise", Weight.AGAINST)
    assert f"{frame.level.over_contrast:.1f} times the lattice's contrast" in first.text
    assert "(1.0 times)" in first.text
    assert "bin the image, or average several frames" in verdict.remedies
