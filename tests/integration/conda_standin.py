"""A stand-in for `conda`: one virtual environment per environment file, from PyPI.

It answers the few calls Snakemake makes, so that a test can run the workflow
with `--sdm conda` where no conda channel can be reached, and find imports that
leak from one step's environment into another. It proves nothing about conda's
solver, nor that a pin exists in a channel.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

PYPI_NAMES = {"snakemake-minimal": "snakemake", "pytorch": "torch", "tblite-python": "tblite"}


def requirements(text):
    """Read the packages of an environment file, under their names on PyPI."""
    found = []
    for line in text.split("dependencies:")[1].splitlines():
        entry = line.split("#")[0].strip().removeprefix("- ")
        if entry and not entry.endswith(":"):
            name, _, version = entry.replace("==", "=").partition("=")
            if name not in ("python", "pip"):
                found.append(f"{PYPI_NAMES.get(name, name)}=={version}")
    return found


def create(environment_file, prefix):
    subprocess.run([os.environ["STANDIN_PYTHON"], "-m", "venv", prefix], check=True)
    pip = [f"{prefix}/bin/python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, os.environ["STANDIN_PIP"]], check=True)
    packages = requirements(Path(environment_file).read_text())
    subprocess.run([*pip, "-c", os.environ["STANDIN_CONSTRAINTS"], *packages], check=True)


def main(arguments):
    home = Path(__file__).resolve().parents[1]
    if arguments[0] == "info":
        print(json.dumps({"conda_prefix": str(home), "platform": "linux-64"}))
    elif arguments[0] == "--version":
        print("conda 99.9.9")
    elif arguments[:2] == ["config", "--get"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif arguments[:2] == ["env", "create"]:
        parser = argparse.ArgumentParser()
        parser.add_argument("--file")
        parser.add_argument("--prefix")
        options, _ = parser.parse_known_args(arguments[2:])
        create(options.file, options.prefix)
    elif arguments[0] != "clean":
        sys.exit(f"the stand-in for conda does not know: {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
