"""The picture of the architecture: the graph of a run, as figure 5 draws it, but as SVG.

python tests/benchmarks/workflow_picture.py [results/figures/workflow.json] [docs/workflow.svg]
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

import matplotlib as mpl
from temdenoise.foundation.files import atomic, read_json
from temdenoise.report.figures import figure_5
from temdenoise.report.style import journal


def main(graph="results/figures/workflow.json", output=ROOT / "docs/workflow.svg"):
    with journal(), mpl.rc_context({"svg.hashsalt": "workflow"}):
        figure, _ = figure_5(graph=read_json(graph))
        # no date: the same graph gives the same file
        with atomic(output) as temporary:
            figure.savefig(temporary, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
