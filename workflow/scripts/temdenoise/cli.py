"""The command line: `temdenoise denoise IMAGE...`, `temdenoise models`, ...

Exit codes: 0, all was done; 1, something could not be done (what, stands on the terminal;
the rest was done); 2, the command itself was wrong; 3, of `judge`: the data contradict the
result; 130, interrupted by Ctrl-C (files already written are whole).
"""

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from temdenoise import __version__
from temdenoise.foundation.errors import DataError
from temdenoise.foundation.extras import install_hint
from temdenoise.foundation.lattices import BUILT_IN, LATTICES, spacing_of
from temdenoise.foundation.modes import IMAGE_MODES
from temdenoise.micrographs.result_formats import BITS, RESULT_FORMATS
from temdenoise.micrographs.units import parse_length
from temdenoise.project import KINDS

COMMANDS = {
    "denoise": "denoise micrographs, and say how far to believe the result",
    "inspect": "say what files hold, and what would be done with them",
    "judge": "weigh what any other program made of a frame by the frame's own data",
    "implant": "plant vacancies and foreign atoms into a frame, and see what a denoiser keeps",
    "models": "list the pretrained models",
    "export": "write a model for other programs: ONNX, or a package of the BioImage Model Zoo",
    "publish": "make a trained model of a finished run one to hand on, with its card",
    "benchmark": "judge models, classical methods and other programs on the reference test set",
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
    # pictures are written, never shown, whatever a notebook asks for
    os.environ["MPLBACKEND"] = "agg"
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        # a terminal that has no Å is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
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
            f"error: the package {error.name!r} is not installed; in the project's folder, "
            f"`{install_hint(error.name or '')}` installs it"
        )
        return 1
    except (DataError, OSError, ValueError) as error:
        _say(f"error: {error}")
        return 1


