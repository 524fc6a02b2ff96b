"""The command line: `temdenoise denoise IMAGE...`, `temdenoise models`, ...

Exit codes: 0, all was done; 1, something could not be done (what, stands on the terminal;
the rest was done); 2, the command itself was wrong.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path

from temdenoise.errors import DataError

COMMANDS = {
    "denoise": "denoise micrographs, and say how far to believe the result",
    "models": "list the pretrained models",
    "export": "write a model for other programs: ONNX, or a package of the BioImage Model Zoo",
    "publish": "make a trained model of a finished run one to hand on, with its card",
    "new-project": "set up a run that trains models for a crystal of yours",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the entry point of the program `temdenoise`.

    Parameters
    ----------
    arguments
        Default: those of the process.

    Returns
    -------
    int
        Exit code.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        # what costs seconds to import is imported by the command that needs it
        return _RUN[options.command](options)
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        _say("interrupted; files already written are whole")
        return 130
    except ModuleNotFoundError as error:
        _say(
            f"error: the package {error.name!r} is not installed; {_INSTALL[options.command]} in "
            "the project's folder installs all that this command needs"
        )
        return 1
    except (DataError, OSError, ValueError) as error:
        _say(f"error: {error}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="temdenoise",
        description="Denoise TEM images with networks trained on first-principles densities.",
    )
    parser.add_argument("--version", action="version", version=f"temdenoise {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    denoise = commands.add_parser("denoise", help=COMMANDS["denoise"])
    denoise.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    denoise.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder to write to (default: IMAGE's own)"
    )
    denoise.add_argument(
        "--model", metavar="PATH", help="a model of your own (model.pt), or a name of `models`"
    )
    denoise.add_argument(
        "--kind",
        choices=("auto", "adf", "density"),
        default="auto",
        help="bright atoms or dark pores; decides the model (default: judged from the image)",
    )
    denoise.add_argument(
        "--sampling", type=_positive, metavar="Å", help="pixel size in Å, whatever the file says"
    )
    denoise.add_argument("--crystal", help="graphene, hbn or mos2: check the pixel size against it")
    denoise.add_argument(
        "--spacing", type=_positive, metavar="Å", help="the same by its first ring's spacing in Å"
    )
    denoise.add_argument(
        "--figure",
        action="store_true",
        help="also draw it with what the predicted error doubts: IMAGE_figure_3.pdf, .png, .csv",
    )
    denoise.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    denoise.add_argument("--quiet", action="store_true", help="print errors and warnings alone")

    models = commands.add_parser("models", help=COMMANDS["models"])
    models.add_argument("--folder", type=Path, help="another folder of models")

    export = commands.add_parser("export", help=COMMANDS["export"])
    export.add_argument("model", metavar="MODEL", help="model.pt, or a name of `models`")
    export.add_argument("--onnx", type=Path, metavar="FILE", help="write ONNX (.onnx)")
    export.add_argument(
        "--zoo", type=Path, metavar="FILE", help="write a package of the BioImage Model Zoo (.zip)"
    )

    publish = commands.add_parser("publish", help=COMMANDS["publish"])
    publish.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    publish.add_argument("--name", required=True, help="to publish it under, e.g. adf")
    publish.add_argument("--model", default="universal", help="which of the run's models")
    publish.add_argument(
        "--folder", type=Path, metavar="DIR", help="to publish in (default: the package's own)"
    )

    new = commands.add_parser("new-project", help=COMMANDS["new-project"])
    new.add_argument("crystal", type=Path, metavar="CIF", help="any file ASE reads, or a name")
    new.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to make")
    new.add_argument(
        "--kind",
        choices=("density", "adf"),
        default="density",
        help="images the model is for: dark pores, or bright atoms (ADF-STEM)",
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a length in Å above 0")
    return value


def _version() -> str:
    try:
        return metadata.version("temdenoise")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _denoise(options: argparse.Namespace) -> int:
    from temdenoise.micrographs.calibration import SPACINGS

    spacings = None
    if options.spacing:
        spacings = {options.crystal or "the crystal": options.spacing}
    elif options.crystal:
        if options.crystal.lower() not in SPACINGS:
            _say(
                f"error: --crystal {options.crystal}: expected one of {', '.join(SPACINGS)}; "
                "for another give the spacing of its first ring with --spacing, in Å"
            )
            return 2
        spacings = {options.crystal.lower(): SPACINGS[options.crystal.lower()]}
    if options.threads:
        import torch

        torch.set_num_threads(max(1, options.threads))
    denoising = import_module("temdenoise.micrographs.denoise_file")
    showing = import_module("temdenoise.showing.micrograph")
    draw = import_module("temdenoise.showing.marked").write_figure_3 if options.figure else None
    failed = 0
    inputs = {path.resolve() for path in options.images}
    written: dict[Path, Path] = {}
    for path in options.images:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                complete = denoising.denoise_file(
                    path,
                    output=options.output,
                    model=options.model,
                    kind=options.kind,
                    sampling=options.sampling,
                    spacings=spacings,
                    summarise=showing.summarise,
                    protected=inputs,
                    written=written,
                    say=(lambda _: None) if options.quiet else _say,
                    warn=_say,
                    bar=sys.stderr if sys.stderr.isatty() and not options.quiet else None,
                    draw=draw,
                )
            failed += not complete
        except (DataError, OSError, ValueError, MemoryError) as error:
            text = str(error) or type(error).__name__
            _say(f"error: {text if str(path) in text else f'{path}: {text}'}")
            failed += 1
    return 1 if failed else 0


def _models(options: argparse.Namespace) -> int:
    models = import_module("temdenoise.micrographs.models")
    fitting = import_module("temdenoise.micrographs.fitting")
    folder = options.folder or models.FOLDER
    found = models.available(folder)
    if not found:
        _say(
            f"no pretrained model in {folder}; train one with `make run`, and give it with "
            "`temdenoise denoise --model results/models/universal/model.pt`"
        )
        return 1
    listed = models.index(folder)
    for name, model in found.items():
        trained = fitting.trained_range(model.about)
        crystals = ", ".join(trained.spacings) or "not said"
        print(  # noqa: T201
            f"{name}: {trained.kind}, pixels of {trained.sampling[0]:.3f} to "
            f"{trained.sampling[1]:.3f} Å, noise up to {trained.c_noise[1] / trained.contrast:.1f} "
            f"times the lattice's contrast, crystals: {crystals}"
        )
        if name in listed:
            entry = listed[name]
            print(  # noqa: T201
                f"  {entry['bytes'] / 1e6:.1f} MB, {entry['licence']}, SHA-256 as listed; what it "
                f"is for and what not: {folder / name}.md"
            )
    return 0


def _export(options: argparse.Namespace) -> int:
    if not (options.onnx or options.zoo):
        _say("error: nothing to export; name a file with --onnx or --zoo")
        return 2
    models = import_module("temdenoise.micrographs.models")
    path, denoiser = models.named(options.model)
    if options.onnx:
        export = import_module("temdenoise.sharing.export")
        export.export_onnx(denoiser, options.onnx)
        _say(f"written: {options.onnx}\n{export.scaling(denoiser.about)}")
    if options.zoo:
        publishing = import_module("temdenoise.sharing.publishing")
        model_card = import_module("temdenoise.showing.model_card")
        # results/models/universal/model.pt is the model "universal"
        stem, folder = Path(path).stem, Path(path).parent.name
        name, own = folder if folder and stem == "model" else stem, models.FOLDER / f"{path}.md"
        if own.is_file():
            text = own.read_text(encoding="utf-8")
        else:
            text = model_card.card(name, publishing.described_by(denoiser), denoiser.about)
        zoo = import_module("temdenoise.sharing.zoo")
        zoo.export_zoo(denoiser, options.zoo, name=name, documentation=text)
        _say(f"written: {options.zoo}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    publishing = import_module("temdenoise.sharing.publishing")
    card = import_module("temdenoise.showing.model_card")
    _say(
        publishing.publish(
            options.run,
            name=options.name,
            card=card.card,
            model=options.model,
            folder=options.folder or publishing.FOLDER,
        )
    )
    return 0


def _new_project(options: argparse.Namespace) -> int:
    project = import_module("temdenoise.project")
    _say(project.new_project(options.crystal, options.output, kind=options.kind))
    return 0


_INSTALL = dict.fromkeys(COMMANDS, "`pip install .`") | {"export": "`pip install '.[export]'`"}

_RUN = {
    "denoise": _denoise,
    "models": _models,
    "export": _export,
    "publish": _publish,
    "new-project": _new_project,
}

if __name__ == "__main__":
    sys.exit(main())
