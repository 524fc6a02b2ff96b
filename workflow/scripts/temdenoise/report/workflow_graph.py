"""The workflow's own graph: asked of Snakemake, laid out in layers.

Needs the standard library only, since it runs where Snakemake runs.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Edge = tuple[str, str]

ATTEMPTS = 3
"""Other jobs write their records while Snakemake reads them, so that a first look may fail."""


def parse_rulegraph(dot: str) -> list[Edge]:
    r"""Read the edges (from, to) of ``snakemake --rulegraph dot``.

    Examples
    --------
    >>> parse_rulegraph('0[label = "b", color = "x"];\n1[label = "a"];\n1 -> 0\n')
    [('a', 'b')]
    """
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', dot, flags=re.MULTILINE))
    edges = re.findall(r"^\s*(\d+) -> (\d+)", dot, flags=re.MULTILINE)
    return sorted((names[a], names[b]) for a, b in edges)


def parse_jobs(dot: str) -> dict[str, int]:
    r"""Count the jobs of each rule in ``snakemake --dag dot``, those that are done included.

    Examples
    --------
    >>> parse_jobs('0[label = "b"];\n1[label = "a\\nn: 1"];\n2[label = "a\\nn: 2"];\n1 -> 0\n')
    {'b': 1, 'a': 2}
    """
    return dict(Counter(re.findall(r'^\s*\d+\[label = "(\w+)', dot, flags=re.MULTILINE)))


def parse_job_counts(text: str) -> dict[str, int]:
    r"""Read the table of jobs per rule of ``snakemake -n --quiet rules``.

    Examples
    --------
    >>> parse_job_counts("job   count\n---  ---\nrun_dft   14\nall  1\ntotal  15\n")
    {'run_dft': 14, 'all': 1}
    """
    rows = re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule != "total"}


def essential(edges: Sequence[Edge]) -> list[Edge]:
    """Leave out edges that follow from others.

    Examples
    --------
    >>> essential([("a", "b"), ("b", "c"), ("a", "c")])
    [('a', 'b'), ('b', 'c')]
    """
    after: dict[str, set[str]] = {rule: set() for edge in edges for rule in edge}
    for start, end in edges:
        after[start].add(end)

    def reached(rule: str) -> set[str]:
        return after[rule].union(*(reached(following) for following in after[rule]))

    return [
        (start, end)
        for start, end in edges
        if not any(end in reached(other) for other in after[start] - {end})
    ]


def layers(edges: Sequence[Edge]) -> list[list[str]]:
    """Place each rule one layer after the last rule it needs.

    A rule that needs none stands one layer before the first that needs it.
    Within a layer, rules are ordered by the mean place of those they need.

    Examples
    --------
    >>> layers([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("x", "d")])
    [['a'], ['b', 'c', 'x'], ['d']]
    """
    rules = {rule for edge in edges for rule in edge}
    needs = {rule: {before for before, after in edges if after == rule} for rule in rules}

    def depth(rule: str) -> int:
        return 1 + max((depth(before) for before in needs[rule]), default=-1)

    depths = {rule: depth(rule) for rule in rules}
    for rule in rules:
        if not needs[rule]:
            depths[rule] = min(depths[after] for before, after in edges if before == rule) - 1
    placed: dict[str, float] = {}
    result = []
    for level in sorted(set(depths.values())):
        row = sorted(rule for rule in rules if depths[rule] == level)
        row.sort(key=lambda r: sum(placed[b] for b in needs[r]) / max(len(needs[r]), 1))
        placed |= {rule: i - (len(row) - 1) / 2 for i, rule in enumerate(row)}
        result.append(row)
    return result


def graph_of(snakefile: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Ask Snakemake what a workflow does with a configuration, without running a job.

    Jobs that follow from a checkpoint are known once it has run. Its results count as long as
    they are newer than their files, whatever else may have changed.

    Returns
    -------
    dict
        ``edges`` (from, to) between rules, and ``jobs``: their number by rule.

    Raises
    ------
    RuntimeError
        If Snakemake fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile]
        command += ["--nolock", "--configfile", str(file), "--rerun-triggers", "mtime"]
        rules = _output([*command, "--rulegraph", "dot"])
        jobs = _output([*command, "--dag", "dot"])
    return {"edges": parse_rulegraph(rules), "jobs": parse_jobs(jobs)}


def _output(command: Sequence[str]) -> str:
    for _ in range(ATTEMPTS):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
        sys.stderr.write(f"{done.stdout}\n{done.stderr}\n")
    raise RuntimeError(
        f"Snakemake could not say what this workflow does ({' '.join(command)}): "
        f"{(done.stderr or done.stdout).strip()[-500:]}"
    )
