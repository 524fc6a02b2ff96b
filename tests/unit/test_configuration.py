import inspect
import re
from copy import deepcopy

import pytest
import yaml
from conftest import ROOT
from temdenoise.foundation.configuration import (
    FEWEST_LEARNED,
    OWN,
    cell_of,
    checked,
    crystals_of,
    learned,
    load_schema,
    models_of,
    reference_table,
)
from temdenoise.foundation.errors import ConfigurationError
from temdenoise.foundation.lattices import BUILT_IN, LATTICES
from temdenoise.foundation.microscopes import PARAMETERS, PRESETS, microscope_of
from temdenoise.foundation.modes import IMAGE_MODES
from temdenoise.groundtruth.crystals import crystal
from temdenoise.groundtruth.families import FAMILIES
from temdenoise.images.noise import NOISES, NoiseOptions
from temdenoise.learning.density_training import FEWEST
from temdenoise.learning.networks import NETWORKS
from temdenoise.learning.options import PatchOptions, TrainingOptions

DEFAULT = yaml.safe_load((ROOT / "config/config.yaml").read_text())

WRONG = [
    ("training.stepz", 3, r"`training\.stepz` = 3: .*did you mean `steps`"),
    ("trainig", {}, r"`trainig` = \{\}: .*did you mean `training`"),
    ("training.steps", "many", r"`training\.steps` = 'many': expected integer"),
    ("training.steps", 0, r"`training\.steps` = 0: expected at least 1"),
    ("training.steps", 1250, r"`training\.steps` = 1250: expected a multiple"),
    ("training.universal.steps", 30, r"`training\.universal\.steps` = 30: expected a multiple"),
    ("training.paper_like.steps", 7, r"`training\.paper_like\.steps` = 7: expected a multiple"),
    ("training.universal.c_noise", [0.3, 0.2], r"universal\.c_noise` = .*smaller C first"),
    ("training.universal.c_noise", [0.6, 2], r"one C within `training\.universal\.c_noise`"),
    ("training.universal.mixtures", 1.5, r"mixtures` = 1\.5: expected at most 1"),
    ("training.universal.odds", {"salt": 2}, r"odds"),
    ("training.universal.odds", {"poisson": 0}, r"odds\.poisson` = 0: expected .*0"),
    ("training.network", "resnet", r"`training\.network` = 'resnet': expected one of unet"),
    ("micrographs.crystal", "wse2", r"crystal` = 'wse2': expected one of null, .*srtio3"),
    ("micrographs.kind", "haadf", r"kind` = 'haadf': expected one of auto, density, adf, hrtem"),
    ("training.precision", "half", r"precision` = 'half': expected one of"),
    ("training.weak", 1.5, r"weak` = 1\.5: expected at most 1"),
    ("training.featureless", -0.1, r"featureless` = -0\.1: expected at least 0"),
    ("training.patch", 90, r"`training\.patch` = 90: expected a multiple of 8"),
    (
        "training.universal.patch",
        100,
        r"`training\.universal\.patch` = 100: expected a multiple of 8 .*`training\.levels` = 3",
    ),
    (
        "training.universal.levels",
        7,
        r"`training\.universal\.levels` = 7",
    ),
    ("training.patch", 512, r"`training\.patch` = 512: expected at most `mosaics\.size` = 256"),
    ("training.learning_rate", float("nan"), r"`training\.learning_rate` holds nan"),
    ("training.noise_source", "old", r"`training\.noise_source` = 'old': .*fresh, stored"),
    ("datasets.noises", ["pink"], r"`datasets\.noises\.0` = 'pink': expected one of gaussian"),
    ("datasets.noises", [], r"`datasets\.noises` = \[\]: expected at least 1"),
    ("datasets.noises", ["poisson"] * 2, r"`datasets\.noises` = .*no value twice"),
    ("datasets.c_noise_grid", [-0.1, 0.2, 0.3], r"c_noise_grid\.0` = -0\.1: expected more than 0"),
    ("datasets.c_noise_grid", [0.3, 0.2], r"c_noise_grid` = .*ascending"),
    ("datasets.c_noise_grid", [0.3, 0.5], r"c_noise_grid` = .*at least one C within"),
    ("datasets.c_noise_train", [-0.02, 0.2], r"c_noise_train\.0` = -0\.02: expected at least 0"),
    ("datasets.c_noise_train", [0.3, 0.2], r"c_noise_train` = .*smaller C first"),
    ("datasets.clip", 1, r"`datasets\.clip` = 1: expected boolean"),
    ("mosaics.size", 160, r"`mosaics\.size` = 160: expected at least 176.*MS-SSIM"),
    ("mosaics.count.test", 0, r"`mosaics\.count\.test` = 0: .*no split may be empty"),
    ("structures.count.val", 0, r"`structures\.count\.val` = 0: .*no split may be empty"),
    ("structures.count.train", -1, r"`structures\.count\.train` = -1: expected at least 1"),
    ("structures.crystal", "unobtainium", r"`structures\.crystal` = .*graphene.*path of a file"),
    ("structures.crystal", "grahpene", r"`structures\.crystal` = .*did you mean `graphene`"),
    ("structures.crystal", 6, r"`structures\.crystal` = 6: expected string"),
    ("structures.lattice_constant", 0, r"lattice_constant` = 0: expected at least 1"),
    ("structures.displacement", "big", r"displacement` = 'big': expected number or object"),
    ("structures.displacement", {"C": 2}, r"displacement\.C` = 2: expected at most 0\.3"),
    ("structures.families.vacancy", {}, r"families\.vacancy` = \{\}: .*did you mean `vacancies`"),
    ("structures.families.vacancies.share", 0, r"families`: every `share` is 0"),
    ("structures.families.vacancies.element", "c", r"element` = 'c': .*a chemical symbol, or any"),
    ("structures.families.vacancies.count", [2, 1], r"vacancies\.count` = .*smaller number first"),
    ("structures.families.vacancies.apart", -1, r"vacancies\.apart` = -1: expected at least 0"),
    ("structures.families.substitution", {"share": 1}, r"substitution\.replace` = .*e\.g\."),
    ("structures.families.strain", {"limit": 0.5}, r"strain\.limit` = 0\.5: expected at most 0\.1"),
    ("structures.repeat", [5], r"`structures\.repeat` = \[5\]: expected at least 2 values"),
    ("structures.repeat", [5, 3, 1], r"`structures\.repeat` = .*at most 2 values"),
    ("structures.fade_width", 0, r"`structures\.fade_width` = 0: expected more than 0"),
    ("structures.relaxation", "xtb", r"relaxation` = 'xtb': expected one of none, gfn1, dft"),
    ("dft.basis", "qzp", r"`dft\.basis` = 'qzp': expected one of"),
    ("dft.smearing", True, r"`dft\.smearing` = True: expected number"),
    ("dft.grid_spacing", 2, r"`dft\.grid_spacing` = 2: expected at most 0\.3"),
    ("report.c_noise", [0.33], r"`report\.c_noise` holds 0\.33: expected values of"),
    ("validation.structure", "train-0008", r"validation\.structure` = 'train-0008': .*below 8"),
    ("validation.structure", "first", r"validation\.structure` = 'first': .*train-0000"),
    ("structures.vacuum", 1, r"`structures\.vacuum` = 1: expected at least 3 .*Å"),
    ("structures.families.adatoms.site", "side", r"adatoms\.site` = 'side': .*bridge, top, hollow"),
    ("structures.families.adatoms.element", "any", r"adatoms\.element` = 'any': .*chemical symbol"),
    ("structures.families.substitution.replace", {"C": []}, r"replace\.C` = \[\]: .*at least 1"),
    ("structures.families.substitution.replace", {"C": ["n"]}, r"replace\.C\.0` = 'n': .*symbol"),
    ("structures.families.stone_wales.count", [1], r"stone_wales\.count` = \[1\]: .*at least 2"),
    ("dft.xc", "B3LYP", r"`dft\.xc` = 'B3LYP': expected one of PBE, LDA"),
    ("dft.kpt_density", 0, r"`dft\.kpt_density` = 0: expected more than 0"),
    ("dft.spin", "yes", r"`dft\.spin` = 'yes': expected boolean"),
    ("dft.max_iterations", 2.5, r"`dft\.max_iterations` = 2\.5: expected integer"),
    ("dft.density_convergence", "1e-6", r"density_convergence` = '1e-6': expected number"),
    ("dft.ground_truth", None, r"`dft\.ground_truth` = None: expected one of dft, superposition"),
    ("maps.resolution", -1, r"`maps\.resolution` = -1: expected at least 0"),
    ("mosaics.sampling", 2, r"`mosaics\.sampling` = 2: expected at most 1 .*Å"),
    ("mosaics.count", 24, r"`mosaics\.count` = 24: expected object .*each split"),
    ("datasets.background_correlation", float("inf"), r"background_correlation` holds inf"),
    ("training.levels", 7, r"`training\.levels` = 7: expected at most 6"),
    ("training.average", 1, r"`training\.average` = 1: expected less than 1"),
    ("training.batch", 0, r"`training\.batch` = 0: expected at least 1"),
    ("validation.cutoff", 100, r"`validation\.cutoff` = 100: expected at least 200 .*eV"),
    ("threads", 4, r"`threads` = 4: there is no such key"),
    ("image.mode", "haadf", r"`image\.mode` = 'haadf': expected one of density, adf, hrtem"),
    (
        "microscope.energy",
        -60,
        r"`microscope\.energy` = -60: expected at least 10.*microscopes run",
    ),
    ("microscope.aperture", 0, r"`microscope\.aperture` = 0: expected more than 0"),
    (
        "microscope.preset",
        "nion",
        r"`microscope\.preset` = 'nion': expected one of null, adf_60kv_medium",
    ),
    ("seed", -1, r"`seed` = -1: expected at least 0"),
    ("dft", None, r"`dft` = None: expected object"),
]


