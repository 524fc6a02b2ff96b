# Helpers only; nothing here needs more than Snakemake's own environment.
import hashlib
import json
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

RULES = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))
# the package lies beside the scripts, which therefore import it without this
sys.path.insert(0, str(RULES.parent / "scripts"))

from temdenoise.foundation.configuration import (
    SPLITS,
    checked,
    crystals_of,
    families_of,
    learned,
    models_of,
)
from temdenoise.foundation.errors import ConfigurationError
from temdenoise.foundation.microscopes import microscope_of
from temdenoise.foundation.modes import image_mode
from temdenoise.foundation.recipes import package_digest, recipe
from temdenoise.foundation.source import module_constant
from temdenoise.report.catalogue import (
    STRUCTURES,
    TEST_IMAGES,
    c_noise_of,
    entry_of,
    expanded,
    figure_names,
    files_of,
    settings_of,
)

try:
    config = checked(
        config, files=[f for f in workflow.configfiles if Path(f).is_file()]
    )
except ConfigurationError as error:
    raise WorkflowError(str(error)) from None

NOISES = config["datasets"]["noises"]
# structures and images of a split take turns among the crystals
CRYSTALS = crystals_of(config["structures"])
FAMILIES = {
    split: [families_of(crystal["families"], count) for crystal in CRYSTALS]
    for split, count in config["structures"]["count"].items()
}
# crystal and size of cell, as the files of a reference test set are named
REFERENCES = [
    f"{Path(crystal['crystal']).stem}_{'x'.join(map(str, crystal['repeat']))}"
    for crystal in CRYSTALS
]
MODELS = models_of(config)
DATASET = {"clean": "clean.tif", "noisy": "noisy.tif", "manifest": "manifest.json"}
MODE = image_mode(config["image"]["mode"])
VARIANTS = module_constant("groundtruth.validation", "VARIANTS")
RELAXED = module_constant("groundtruth.relaxation", "RELAXED")
MICROGRAPHS = {Path(image).stem: image for image in config["micrographs"]["images"]}
# folder of the lists of their images, also if this workflow is a module of another one
LISTS = workflow.modifier.modify_path("results/micrographs/", "output")


wildcard_constraints:
    structure="(train|val|test)-[0-9]+",
    split="train|val|test",
    noise="[a-z0-9_]+",
    figure="S?[0-9]+(_[^/]+)?",
    variant="|".join(VARIANTS),
    file="[^/]+",
    micrograph="[^/]+",


def structures(split):
    """Names of a split's structures: adding one to a split leaves all others as they are."""
    return [f"{split}-{i:04d}" for i in range(config["structures"]["count"][split])]


def all_structures():
    """Names of the structures of every split."""
    return [name for split in SPLITS for name in structures(split)]


def crystal_of(structure):
    """Number of the crystal a structure is of."""
    return int(structure.split("-")[1]) % len(CRYSTALS)


def pristine_file(number):
    """Pristine supercell of a crystal; the first bears no number."""
    return f"results/structures/pristine{f'-{number}' if number else ''}.extxyz"


def pristine_of(wildcards):
    """Pristine supercell of a structure's crystal."""
    return pristine_file(crystal_of(wildcards.structure))


def crystal_file(number=0):
    """The file a crystal is read from, if it is no built-in one."""
    name = CRYSTALS[number]["crystal"]
    return [name] if Path(name).is_file() else []


def cell_options(number):
    """What decides a crystal's pristine supercell."""
    return {k: CRYSTALS[number][k] for k in ("lattice_constant", "repeat", "vacuum")}


def foreign_elements(number):
    """Elements that the families add to a crystal."""
    families = CRYSTALS[number]["families"]
    added = (
        families["substitution"]["replace"].values()
        if families["substitution"]["share"]
        else []
    )
    adatom = [families["adatoms"]["element"]] if families["adatoms"]["share"] else []
    return sorted({element for elements in [*added, adatom] for element in elements})


