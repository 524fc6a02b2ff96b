"""Check a configuration before any job starts.

Used by the Snakefile, so it needs nothing beyond what Snakemake itself installs.
"""

import difflib
import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from temdenoise.foundation import microscopes
from temdenoise.foundation.errors import ConfigurationError
from temdenoise.foundation.lattices import BUILT_IN, LATTICES
from temdenoise.foundation.modes import image_mode
from temdenoise.foundation.source import table_keys

SCHEMA = Path(__file__).parents[3] / "schemas" / "config.schema.yaml"
_MODEL_SECTIONS = ("universal", "paper_like")
FEWEST_LEARNED = 4
"""Training structures that a density can be learned from, at least."""
SMALLEST_LEARNED = 4.0
"""Sides of a cell that one can be learned from, at least: `learning.neighbourhoods.REACH` [Å]."""
SPLITS = ("train", "val", "test")
OWN = (
    *("width", "levels", "batch", "patch"),
    *("standardised", "rotation", "sampling", "edges", "stretch", "blur"),
    *("keep_slow", "quadratic_below"),
)
"""Options the universal network may have of its own."""


def load_schema() -> dict[str, Any]:
    """Read the schema of the configuration, with the choices that stand in tables of the code.

    Where it says ``x-choices: "module:TABLE"``, the keys of that table are allowed besides those
    of an ``enum`` beside it.
    """
    return deepcopy(_schema())


@functools.cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    _fill_choices(schema)
    return schema


def _fill_choices(node: Any) -> None:
    if isinstance(node, dict):
        # YAML's anchors make one dictionary of several places
        if table := node.pop("x-choices", None):
            node["enum"] = [*node.get("enum", ()), *table_keys(table)]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            _fill_choices(each)


def checked(config: dict[str, Any], *, files: Iterable[str | Path] = ()) -> dict[str, Any]:
    """Fill in defaults and refuse what the workflow cannot run with.

    Parameters
    ----------
    config
        The configuration as read; not changed.
    files
        What it was read from; a key must not stand in one of them twice.

    Returns
    -------
    dict
        A complete, valid configuration.

    Raises
    ------
    ConfigurationError
        Naming every faulty key, its value, what is expected and the remedy.
    """
    schema = load_schema()
    config = deepcopy(config)
    problems = [problem for file in files for problem in _repeated(Path(file))]
    problems += _not_finite(config)
    _fill_defaults(config, schema)
    problems += [_describe(e) for e in Draft202012Validator(schema).iter_errors(config)]
    if not problems:
        for crystal in (config["structures"], *config["structures"]["others"]):
            crystal["crystal"] = _found(crystal["crystal"])
        problems = [*_contradictions(config)]
    if problems:
        raise ConfigurationError(
            "the configuration cannot be used:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + "\nSee config/README.md for every key."
        )
    return config


def families_of(families: dict[str, Any], count: int) -> list[str]:
    """Name the disorder family of each structure of a split.

    Each structure goes to the family furthest below its share, so that more
    structures leave the families of the first ones as they are.

    Parameters
    ----------
    families
        The section ``structures.families``.
    count
        Number of structures.

    Examples
    --------
    >>> families = {"vacancies": {"share": 2}, "strain": {"share": 1}, "adatoms": {"share": 0}}
    >>> families_of(families, 6)
    ['vacancies', 'strain', 'vacancies', 'vacancies', 'strain', 'vacancies']
    """
    shares = {name: family["share"] for name, family in families.items() if family["share"] > 0}
    total = sum(shares.values())
    given: list[str] = []
    so_far = dict.fromkeys(shares, 0)
    for number in range(1, count + 1):
        missing = {name: share * number / total - so_far[name] for name, share in shares.items()}
        chosen = max(missing, key=missing.__getitem__)
        so_far[chosen] += 1
        given.append(chosen)
    return given


def crystals_of(structures: dict[str, Any]) -> list[dict[str, Any]]:
    """List the crystals of a run: the section `structures`, changed by each of its `others`.

    Structure and image number i of a split are of crystal i modulo their number.

    Examples
    --------
    >>> hbn = {"crystal": "hbn", "repeat": [4, 2]}
    >>> run = {"crystal": "graphene", "repeat": [5, 3], "vacuum": 4.0, "others": [hbn]}
    >>> [(c["crystal"], c["repeat"], c["vacuum"]) for c in crystals_of(run)]
    [('graphene', [5, 3], 4.0), ('hbn', [4, 2], 4.0)]
    """
    own = {key: value for key, value in structures.items() if key != "others"}
    return [own, *(own | other for other in structures["others"])]