def test_a_file_says_its_own_lattice_constant(tmp_path):
    file = tmp_path / "crystal.cif"
    file.touch()
    assert checked(with_key("structures.crystal", str(file)))
    with pytest.raises(ConfigurationError, match=r"lattice_constant` = 3\.0: expected null"):
        checked({"structures": {"crystal": str(file), "lattice_constant": 3.0}})


def test_files_of_crystals_are_found_beside_the_workflow_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "config/crystals/srtio3_001.cif"
    found = checked(with_key("structures.crystal", name))["structures"]["crystal"]
    assert len(crystal(found)) == 5
    # one of the working directory comes first
    own = tmp_path / name
    own.parent.mkdir(parents=True)
    own.touch()
    assert checked(with_key("structures.crystal", name))["structures"]["crystal"] == name


def test_families_known_to_the_schema_are_those_of_the_code():
    known = load_schema()["properties"]["structures"]["properties"]
    assert set(known["families"]["properties"]) == set(FAMILIES)
    for name, schema in known["families"]["properties"].items():
        options = set(inspect.signature(FAMILIES[name]).parameters) - {"cell", "rng"}
        assert set(schema["properties"]) == options | {"share"}


def with_key(key, value):
    config = deepcopy(DEFAULT)
    *parents, last = key.split(".")
    section = config
    for name in parents:
        section = section.setdefault(name, {})
    section[last] = value
    return config


