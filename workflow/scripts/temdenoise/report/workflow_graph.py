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
from itertools import pairwise
from pathlib import Path
from typing import Any

Edge = tuple[str, str]

SWEEPS = 8
"""How often the layers are ordered by their neighbours."""

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


def layout(edges: Sequence[Edge]) -> tuple[list[list[str]], dict[Edge, list[str]]]:
    """Place each rule one layer after the last rule it needs, and lead edges past other rules.

    A rule that needs none stands one layer before the first that needs it. An edge that jumps over
    layers has a place of its own in each of them.

    Returns
    -------
    rows : list of list of str
        Of each layer the rules and the places of edges (named such as ``"a>c:1"``), ordered so that
        few edges cross.
    paths : dict
        Of each edge the rule before, its places, and the rule after.

    References
    ----------
    K. Sugiyama et al., doi:10.1109/TSMC.1981.4308636.

    Examples
    --------
    >>> rows, paths = layout([("a", "b"), ("b", "c"), ("a", "c"), ("x", "c")])
    >>> rows
    [['a'], ['b', 'x', 'a>c:1'], ['c']]
    >>> paths["a", "c"]
    ['a', 'a>c:1', 'c']
    """
    depths = _depths(edges)
    paths = {
        (start, end): [
            start,
            *(f"{start}>{end}:{level}" for level in range(depths[start] + 1, depths[end])),
            end,
        ]
        for start, end in edges
    }
    first = min(depths.values())
    rows: list[list[str]] = [[] for _ in range(first, max(depths.values()) + 1)]
    for rule in sorted(depths):
        rows[depths[rule] - first].append(rule)
    neighbours: dict[str, tuple[list[str], list[str]]] = {rule: ([], []) for rule in depths}
    for (start, _), path in paths.items():
        for level, passed in enumerate(path[1:-1], depths[start] + 1):
            rows[level - first].append(passed)
            neighbours[passed] = ([], [])
        for above, below in pairwise(path):
            neighbours[below][0].append(above)
            neighbours[above][1].append(below)
    place = {name: i - (len(row) - 1) / 2 for row in rows for i, name in enumerate(row)}
    for sweep in range(SWEEPS):
        side = sweep % 2  # down by the neighbours above, then up by those below
        for row in reversed(rows) if side else rows:
            means = {
                name: sum(place[n] for n in neighbours[name][side])
                / max(len(neighbours[name][side]), 1)
                for name in row
            }
            row.sort(key=means.__getitem__)
            place |= {name: i - (len(row) - 1) / 2 for i, name in enumerate(row)}
    return rows, paths


def _depths(edges: Sequence[Edge]) -> dict[str, int]:
    """Layer of each rule."""
    rules = {rule for edge in edges for rule in edge}
    needs = {rule: {before for before, after in edges if after == rule} for rule in rules}

    def depth(rule: str) -> int:
        return 1 + max((depth(before) for before in needs[rule]), default=-1)

    depths = {rule: depth(rule) for rule in rules}
    for rule in rules:
        if not needs[rule]:
            depths[rule] = min(depths[after] for before, after in edges if before == rule) - 1
    return depths


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