def models_of(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name every network that is trained, with all that decides what becomes of it.

    Parameters
    ----------
    config
        A complete configuration.

    Returns
    -------
    dict
        By name of the model, plain values: ``name``, ``method`` (cnn, universal, paper_like),
        ``trained_on`` (the noise, or ``all``), ``noises``, ``c_noise`` (range of C), ``images``
        (scenes or mosaics), ``network``
        (a key of `learning.networks.NETWORKS`), ``options`` (see `learning.options`; they become
        part of the model), ``stitched`` (patches put side by side), ``seed``, and of the images
        ``mode`` and ``crystals``.
    """
    noises, trained = config["datasets"]["noises"], config["datasets"]["c_noise_train"]
    common = {k: v for k, v in config["training"].items() if not isinstance(v, dict)}
    network, weak = common.pop("network"), common.pop("weak")
    specialist = common | {"mixtures": 0.0, "turned": True, "weak": weak}
    images = "scenes" if learned(config) else "mosaics"
    universal = dict(config["training"]["universal"])
    wide = universal.pop("c_noise")
    universal["odds"] = {k: v for k, v in universal["odds"].items() if k in noises}
    # named only where they do something, so that a model without them stays what it was
    for key in OWN:
        if universal[key] == _universal_schema()[key]["default"]:
            del universal[key]
    paper = common | {"mixtures": 0.0, "turned": False, "featureless": 0.0}
    paper |= {"noise_source": "stored"} | config["training"]["paper_like"]
    shared = {
        "network": network,
        "seed": config["seed"],
        "mode": config["image"]["mode"],
        "crystals": [crystal["crystal"] for crystal in crystals_of(config["structures"])],
    }

    def model(
        method: str, on: list[str], c_noise: list[float], options: dict[str, Any]
    ) -> dict[str, Any]:
        return shared | {
            "method": method,
            "trained_on": on[0] if method != "universal" else "all",
            "noises": on,
            "c_noise": c_noise,
            "options": options,
            "images": "mosaics" if method == "paper_like" else images,
            "stitched": method == "paper_like",
        }

    models = {
        **{noise: model("cnn", [noise], trained, specialist) for noise in noises},
        "universal": model("universal", noises, wide, common | {"turned": True} | universal),
        **{f"paper_like_{n}": model("paper_like", [n], trained, paper) for n in noises},
    }
    return {name: {"name": name} | plan for name, plan in models.items()}


def learned(config: Mapping[str, Any]) -> bool:
    """Whether networks are trained on scenes that a learned density draws."""
    mode = image_mode(config["image"]["mode"])
    return mode.preset is None and config["density"]["source"] == "learned"


def _universal_schema() -> dict[str, Any]:
    training = _schema()["properties"]["training"]["properties"]
    universal: dict[str, Any] = training["universal"]["properties"]
    return universal


def reference_table() -> str:
    """Describe every key in a Markdown table, for config/README.md."""

    def rows(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
        for name, sub in schema["properties"].items():
            if "properties" in sub:
                yield from rows(sub, (*path, name))
            else:
                default, meaning = json.dumps(sub["default"]), sub["description"]
                if choices := sub.get("enum") or sub.get("items", {}).get("enum"):
                    meaning += f" Allowed: {_listed(choices)}."
                yield f"| `{'.'.join((*path, name))}` | {default} | {meaning} |"

    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows(load_schema())])


def _listed(choices: Iterable[Any]) -> str:
    """Write choices as they stand in a configuration."""
    return ", ".join("null" if choice is None else str(choice) for choice in choices)


def _fill_defaults(config: Any, schema: dict[str, Any]) -> None:
    if isinstance(config, list):
        for item in config:
            _fill_defaults(item, schema.get("items", {}))
    if not isinstance(config, dict):
        return
    for key, sub in schema.get("properties", {}).items():
        if "default" in sub:
            config.setdefault(key, deepcopy(sub["default"]))
        if key in config:
            _fill_defaults(config[key], sub)


def _repeated(file: Path) -> Iterator[str]:
    """Find keys that stand twice: YAML takes the last of them without a word."""

    def walk(node: yaml.Node, key: str = "") -> Iterator[str]:
        if isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for name, value in node.value:
                inside = f"{key}.{name.value}".lstrip(".")
                line = name.start_mark.line + 1
                if inside in seen:
                    yield (
                        f"{file}: `{inside}` stands twice (lines {seen[inside]} and {line}), of "
                        "which only the last would count; put both into one"
                    )
                seen[inside] = line
                yield from walk(value, inside)

    tree = yaml.compose(file.read_text(encoding="utf-8"))
    if tree is not None:
        yield from walk(tree)


def _not_finite(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _not_finite(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _not_finite(item, key)
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"`{key}` holds {value}: expected a finite number"


def _describe(error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = sorted(error.schema["properties"])
        unknown = sorted(set(error.instance) - set(known))[0]
        close = difflib.get_close_matches(unknown, known, n=1)
        return (
            f"`{f'{key}.{unknown}'.lstrip('.')}` = {error.instance[unknown]!r}: there is no such "
            + f"key; {f'did you mean `{close[0]}`?' if close else 'remove it.'} "
            + f"Known here: {', '.join(known)}"
        )
    expected: dict[str, Callable[[Any], str]] = {
        "type": lambda v: f"expected {' or '.join([v] if isinstance(v, str) else v)}",
        "enum": lambda v: f"expected one of {_listed(v)}",
        "minimum": lambda v: f"expected at least {v}",
        "maximum": lambda v: f"expected at most {v}",
        "exclusiveMinimum": lambda v: f"expected more than {v}",
        "exclusiveMaximum": lambda v: f"expected less than {v}",
        "minItems": lambda v: f"expected at least {v} values",
        "maxItems": lambda v: f"expected at most {v} values",
        "required": lambda v: f"expected {' and '.join(v)} in it",
        "pattern": lambda v: f"expected text like {v}",
        "uniqueItems": lambda _: "expected no value twice",
    }
    wanted = expected[str(error.validator)](error.validator_value)
    about = " ".join(
        text for text in (error.schema.get("description"), error.schema.get("x-remedy")) if text
    )
    return f"`{key}` = {error.instance!r}: {wanted}" + (f" ({about})" if about else "")


def _found(crystal: str) -> str:
    """Look for a crystal's file in the project's folder, if the working directory has none."""
    of_the_project = SCHEMA.parents[2] / crystal
    if not Path(crystal).is_file() and of_the_project.is_file():
        return str(of_the_project)
    return crystal


def _unusable_crystal(structures: dict[str, Any]) -> Iterator[str]:
    crystal = structures["crystal"]
    if crystal in BUILT_IN:
        return
    if not Path(crystal).is_file():
        close = difflib.get_close_matches(crystal, BUILT_IN, n=1)
        if crystal in LATTICES:
            close = [str(LATTICES[crystal].file)]
        yield (
            f"`structures.crystal` = {crystal!r}: expected {', '.join(BUILT_IN)} or the path of a "
            f"file{f'; did you mean `{close[0]}`?' if close else f' (none in {Path.cwd()})'}"
        )
    if structures["lattice_constant"] is not None:
        yield (
            f"`structures.lattice_constant` = {structures['lattice_constant']}: expected null, "
            f"since the file {crystal} contains it"
        )


def cell_of(structures: Mapping[str, Any]) -> tuple[float, float] | None:
    """Sides of a built-in crystal's supercell along x and y [Å]; None for a file's.

    Examples
    --------
    >>> cell_of({"crystal": "mos2", "lattice_constant": 3.0, "repeat": [4, 2]})
    (12.0, 10.392304845413264)
    """
    if structures["crystal"] not in BUILT_IN:
        return None
    lattice = LATTICES[structures["crystal"]]
    if structures["lattice_constant"] is not None:
        lattice = replace(lattice, lattice_constant=structures["lattice_constant"])
    if lattice.cell is None:
        return None
    along_x, along_y = lattice.cell
    return along_x * structures["repeat"][0], along_y * structures["repeat"][1]


def _unusable_microscope(config: dict[str, Any], crystal: dict[str, Any]) -> Iterator[str]:
    mode, preset = image_mode(config["image"]["mode"]), config["microscope"]["preset"]
    if mode.preset is None:
        return
    if preset and microscopes.PRESETS[preset]["mode"] != mode.name:
        fitting = [
            name for name, preset in microscopes.PRESETS.items() if preset["mode"] == mode.name
        ]
        yield (
            f"`microscope.preset` = {preset!r}: expected one for `image.mode` = {mode.name!r}: "
            f"{', '.join(fitting)}, or null"
        )
        return
    yield from microscopes.impossible(microscopes.microscope_of(config), cell_of(crystal))


def _unusable_micrographs(config: dict[str, Any]) -> Iterator[str]:
    micrographs = config["micrographs"]
    stems: dict[str, str] = {}
    for image in micrographs["images"]:
        if not Path(image).exists():
            yield (
                f"`micrographs.images` holds {image!r}: there is no such file "
                f"(seen from {Path.cwd()})"
            )
        other = stems.setdefault(Path(image).stem, image)
        if other != image:
            yield (
                f"`micrographs.images` holds {other!r} and {image!r}: expected different names, "
                "since the results are named after them"
            )
    model = micrographs["model"]
    known = ["pretrained", *models_of(config)]
    if micrographs["images"] and model not in known and not Path(model).is_file():
        yield (
            f"`micrographs.model` = {model!r}: expected the path of a model file, or one of "
            f"{', '.join(known)}"
        )


def _unusable_families(families: dict[str, Any]) -> Iterator[str]:
    if not any(family["share"] for family in families.values()):
        yield "`structures.families`: every `share` is 0; expected one above 0"
    for name, family in families.items():
        low, high = family.get("count", (0, 0))
        if low > high:
            yield (
                f"`structures.families.{name}.count` = {[low, high]}: expected the smaller "
                "number first"
            )
    if families["substitution"]["share"] and not families["substitution"]["replace"]:
        yield (
            "`structures.families.substitution.replace` = {}: expected what may take the place "
            "of which element, e.g. {C: [Si, N]}, since its share is above 0"
        )


def _unusable_augmentation(config: dict[str, Any]) -> Iterator[str]:
    universal, mosaics = config["training"]["universal"], config["mosaics"]
    n_crystals = len(crystals_of(config["structures"]))
    for split in SPLITS:
        for section in ("structures", "mosaics"):
            count = config[section]["count"][split]
            if count < n_crystals:
                yield (
                    f"`{section}.count.{split}` = {count}: expected at least {n_crystals}, one of "
                    "every crystal (`structures.others`)"
                )
    low, high = universal["sampling"] or (mosaics["sampling"],) * 2
    if low > high:
        yield f"`training.universal.sampling` = {[low, high]}: expected the smaller pixel first"
    turned = math.sqrt(2) if universal["rotation"] else 1.0
    patch = universal["patch"] or config["training"]["patch"]
    stretched = math.exp(universal["stretch"] / 2)
    needed = math.ceil(patch * turned * stretched * high / mosaics["sampling"]) + 2
    section = "scenes" if learned(config) else "mosaics"
    size = config[section]["size"]
    if (universal["rotation"] or universal["sampling"]) and needed > size:
        yield (
            f"`{section}.size` = {size}: expected at least {needed}, which a patch of "
            f"{patch} pixels of {high:g} Å covers"
            f"{' at any angle' if universal['rotation'] else ''}; raise it or lower "
            "`training.universal.patch` (null: `training.patch`) or `training.universal.sampling`"
        )
    if universal["c_spacing"] == "logarithmic" and universal["c_noise"][0] == 0:
        yield (
            "`training.universal.c_noise` begins at 0: expected more than 0, since "
            "`training.universal.c_spacing` is logarithmic"
        )


def _unusable_scenes(config: dict[str, Any]) -> Iterator[str]:
    if not learned(config):
        return
    remedy = "or set `density.source` to dft"
    count, crystals = config["structures"]["count"]["train"], crystals_of(config["structures"])
    if count < FEWEST_LEARNED:
        yield (
            f"`structures.count.train` = {count}: expected at least {FEWEST_LEARNED}, from which a "
            f"density can be learned; raise it {remedy}"
        )
    if config["scenes"]["count"] < len(crystals):
        yield (
            f"`scenes.count` = {config['scenes']['count']}: expected at least {len(crystals)}, one "
            f"of every crystal (`structures.others`); raise it {remedy}"
        )
    for crystal in crystals:
        cell = cell_of(crystal)
        if cell is not None and min(cell) < SMALLEST_LEARNED:
            yield (
                f"`structures.repeat` = {crystal['repeat']} of {crystal['crystal']}: a cell of "
                f"{cell[0]:.2f} x {cell[1]:.2f} Å, expected at least {SMALLEST_LEARNED:g} Å, so "
                f"that no atom is its own neighbour; raise it {remedy}"
            )
    low, high = config["scenes"]["disorder"]
    if low > high:
        yield f"`scenes.disorder` = {[low, high]}: expected the smaller number first"
    if config["training"]["noise_source"] == "stored":
        yield (
            "`training.noise_source` = 'stored': expected fresh, since no noisy frames of scenes "
            f"are stored; set it to fresh {remedy}"
        )
    patch = max(config["training"]["patch"], config["training"]["universal"]["patch"] or 0)
    if patch > config["scenes"]["size"]:
        yield (
            f"`scenes.size` = {config['scenes']['size']}: expected at least {patch}, the side of a "
            "training patch; raise it or lower `training.patch`"
        )


def _contradictions(config: dict[str, Any]) -> Iterator[str]:
    """Check what no single key can tell."""
    structures, datasets = config["structures"], config["datasets"]
    training, mosaics = config["training"], config["mosaics"]
    for crystal in crystals_of(structures):
        yield from _unusable_crystal(crystal)
        yield from _unusable_families(crystal["families"])
        yield from _unusable_microscope(config, crystal)
    yield from _unusable_augmentation(config)
    yield from _unusable_scenes(config)
    yield from _unusable_micrographs(config)
    grid = datasets["c_noise_grid"]
    if grid != sorted(grid):
        yield f"`datasets.c_noise_grid` = {grid}: expected ascending values"
    for key, (low, high) in (
        ("datasets.c_noise_train", datasets["c_noise_train"]),
        ("training.universal.c_noise", training["universal"]["c_noise"]),
    ):
        if low >= high:
            yield f"`{key}` = {[low, high]}: expected the smaller C first"
        if not any(low <= c <= high for c in grid):
            yield (
                f"`datasets.c_noise_grid` = {grid}: expected at least one C within "
                f"`{key}` = {[low, high]}, to validate the training on"
            )
    for c in config["report"]["c_noise"]:
        if c not in grid:
            yield f"`report.c_noise` holds {c}: expected values of `datasets.c_noise_grid` = {grid}"
    own, universal = {}, training["universal"]
    for name in ("patch", "levels"):
        key = f"training.universal.{name}" if universal[name] else f"training.{name}"
        own[key] = universal[name] or training[name]
    specialist = {f"training.{name}": training[name] for name in ("patch", "levels")}
    # named once where the universal network has neither of its own
    for pair in [specialist, own] if own != specialist else [own]:
        (key, patch), (of_levels, levels) = pair.items()
        if patch > mosaics["size"]:
            yield f"`{key}` = {patch}: expected at most `mosaics.size` = {mosaics['size']}"
        if patch % 2**levels:
            yield (
                f"`{key}` = {patch}: expected a multiple of {2**levels} "
                f"(2 to the power of `{of_levels}` = {levels})"
            )
    split, number = config["validation"]["structure"].split("-")
    if int(number) >= structures["count"][split]:
        yield (
            f"`validation.structure` = {config['validation']['structure']!r}: there is no such "
            f"structure; expected a number below {structures['count'][split]} "
            f"(`structures.count.{split}`)"
        )
    for key, section in (("", training), *((f"{k}.", training[k]) for k in _MODEL_SECTIONS)):
        if section["steps"] % training["checkpoint_every"]:
            yield (
                f"`training.{key}steps` = {section['steps']}: expected a multiple of "
                f"`training.checkpoint_every` = {training['checkpoint_every']}"
            )