@pytest.mark.parametrize(("key", "value", "message"), WRONG, ids=[f"{k}={v}" for k, v, _ in WRONG])
def test_wrong_values_are_named_with_a_remedy(key, value, message):
    with pytest.raises(ConfigurationError, match=message):
        checked(with_key(key, value))


def leaves(schema, path=()):
    for name, sub in schema["properties"].items():
        if "properties" in sub:
            yield from leaves(sub, (*path, name))
        else:
            yield ".".join((*path, name))


@pytest.mark.parametrize("key", [*leaves(load_schema())])
def test_every_key_refuses_nonsense_by_name(key):
    with pytest.raises(ConfigurationError, match=rf"`{re.escape(key)}(\.0)?` = .*: expected"):
        checked(with_key(key, [[None]]))


REPEATED = [
    ("training: {steps: 6}\ntraining: {width: 8}\n", r"`training` stands twice.*lines 1 and 2"),
    ("dft:\n  xc: PBE\n  spin: true\n  xc: LDA\n", r"`dft\.xc` stands twice.*lines 2 and 4"),
]


@pytest.mark.parametrize(("text", "message"), REPEATED)
def test_a_key_that_stands_twice_is_named(tmp_path, text, message):
    """YAML takes the last one without a word."""
    file = tmp_path / "overlay.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"(?s)overlay\.yaml: {message}"):
        checked({}, files=[file])


def test_anchors_and_merges_are_no_repetitions(tmp_path):
    file = tmp_path / "overlay.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {x: 1}\n")
    assert checked({}, files=[file, ROOT / "config/config.yaml"]) == checked({})