def family_of(structure):
    """The family of disorder of a structure."""
    split, number = structure.split("-")
    return FAMILIES[split][crystal_of(structure)][int(number) // len(CRYSTALS)]


def parameters_of(crystal, family):
    """Options of a family of a crystal."""
    options = CRYSTALS[crystal]["families"][family]
    return {k: v for k, v in options.items() if k != "share"}


def disorder_of(wildcards):
    """What build_structure does to the crystal for one structure: its family's options alone."""
    crystal, family = crystal_of(wildcards.structure), family_of(wildcards.structure)
    options = CRYSTALS[crystal]
    shared = {k: options[k] for k in ("displacement", "fade_width", "defect_margin")}
    return shared | {"family": family, "parameters": parameters_of(crystal, family)}


def relaxed_of(wildcards):
    """Relaxed defects of a structure's family, where there are any."""
    family = family_of(wildcards.structure)
    if config["structures"]["relaxation"] == "none" or family not in RELAXED:
        return []
    return [f"results/defects/{crystal_of(wildcards.structure)}/{family}.extxyz"]


def family_parameters(wildcards):
    """What decides which kinds of defect there are; how many and how near does not matter."""
    parameters = parameters_of(int(wildcards.crystal), wildcards.family)
    return {k: v for k, v in parameters.items() if k not in ("count", "apart")}


def relaxation_options():
    """What the calculator needs; tight binding the smearing alone."""
    if config["structures"]["relaxation"] == "dft":
        return dft_options()
    return {"smearing": config["dft"]["smearing"]}


def maps_of(split):
    """Density maps of a split's structures."""
    return [f"results/maps/{structure}.tif" for structure in structures(split)]


def split_maps(wildcards):
    """Density maps of the split a rule works on."""
    return maps_of(wildcards.split)


def crystal_name(number):
    """Name of a crystal, without folder and ending of its file."""
    return Path(CRYSTALS[number]["crystal"]).stem


def reference_files():
    """Files of a reference test set; no two crystals may have one name."""
    if len(set(REFERENCES)) < len(REFERENCES):
        raise WorkflowError(
            f"a reference test set of {', '.join(REFERENCES)}: two of `structures` and its "
            "`others` have the same crystal and repeat; expected them to differ"
        )
    return [f"results/reference/{name}.tif" for name in REFERENCES]


def reference_structures(reference):
    """Structures of one crystal that a reference test set keeps: of validation and test."""
    kept = [*structures("val"), *structures("test")]
    return [name for name in kept if crystal_of(name) == REFERENCES.index(reference)]


def reference_provenance():
    """Where the maps of a reference test set come from."""
    return {
        "seed": config["seed"],
        "dft": config["dft"],
        "recipes": {"groundtruth.dft": recipe("run_dft.py")},
    }


def dft_options():
    """Options of the DFT; a potential needs the charge close to the nuclei, too."""
    return config["dft"] | ({} if MODE.preset is None else {"density": "valence"})


def image_inputs(wildcards):
    """What the image of a structure is formed from: atoms alone, or with their bonding."""
    atoms = {"atoms": f"results/structures/{wildcards.structure}.extxyz"}
    if config["image"]["potential"] == "independent":
        return atoms
    folder = f"results/dft/{wildcards.structure}"
    return atoms | {"bonded": f"{folder}/density.tif", "free": f"{folder}/free.tif"}


def dft_summaries():
    """Summaries of the DFT jobs; none where images are formed from independent atoms."""
    if MODE.preset is not None and config["image"]["potential"] == "independent":
        return []
    return [f"results/dft/{s}/summary.json" for s in all_structures()]


def recipe_of(script):
    """Digest of a script and all that it reaches; computed only where a job needs it."""
    return lambda wildcards: recipe(script)


def recorded_recipes(wildcards):
    """Recipes of the expensive steps, for the record."""
    return {
        "groundtruth.dft": recipe("run_dft.py"),
        "learning.density_training": recipe("train_density.py"),
        "learning.training": recipe("train.py"),
    }


def stored_c_noise(wildcards):
    """C of a split's stored frames: the grid; for training its part in the trained range."""
    grid = config["datasets"]["c_noise_grid"]
    if wildcards.split != "train":
        return grid
    low, high = config["datasets"]["c_noise_train"]
    return [c for c in grid if low <= c <= high]


def training_data(wildcards):
    """What a model is trained and validated on.

    Data sets of one noise or several; scenes are the same for every noise, which is made while
    training.
    """
    model = MODELS[wildcards.model]

    def of_noises(split):
        return {
            f"{split}_{kind}": [
                f"results/datasets/{noise}/{split}/{file}" for noise in model["noises"]
            ]
            for kind, file in DATASET.items()
        }

    if model["images"] == "mosaics":
        trained = of_noises("train")
    else:
        trained = {
            "train_clean": "results/scenes/clean.tif",
            "train_manifest": "results/scenes/manifest.json",
        }
    return trained | of_noises("val")


def scene_families():
    """For each crystal the families of its training structures, and how many scenes are of which."""
    given = []
    for number, crystal in enumerate(CRYSTALS):
        held = set(FAMILIES["train"][number])
        families = {k: v for k, v in crystal["families"].items() if k in held}
        count = len(range(number, config["scenes"]["count"], len(CRYSTALS)))
        given.append(families_of(families, count))
    return given


def scene_ingredients():
    """What the scenes of each crystal are made of; its family's options alone count."""
    families = scene_families()
    return [
        {
            "displacement": crystal["displacement"],
            "families": {k: parameters_of(n, k) for k in sorted(set(families[n]))},
        }
        for n, crystal in enumerate(CRYSTALS)
    ]


def scene_defects():
    """Relaxed defects of all families in the scenes."""
    if config["structures"]["relaxation"] == "none":
        return []
    return [
        f"results/defects/{number}/{family}.extxyz"
        for number, families in enumerate(scene_families())
        for family in sorted(set(families) & set(RELAXED))
    ]


def learned_density(wildcards):
    """What is recorded and reported of the learned density, where there is one."""
    if not learned(config):
        return {}
    return {
        "density_accuracy": "results/density/accuracy.csv",
        "density_worst": "results/density/worst.tif",
        "scenes": "results/scenes/clean.tif",
        "scenes_manifest": "results/scenes/manifest.json",
    }


def crystal_tables():
    """Tables by crystal, where there are several."""
    if len(CRYSTALS) == 1:
        return {}
    return {"crystals": "results/evaluation/{noise}/crystals.csv"}


def file_digest(path):
    """Digest of a file that is no Python module, named relative to the rules."""
    return hashlib.sha256((RULES / path).read_bytes()).hexdigest()[:16]


def text_digest(text):
    """Digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def whole_code(wildcards):
    """Digest of the whole package, for the record; rules take that of what they use."""
    return package_digest()


def templates(*names):
    """Templates, style and script of pages, named relative to the rules."""
    return [f"../scripts/temdenoise/report/{name}" for name in names]


def shown_names():
    """What the wildcards stand for in the templates of figures."""
    return {
        "noise": NOISES,
        "split": SPLITS,
        "structure": structures("train")[:STRUCTURES],
    }


def test_images(wildcards):
    """The test split of every noise, and what each network makes of its first image."""
    return {key: expanded(path, shown_names()) for key, path in TEST_IMAGES.items()}


def figure_inputs(wildcards):
    """Files a figure shows."""
    return files_of(wildcards.figure, shown_names())


def figure_caption(wildcards):
    """What is said under a figure."""
    return entry_of(wildcards.figure)[0].caption


def figure_c_noise(wildcards):
    """C at which a figure shows test images."""
    return c_noise_of(wildcards.figure, config)


def figure_settings(wildcards):
    """What a figure is drawn with besides its files."""
    return settings_of(wildcards.figure, config)


def figure_code(wildcards):
    """Digest of what draws a figure: its function is named in a table."""
    return recipe("plot_figure.py", f"report.{entry_of(wildcards.figure)[0].draw}")


def lists_images():
    """Whether the files of the microscope are listed by a checkpoint.

    Where Snakemake is told which rules it may run, as by `make figures` and in each job that it
    sends to a cluster, a checkpoint would make it plan the whole run and make whatever is missing.
    There the lists are read as they are.
    """
    limited = any(word.startswith("--allowed-rules") for word in sys.argv)
    named = any(word.endswith("list_images") for word in sys.argv)
    return bool(MICROGRAPHS) and (named or not limited)


def images_of(file):
    """Number of the signal of each image of a file, by name; known once the file is listed."""
    if lists_images():
        listing = checkpoints.list_images.get(file=file).output.images
    else:
        listing = f"{LISTS}{file}_images.json"
    if not Path(listing).is_file():
        raise WorkflowError(
            f"{listing} is missing: make the target `micrographs` first"
        )
    return json.loads(Path(listing).read_text(encoding="utf-8"))["images"]


def micrograph_names(files=MICROGRAPHS):
    """Names of the images of some files of the microscope, in their order."""
    return [name for file in files for name in images_of(file)]


def micrograph_results(ending, files=MICROGRAPHS):
    """Input function: one result of each image of some files."""
    return lambda wildcards: [
        f"results/micrographs/{name}{ending}" for name in micrograph_names(files)
    ]


def figure_results(ending, files=MICROGRAPHS):
    """Input function: the figures of the run, and those of each image of some files."""
    return lambda wildcards: [
        f"results/figures/figure_{figure}{ending}"
        for figure in figure_names(micrograph_names(files))
    ]


def micrographs():
    """Pages about the micrographs; a function for each file, so that none waits for another."""
    return [micrograph_results("_summary.html", [file]) for file in MICROGRAPHS]


def figures():
    """The figures as PDF; a function for each file of the microscope, too."""
    return [
        figure_results(".pdf", files)
        for files in ([], *([file] for file in MICROGRAPHS))
    ]


def listed_file(wildcards):
    """The file of the microscope whose images are listed."""
    if wildcards.file not in MICROGRAPHS:
        raise WorkflowError(
            f"no micrograph {wildcards.file!r}: name its file in `micrographs.images`"
        )
    return MICROGRAPHS[wildcards.file]


def similar_names(wildcards):
    """Files whose results may get the name of an image of this one: a_2.tif beside a.tif."""
    numbered = re.compile(rf"{re.escape(wildcards.file)}_[0-9]+")
    return {
        name: file for name, file in MICROGRAPHS.items() if numbered.fullmatch(name)
    }


def source_of(name):
    """Name of the file that holds a micrograph; no two do, `list_images` refuses that."""
    file = name if name in MICROGRAPHS else name.rpartition("_")[0]
    if file not in MICROGRAPHS:
        raise WorkflowError(
            f"no micrograph {name!r}: name its file in `micrographs.images`"
        )
    images = images_of(file)
    if name not in images:
        raise WorkflowError(
            f"no micrograph {name!r}: {MICROGRAPHS[file]} holds {', '.join(images)}"
        )
    return file


def micrograph_file(wildcards):
    """The file of the microscope that holds a micrograph."""
    return MICROGRAPHS[source_of(wildcards.micrograph)]


def micrograph_list(wildcards):
    """The list of the images of that file."""
    return f"results/micrographs/{source_of(wildcards.micrograph)}_images.json"


def micrograph_signal(wildcards):
    """Number of the signal to denoise; none where the file holds one image alone."""
    images = images_of(source_of(wildcards.micrograph))
    return str(images[wildcards.micrograph]) if len(images) > 1 else None


def micrograph_model():
    """The model that denoises micrographs: of this run, a file, or none for the pretrained one."""
    model = config["micrographs"]["model"]
    if model == "pretrained":
        return []
    return f"results/models/{model}/model.pt" if model in MODELS else model


def pretrained_models():
    """Digest of the index of pretrained models, where they are used: new ones denoise anew."""
    index = "../scripts/temdenoise/models/models.json"
    used = config["micrographs"]["model"] == "pretrained"
    return file_digest(index) if used and (RULES / index).exists() else None