def _open_streams() -> None:
    """Open what was closed by whoever started the program: a result might be taken for it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="temdenoise",
        description="Denoise TEM images with networks trained on first-principles densities.",
    )
    parser.add_argument("--version", action="version", version=f"temdenoise {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    denoise = commands.add_parser("denoise", help=COMMANDS["denoise"])
    denoise.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE",
        help="a file, or a folder: every image in it",
    )
    denoise.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PATH",
        help="folder to write to (default: IMAGE's own), or the denoised image: result.tif",
    )
    denoise.add_argument(
        "--format",
        choices=tuple(RESULT_FORMATS),
        help="of the images written (default: TIFF, and IMAGE's own where it can be written)",
    )
    denoise.add_argument(
        "--bits",
        type=int,
        choices=BITS,
        default=32,
        help="of a pixel: 32 for values as they are; 16 or 8 for whole numbers, linear, with "
        "their scale in file and summary",
    )
    denoise.add_argument(
        "--model",
        default="auto",
        metavar="PATH",
        help="a model of your own (model.pt), or a name of `models` (default: by the image)",
    )
    denoise.add_argument(
        "--kind",
        choices=("auto", *IMAGE_MODES),
        default="auto",
        help="bright atoms (adf), dark pores (density), ...; decides the model (default: judged "
        "from the image)",
    )
    denoise.add_argument(
        "--sampling",
        type=_length,
        metavar="LENGTH",
        help="pixel size, whatever the file says: 0.12 (in Å), 12pm, 0.012nm",
    )
    denoise.add_argument(
        "--crystal", help=f"check the pixel size against it: {', '.join(LATTICES)}, ..."
    )
    denoise.add_argument(
        "--spacing",
        type=_spacing,
        metavar="LENGTH",
        help="the same by its first ring's spacing: 2.13 (in Å), 0.213nm",
    )
    denoise.add_argument(
        "--signal",
        metavar="N|NAME",
        help="the one signal of each file to denoise (default: every image; see `inspect`)",
    )
    denoise.add_argument(
        "--frames-axis",
        type=int,
        metavar="N",
        help="axis along which the frames of a stack lie, from 0; -1 is the last (default: the "
        "first, where nothing else is said)",
    )
    denoise.add_argument(
        "--figure",
        action="store_true",
        help="also draw it with what the predicted error doubts: IMAGE_figure_3.pdf, .png, .csv",
    )
    denoise.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="where to compute (default: a GPU where there is one)",
    )
    denoise.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    denoise.add_argument("--quiet", action="store_true", help="print errors and warnings alone")

    inspect = commands.add_parser("inspect", help=COMMANDS["inspect"])
    inspect.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="or a folder: every image in it"
    )
    inspect.add_argument("--json", action="store_true", help="for programs: one object per file")

    _add_judge(commands)
    _add_implant(commands)

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

    benchmark = commands.add_parser("benchmark", help=COMMANDS["benchmark"])
    benchmark.add_argument(
        "--run",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="results of a finished run, whose models are judged; may be given again",
    )
    benchmark.add_argument(
        "--command",
        action="append",
        default=[],
        dest="programs",
        metavar="TEXT",
        help='a program to judge: NAME="denoiser {input} {output}"; may be given again',
    )
    benchmark.add_argument("--noise", nargs="+", metavar="NAME", help="default: the paper's four")
    benchmark.add_argument("--c-noise", nargs="+", type=float, metavar="C", help="noise levels")
    benchmark.add_argument("--crystal", nargs="+", default=[], metavar="NAME", help="default: all")
    benchmark.add_argument("--no-classical", action="store_true", help="networks and programs only")
    benchmark.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at once")
    benchmark.add_argument(
        "-o", "--output", type=Path, default=Path("benchmark"), metavar="DIR", help="of the tables"
    )

    new = commands.add_parser("new-project", help=COMMANDS["new-project"])
    new.add_argument(
        "crystal",
        type=Path,
        metavar="CIF",
        help=f"any file ASE reads, or one of {', '.join(BUILT_IN)}",
    )
    new.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to make")
    new.add_argument(
        "--kind",
        choices=tuple(KINDS),
        default="density",
        help="images the model is for: dark pores, or bright atoms (ADF-STEM)",
    )
    return parser


def _add_judge(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    judge = commands.add_parser("judge", help=COMMANDS["judge"])
    judge.add_argument("frame", type=Path, metavar="FRAME", help="as the microscope recorded it")
    judge.add_argument(
        "result",
        nargs="?",
        type=Path,
        metavar="RESULT",
        help="what was made of it, of the same shape",
    )
    judge.add_argument(
        "--command",
        dest="program",
        metavar="TEXT",
        help='a program in place of RESULT: "denoiser {input} {output}"; it is run on a part of '
        "the frame's data, and judged by the other part",
    )
    judge.add_argument(
        "--other",
        type=Path,
        metavar="FRAME2",
        help="another exposure of the same place, to judge by",
    )
    judge.add_argument(
        "--sampling", type=_length, metavar="LENGTH", help="pixel size, whatever the files say"
    )
    judge.add_argument(
        "--kind",
        choices=("auto", *IMAGE_MODES),
        default="auto",
        help="what the frame shows, see `denoise`; a result that looks otherwise is doubted",
    )
    judge.add_argument(
        "--crystal", help=f"check the pixel size against it: {', '.join(LATTICES)}, ..."
    )
    judge.add_argument(
        "--signal", metavar="N|NAME", help="of FRAME, if it holds several (see `inspect`)"
    )
    judge.add_argument(
        "--frame", dest="number", type=int, metavar="N", help="of a stack in FRAME, from 1"
    )
    judge.add_argument("--other-frame", type=int, metavar="N", help="of a stack in FRAME2, from 1")
    judge.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write to (default: that of RESULT, or of FRAME)",
    )


def _add_implant(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    implant = commands.add_parser("implant", help=COMMANDS["implant"])
    implant.add_argument("frame", type=Path, metavar="FRAME", help="as the microscope recorded it")
    implant.add_argument(
        "--command",
        dest="program",
        metavar="TEXT",
        help='the denoiser: NAME="denoiser {input} {output}" (default: a model of this package)',
    )
    implant.add_argument(
        "--model", default="auto", metavar="PATH", help="as of `denoise` (default: by the image)"
    )
    implant.add_argument(
        "--kind",
        choices=("auto", *IMAGE_MODES),
        default="auto",
        help="as of `denoise`; decides the model (default: judged from the image)",
    )
    implant.add_argument(
        "--sampling", type=_length, metavar="LENGTH", help="pixel size, whatever the file says"
    )
    implant.add_argument(
        "--crystal", help="take the pixel size from its lattice, where the file says none"
    )
    implant.add_argument("--signal", metavar="N|NAME", help="the one signal of the file to use")
    implant.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="to write to (default: FRAME's own folder)"
    )
    implant.add_argument(
        "--count",
        type=int,
        default=40,
        metavar="N",
        help="implants of each species and strength, as far as there is room (default: 40)",
    )
    implant.add_argument(
        "--strength",
        nargs="+",
        type=float,
        default=[0.0, 1.5, 2.0],
        metavar="X",
        help="over that of the lattice's own atom; 0: a vacancy (default: 0 1.5 2)",
    )
    implant.add_argument(
        "--runs",
        type=int,
        default=4,
        metavar="N",
        help="times to denoise with implants at other sites, at most (default: 4, the maximum)",
    )
    implant.add_argument("--seed", type=int, default=0, metavar="N", help="of sites and noise")
    implant.add_argument("--quiet", action="store_true", help="print errors alone")


def _length(text: str) -> float:
    try:
        return parse_length(text)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _spacing(text: str) -> float:
    try:
        return parse_length(text, finest=0.5, coarsest=50.0)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _listed(given: Sequence[Path]) -> tuple[list[Path], int]:
    """List files, and those of folders, each once; also say and count what folders hold none."""
    from temdenoise.denoise_files import images_at

    found, failed = [], 0
    for path in given:
        try:
            found += images_at(path)
        except DataError as error:
            _say(f"error: {error}")
            failed += 1
    return list(dict.fromkeys(found)), failed


def _denoise(options: argparse.Namespace) -> int:
    from temdenoise.denoise_files import Request, Terminal, denoise_file
    from temdenoise.micrographs.results import Guard, Output, is_result

    if options.crystal and not options.spacing and options.model == "auto":
        try:
            spacing_of(options.crystal)
        except DataError as error:
            _say(f"error: --crystal: {error}")
            return 2
    images, failed = _listed(options.images)
    # `*.tif` also names the results of the time before
    own = [path for path in images if not is_result(path)]
    if options.output:
        try:
            output = Output.at(options.output, format=options.format, bits=options.bits)
        except DataError as error:
            _say(f"error: -o {error}")
            return 2
        if output.file and len(own or images) > 1:
            _say(
                f"error: -o {output.file}: {len(own or images)} images do not fit into one file; "
                "expected a folder"
            )
            return 2
    if options.threads:
        import torch

        torch.set_num_threads(max(1, options.threads))
    request = Request(
        output=options.output,
        format=options.format,
        bits=options.bits,
        model=options.model,
        sampling=options.sampling,
        crystal=options.crystal,
        kind=options.kind,
        spacing=options.spacing,
        signal=options.signal,
        frames_axis=options.frames_axis,
        device=options.device,
        figure=options.figure,
    )
    quiet = options.quiet
    if own and not quiet:
        for path in images:
            if path not in own:
                _say(f"{path}: left out, a result of this program (name it alone to denoise it)")
    guard = Guard(inputs={path.resolve() for path in own or images})
    bar = sys.stderr if sys.stderr.isatty() and not quiet else None
    terminal = Terminal((lambda _: None) if quiet else _say, _say, bar)
    for path in own or images:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                failed += not denoise_file(path, request, guard, terminal)
        except (DataError, OSError, ValueError, MemoryError) as error:
            text = str(error) or type(error).__name__
            _say(f"error: {text if str(path) in text else f'{path}: {text}'}")
            failed += 1
    return 1 if failed else 0


def _inspect(options: argparse.Namespace) -> int:
    import json

    from temdenoise.inspecting import inspect, lines

    files, failed = _listed(options.files)
    for path in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = inspect(path)
        except (DataError, OSError, ValueError, MemoryError) as error:
            text = str(error) or type(error).__name__
            _say(f"error: {text if str(path) in text else f'{path}: {text}'}")
            failed += 1
            continue
        if options.json:
            print(json.dumps({"file": str(path), "signals": found}))  # noqa: T201
            continue
        print(path)  # noqa: T201
        for signal in found:
            print("\n".join(f"  {line}" for line in lines(signal)))  # noqa: T201
    return 1 if failed else 0


def _implant(options: argparse.Namespace) -> int:
    from temdenoise.implanting import Request, implant_file
    from temdenoise.judging.programs import named_program
    from temdenoise.micrographs.implants import Planting

    say = (lambda _: None) if options.quiet else _say
    try:
        request = Request(
            output=options.output,
            program=None if options.program is None else named_program(options.program),
            model=options.model,
            mode=options.kind,
            sampling=options.sampling,
            crystal=options.crystal,
            signal=options.signal,
            planting=Planting(
                strengths=tuple(options.strength),
                count=options.count,
                runs=options.runs,
                seed=options.seed,
                progress=lambda done, total: say(f"  denoised {done} of {total} times"),
            ),
        )
    except ValueError as error:
        _say(f"error: {error}")
        return 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        implant_file(options.frame, request, say)
    return 0


def _judge(options: argparse.Namespace) -> int:
    if (options.result is None) == (options.program is None):
        _say("error: name either the result, or with --command a program that makes it")
        return 2
    from temdenoise.denoise_files import Terminal
    from temdenoise.second_opinion import Request, judge_file

    request = Request(
        result=options.result,
        command=options.program,
        other=options.other,
        output=options.output,
        sampling=options.sampling,
        kind=options.kind,
        crystal=options.crystal,
        signal=options.signal,
        frame=options.number,
        other_frame=options.other_frame,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return judge_file(options.frame, request, Terminal(_say, _say))


def _models(options: argparse.Namespace) -> int:
    from temdenoise.micrographs import models
    from temdenoise.micrographs.index import FOLDER, index

    folder = options.folder or FOLDER
    listed = index(folder)
    found = False
    for name, model in models.available(folder):
        found = True
        about = model.description
        crystals = ", ".join(about.spacings) or "not said"
        print(  # noqa: T201
            f"{name}: {about.mode.name}, pixels of {about.pixels.finest:.3f} to "
            f"{about.pixels.coarsest:.3f} Å, noise up to {about.noise_over_contrast:.1f} "
            f"times the lattice's contrast, crystals: {crystals}"
        )
        if name in listed:
            entry = listed[name]
            print(  # noqa: T201
                f"  {entry['bytes'] / 1e6:.1f} MB, {entry['licence']}, SHA-256 as listed; what it "
                f"is for and what not: {folder / name}.md"
            )
    if not found:
        _say(
            f"no pretrained model in {folder}; train one with `make run`, and give it with "
            "`temdenoise denoise --model results/models/universal/model.pt`"
        )
    return 0 if found else 1


def _export(options: argparse.Namespace) -> int:
    if not (options.onnx or options.zoo):
        _say("error: nothing to export; name a file with --onnx or --zoo")
        return 2
    from temdenoise.micrographs import models
    from temdenoise.sharing import export

    name, model = models.named(options.model)
    if options.onnx:
        export.export_onnx(model, options.onnx)
        _say(f"written: {options.onnx}\n{export.scaling(model.description)}")
    if options.zoo:
        from temdenoise.sharing import publishing, zoo

        # results/models/universal/model.pt is the model "universal"
        path = Path(name)
        title = path.parent.name if path.parent.name and path.stem == "model" else path.stem
        text = publishing.card_of(name, model, title=title)
        zoo.export_zoo(model, options.zoo, name=title, documentation=text)
        _say(f"written: {options.zoo}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from temdenoise.micrographs.index import FOLDER
    from temdenoise.sharing.publishing import publish

    folder = options.folder or FOLDER
    _say(publish(options.run, name=options.name, model=options.model, folder=folder))
    return 0


def _new_project(options: argparse.Namespace) -> int:
    from temdenoise.project import new_project

    _say(new_project(options.crystal, options.output, kind=options.kind))
    return 0


def _benchmark(options: argparse.Namespace) -> int:
    from temdenoise import benchmarking
    from temdenoise.judging.programs import named_program

    chosen = benchmarking.Benchmark(
        runs=options.run,
        programs=[named_program(text) for text in options.programs],
        noises=options.noise or benchmarking.PAPER_NOISES,
        c_noise=options.c_noise or benchmarking.C_NOISE,
        crystals=options.crystal,
        classical=not options.no_classical,
    )
    _say(benchmarking.run(chosen, options.output, jobs=options.jobs))
    return 0


_RUN = {
    "denoise": _denoise,
    "inspect": _inspect,
    "judge": _judge,
    "implant": _implant,
    "models": _models,
    "export": _export,
    "publish": _publish,
    "benchmark": _benchmark,
    "new-project": _new_project,
}

if __name__ == "__main__":
    sys.exit(main())