@pytest.mark.parametrize(
    ("mode", "microscope", "message"),
    [
        (
            "adf",
            {"inner": 250},
            r"`microscope\.inner` = 250 mrad: expected less than .*outer` = 200",
        ),
        ("adf", {"inner": 10}, r"inner` = 10 mrad: expected at least `microscope\.aperture` = 31"),
        ("adf", {"sampling": 0.2}, r"sampling` = 0\.2 Å: expected at most .* `microscope\.outer`"),
        ("adf", {"energy": 300}, r"`microscope\.sampling` = 0\.05 Å: expected at most 0\.0328 Å"),
        ("adf", {"defocus": 500}, r"the probe is .* Å wide; expected at most .* 12\.3 Å.*repeat"),
        ("adf", {"preset": "hrtem_80kv"}, r"preset` = 'hrtem_80kv': expected one for .*adf_60kv"),
        ("hrtem", {"cs": 1.0e7}, r"a point of the object spreads over .* at most .* 12\.3 Å"),
    ],
)
def test_microscopes_that_cannot_work_are_refused(mode, microscope, message):
    with pytest.raises(ConfigurationError, match=message):
        checked({"image": {"mode": mode}, "microscope": microscope})
    # a microscope that is not used does not matter
    assert checked({"microscope": microscope})


def test_keys_of_a_microscope_are_those_of_the_schema():
    keys = load_schema()["properties"]["microscope"]["properties"]
    assert set(keys) == {*PARAMETERS, "preset", "sampling"}
    lens = microscope_of(checked({"image": {"mode": "adf"}, "microscope": {"inner": 70}}))
    assert lens == PRESETS["adf_60kv_medium"] | {"inner": 70, "sampling": 0.05}


@pytest.mark.parametrize(
    ("key", "besides", "table"),
    [
        ("image.mode", [], IMAGE_MODES),
        ("microscope.preset", [None], PRESETS),
        ("datasets.noises", [], NOISES),
        ("training.network", [], NETWORKS),
        ("micrographs.kind", ["auto"], IMAGE_MODES),
        ("micrographs.crystal", [None], LATTICES),
    ],
)
def test_choices_are_those_of_the_tables(key, besides, table):
    """Read from the source of the tables, which the Snakefile could not import."""
    section, name = key.split(".")
    schema = load_schema()["properties"][section]["properties"][name]
    assert schema.get("items", schema)["enum"] == [*besides, *table]


def test_every_choice_of_a_table_is_taken_and_no_other():
    everything = {
        "datasets": {"noises": list(NOISES)},
        "training": {"universal": {"odds": dict.fromkeys(NOISES, 2.0)}},
    }
    assert list(models_of(checked(everything))["universal"]["options"]["odds"]) == list(NOISES)
    with pytest.raises(ConfigurationError, match=r"universal\.odds` = 'pink': .*scan_lines"):
        checked({"training": {"universal": {"odds": {"pink": 2}}}})
    for name in [None, *LATTICES]:
        assert checked({"micrographs": {"crystal": name}})["micrographs"]["crystal"] == name


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("constant", [None, 3.0])
def test_cells_are_checked_as_they_are_built(name, constant):
    chosen = {"crystal": name, "lattice_constant": constant, "repeat": [2, 3]}
    built = crystal(name, repeat=(2, 3), lattice_constant=constant)
    assert built.cell.lengths()[:2] == pytest.approx(cell_of(chosen))


@pytest.mark.parametrize("name", sorted(set(LATTICES) - set(BUILT_IN)))
def test_a_crystal_that_has_a_file_is_asked_for_by_it(name):
    file = LATTICES[name].file
    with pytest.raises(ConfigurationError, match=f"did you mean `{re.escape(file)}`"):
        checked(with_key("structures.crystal", name))
    assert checked(with_key("structures.crystal", file))
    assert cell_of({"crystal": file, "lattice_constant": None, "repeat": [2, 3]}) is None


def test_all_problems_are_named_at_once():
    config = with_key("training.steps", 0)
    config["dft"]["xc"] = "B3LYP"
    with pytest.raises(ConfigurationError, match=r"(?s)dft\.xc.*training\.steps"):
        checked(config)


def test_defaults_of_the_schema_are_the_default_configuration():
    assert checked({}) == checked(DEFAULT)


def test_input_is_not_changed():
    config = {}
    checked(config)
    assert config == {}


def test_schema_is_strict_and_complete():
    def walk(schema, path=""):
        for name, sub in schema["properties"].items():
            assert sub.get("description"), f"{path}{name}"
            assert "default" in sub, f"{path}{name}"
            if "properties" in sub:
                assert sub["additionalProperties"] is False, f"{path}{name}"
                walk(sub, f"{path}{name}.")

    walk(load_schema())


