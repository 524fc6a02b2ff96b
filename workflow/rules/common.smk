# Helpers only; nothing here needs more than Snakemake's own environment.
import hashlib
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

RULES = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
# the package lies beside the scripts, which therefore import it without this
sys.path.insert(0, str(RULES.parent / "scripts"))

from temdenoise.configuration import SPLITS, checked, families_of, models_of
from temdenoise.errors import ConfigurationError
from temdenoise.provenance import code_digest, module_constant, module_digest
from temdenoise.showing.captions import CAPTIONS

try:
    config = checked(config)
except ConfigurationError as error:
    raise WorkflowError(str(error)) from None

NOISES = config["datasets"]["noises"]
FAMILIES = {
    split: families_of(config["structures"]["families"], count)
    for split, count in config["structures"]["count"].items()
}
MODELS = models_of(config)
VARIANTS = module_constant("groundtruth.validation", "VARIANTS")
# numbered as in the paper, whose Fig. 3 needs a micrograph; S1 shows the worst joints, S2
# circles and borders of patches, S3 the failures
FIGURES = ["1", "2", "4", "5", "S1", "S2", "S3"]


wildcard_constraints:
    structure="(train|val|test)-[0-9]+",
    split="train|val|test",
    noise="[a-z0-9_]+",
    figure="S?[0-9]+",
    variant="|".join(VARIANTS),


def structures(split):
    """Names of a split's structures: adding one to a split leaves all others as they are."""
    return [f"{split}-{i:04d}" for i in range(config["structures"]["count"][split])]


def all_structures():
    """Names of the structures of every split."""
    return [name for split in SPLITS for name in structures(split)]


def crystal_file():
    """The file the crystal is read from, if it is no built-in one."""
    name = config["structures"]["crystal"]
    return [name] if Path(name).is_file() else []


def foreign_elements():
    """Elements that the families add to the crystal."""
    families = config["structures"]["families"]
    added = (
        families["substitution"]["replace"].values()
        if families["substitution"]["share"]
        else []
    )
    adatom = [families["adatoms"]["element"]] if families["adatoms"]["share"] else []
    return sorted({element for elements in [*added, adatom] for element in elements})


def disorder_of(wildcards):
    """What build_structure does to the crystal for one structure: its family's options alone."""
    options = config["structures"]
    split, number = wildcards.structure.split("-")
    family = FAMILIES[split][int(number)]
    parameters = {k: v for k, v in options["families"][family].items() if k != "share"}
    shared = {k: options[k] for k in ("displacement", "fade_width", "defect_margin")}
    return shared | {"family": family, "parameters": parameters}


def maps_of(split):
    """Density maps of a split's structures."""
    return [f"results/maps/{structure}.tif" for structure in structures(split)]


def split_maps(wildcards):
    """Density maps of the split a rule works on."""
    return maps_of(wildcards.split)


def recipe(module):
    """RECIPE of a dear module, read without importing it."""
    return module_constant(module, "RECIPE")


def stored_c_noise(wildcards):
    """C of a split's stored frames: the grid; for training its part in the trained range."""
    grid = config["datasets"]["c_noise_grid"]
    if wildcards.split != "train":
        return grid
    low, high = config["datasets"]["c_noise_train"]
    return [c for c in grid if low <= c <= high]


def training_data(wildcards):
    """Data sets a model is trained and validated on, of one noise or several."""
    return {
        f"{split}_{file.split('.')[0]}": [
            f"results/datasets/{noise}/{split}/{file}"
            for noise in MODELS[wildcards.model]["noises"]
        ]
        for split in ("train", "val")
        for file in ("clean.tif", "noisy.tif", "manifest.json")
    }


def file_digest(path):
    """Digest of a file that is no Python module, named relative to the rules."""
    return hashlib.sha256((RULES / path).read_bytes()).hexdigest()[:16]


def templates(*names):
    """Templates, style and script of pages, named relative to the rules."""
    return [f"../scripts/temdenoise/showing/{name}" for name in names]


def test_images(wildcards):
    """The test split of every noise, and what each network makes of its first image."""
    images = {
        f"{noise}_{file.split('.')[0]}": f"results/datasets/{noise}/test/{file}"
        for noise in NOISES
        for file in ("clean.tif", "noisy.tif", "manifest.json")
    }
    predictions = {
        f"{noise}_{method}": f"results/evaluation/{noise}/{method}.tif"
        for noise in NOISES
        for method in ("cnn", "universal", "paper_like")
    }
    return images | predictions


def figure_inputs(wildcards):
    """Files a figure shows."""
    if wildcards.figure == "5":
        return {"graph": "results/figures/workflow.json"}
    if wildcards.figure == "S1":
        return {f"worst_{s}": f"results/mosaics/{s}/worst.tif" for s in SPLITS}
    if wildcards.figure == "S3":
        return {f"worst_{n}": f"results/evaluation/{n}/worst.tif" for n in NOISES}
    images = test_images(wildcards)
    if wildcards.figure == "1":
        shown = structures("train")[:3]
        clean_and_noisy = {k: v for k, v in images.items() if "/datasets/" in v}
        return clean_and_noisy | {
            "atoms": [f"results/structures/{s}.extxyz" for s in shown],
            "maps": [f"results/maps/{s}.tif" for s in shown],
            "joined": "results/mosaics/train/joined.tif",
            "shifted": "results/mosaics/train/images.tif",
            "joints": "results/mosaics/train/joints.json",
        }
    return images | {"quality": "results/evaluation/quality.csv"}