def test_reference_is_that_of_the_schema():
    readme = (ROOT / "config/README.md").read_text()
    assert reference_table() in readme, "repair it with: make config-reference"


HBN = {"crystal": "hbn", "repeat": [5, 3]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"structures": {"others": [{"crystal": "hbn"}]}}, r"others\.0` = .*crystal and repeat in"),
        ({"structures": {"others": [HBN | {"crystal": "hbm"}]}}, r"did you mean `hbn`"),
        ({"structures": {"others": [HBN] * 2}}, r"`structures\.count\.val` = 2: .*at least 3"),
        (
            {"structures": {"others": [HBN | {"families": {"vacancies": {"share": 0}}}]}},
            r"every `share` is 0",
        ),
        (
            {"training": {"universal": {"rotation": True, "sampling": [0.1, 1.5]}}},
            r"`scenes\.size` = 512: expected at least 681, .*64 pixels of 1\.5 Å .*any angle",
        ),
        ({"training": {"universal": {"sampling": [0.3, 0.1]}}}, r"the smaller pixel first"),
        (
            {"training": {"universal": {"c_noise": [0, 1], "c_spacing": "logarithmic"}}},
            r"begins at 0: expected more than 0",
        ),
        ({"training": {"universal": {"levels": 6, "width": 8}, "patch": 96}}, r"universal\.levels"),
    ],
)
def test_several_crystals_and_real_frames_are_checked(wrong, message):
    with pytest.raises(ConfigurationError, match=message):
        checked(wrong)


def test_others_have_their_own_families_and_share_the_rest():
    config = checked({"structures": {"others": [HBN]}})
    graphene, hbn = crystals_of(config["structures"])
    assert (graphene["crystal"], hbn["crystal"]) == ("graphene", "hbn")
    assert hbn["displacement"] == graphene["displacement"]
    assert hbn["families"]["vacancies"]["share"] == 1


def test_a_model_that_uses_no_option_of_its_own_does_not_name_them():
    options = models_of(checked({}))["universal"]["options"]
    assert not {"standardised", "rotation", "sampling", "edges"} & set(options)
    own = checked({"training": {"universal": {"width": 48, "standardised": True}}})
    options = models_of(own)["universal"]["options"]
    assert (options["width"], options["standardised"], options["batch"]) == (48, True, 8)


def test_odds_of_noises_it_is_not_trained_on_are_left_out():
    odds = {"training": {"universal": {"odds": {"poisson": 3, "dose": 2}}}}
    options = models_of(checked(odds))["universal"]["options"]
    assert options["odds"] == {"poisson": 3}
    one = odds | {"datasets": {"noises": ["gaussian"]}}
    assert models_of(checked(one))["universal"]["options"]["odds"] == {}


def test_strong_noise_counts_more_to_specialists_alone():
    for plan in models_of(checked({"training": {"weak": 0.2}})).values():
        specialist = plan["method"] == "cnn"
        assert ("weak" in plan["options"]) == specialist
        assert of(plan).optimisation.low_noise_weight == (0.2 if specialist else 1.0)


def of(plan):
    return TrainingOptions.of(plan, NoiseOptions())


def test_the_options_of_a_training_are_what_the_configuration_says():
    real = {"sampling": [0.1, 0.2], "standardised": True, "c_spacing": "logarithmic", "blur": 0.4}
    config = checked(
        {
            "seed": 3,
            "structures": {"others": [HBN]},
            "image": {"mode": "adf"},
            "training": {
                "width": 12,
                "patch": 32,
                "universal": real | {"width": 24},
            },
        }
    )
    plans = models_of(config)
    assert {plan["mode"] for plan in plans.values()} == {"adf"}
    assert plans["gaussian"]["crystals"] == ["graphene", "hbn"]
    options = of(plans["universal"])
    assert (options.name, options.seed, options.c_noise_range) == ("universal", 3, (0.02, 0.5))
    assert (options.network.name, options.network.sizes) == ("unet", {"width": 24, "levels": 3})
    assert options.patches == PatchOptions(
        patch=32,
        batch=8,
        noise_source="fresh",
        mixtures=0.0,
        featureless=0.15,
        turned=True,
        odds={"salt_pepper": 2},
        c_spacing="logarithmic",
        standardised=True,
        pixel_range=(0.1, 0.2),
        blur=0.4,
    )
    assert options.optimisation.steps == 16000
    paper_like = of(plans["paper_like_poisson"])
    assert (paper_like.patches.noise_source, paper_like.patches.turned) == ("stored", False)


def test_options_left_out_of_a_model_have_the_defaults_of_the_schema():
    training = load_schema()["properties"]["training"]["properties"]
    universal = training["universal"]["properties"]
    options = of(models_of(checked({}))["universal"])
    flat = vars(options.patches) | vars(options.optimisation)
    for key in set(OWN) - {"width", "levels", "batch", "patch", "sampling"}:
        assert flat[key] == universal[key]["default"], key
    assert options.patches.pixel_range is universal["sampling"]["default"] is None


LEARNED = [
    (
        {"structures": {"count": {"train": 3}}},
        r"`structures\.count\.train` = 3: expected at least 4, .*set `density\.source` to dft",
    ),
    (
        {"structures": {"others": [HBN]}, "scenes": {"count": 1}},
        r"`scenes\.count` = 1: expected at least 2, one of every crystal .*`density\.source`",
    ),
    (
        {"training": {"noise_source": "stored"}},
        r"`training\.noise_source` = 'stored': expected fresh, .*set it to fresh or set `density",
    ),
    (
        {"scenes": {"size": 184}, "training": {"patch": 192}},
        r"`scenes\.size` = 184: expected at least 192, .*lower `training\.patch`",
    ),
    (
        {"scenes": {"size": 184}, "training": {"universal": {"patch": 192}}},
        r"`scenes\.size` = 184: expected at least 192",
    ),
]


@pytest.mark.parametrize(("wrong", "message"), LEARNED)
def test_scenes_that_cannot_be_drawn_or_used_are_refused(wrong, message):
    with pytest.raises(ConfigurationError, match=message):
        checked(wrong)
    # for other images the scenes do not matter
    assert checked(wrong | {"density": {"source": "dft"}})
    assert checked(wrong | {"image": {"mode": "adf"}})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scenes": {"count": 0}}, r"`scenes\.count` = 0: expected at least 1 .*of every crystal"),
        ({"scenes": {"size": 100}}, r"`scenes\.size` = 100: expected at least 176"),
        ({"scenes": {"strain": 0.2}}, r"`scenes\.strain` = 0\.2: expected at most 0\.1"),
        ({"scenes": {"edges": 1.5}}, r"`scenes\.edges` = 1\.5: expected at most 1"),
        ({"scenes": {"pores": -1}}, r"`scenes\.pores` = -1: expected at least 0"),
        ({"scenes": {"rotation": 90}}, r"`scenes\.rotation` = 90: expected boolean"),
        ({"scenes": {"grains": 1}}, r"`scenes\.grains` = 1: there is no such key"),
        ({"density": {"steps": 0}}, r"`density\.steps` = 0: expected at least 1"),
        ({"density": {"source": "gpaw"}}, r"source` = 'gpaw': expected one of learned, dft"),
        ({"scenes": {"disorder": [1, 0.5]}}, r"`scenes\.disorder` = \[1, 0\.5\]: .*smaller number"),
    ],
)
def test_keys_of_scenes_are_checked(wrong, message):
    with pytest.raises(ConfigurationError, match=message):
        checked(wrong)


def test_a_density_needs_as_many_structures_as_the_configuration_says():
    """The Snakefile could not import the learning, so the number stands twice."""
    assert FEWEST_LEARNED == FEWEST


PAPER = ("gaussian", "salt_pepper", "poisson", "background_gaussian")


def test_networks_are_trained_on_scenes_but_for_the_baseline():
    config = checked({})
    assert learned(config)
    models = models_of(config)
    assert set(models) == {"universal", *PAPER, *(f"paper_like_{n}" for n in PAPER)}
    for name, plan in models.items():
        assert plan["name"] == name
        assert plan["images"] == ("mosaics" if plan["method"] == "paper_like" else "scenes")
        assert plan["trained_on"] == (
            "all" if name == "universal" else name.removeprefix("paper_like_")
        )


@pytest.mark.parametrize(
    "chosen",
    [{"density": {"source": "dft"}}, {"image": {"mode": "adf"}}, {"image": {"mode": "hrtem"}}],
)
def test_without_a_learned_density_all_are_trained_on_mosaics(chosen):
    config = checked(chosen)
    assert not learned(config)
    models = models_of(config)
    assert {plan["images"] for plan in models.values()} == {"mosaics"}
