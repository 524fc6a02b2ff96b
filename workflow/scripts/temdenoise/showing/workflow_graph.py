"""The workflow's own graph: read from Snakemake's output, laid out in layers.

Needs the standard library only, since it runs where Snakemake runs.
"""

import re
from collections.abc import Mapping, Sequence

Edge = tuple[str, str]


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


def parse_job_counts(text: str) -> dict[str, int]:
    r"""Read the table of jobs per rule of ``snakemake -n --forceall --quiet rules``.

    Examples
    --------
    >>> parse_job_counts("job   count\n---  ---\nrun_dft   14\nall  1\ntotal  15\n")
    {'run_dft': 14, 'all': 1}
    """
    rows = re.findall(r"^(\w+)\s+(\d+)$", text, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule != "total"}


def essential(edges: Sequence[Edge]) -> set[Edge]:
    """Leave out edges that follow from others.

    Examples
    --------
    >>> sorted(essential([("a", "b"), ("b", "c"), ("a", "c")]))
    [('a', 'b'), ('b', 'c')]
    """
    after: dict[str, set[str]] = {rule: set() for edge in edges for rule in edge}
    for start, end in edges:
        after[start].add(end)

    def reached(rule: str) -> set[str]:
        return after[rule].union(*(reached(following) for following in after[rule]))

    return {
        (start, end)
        for start, end in edges
        if not any(end in reached(other) for other in after[start] - {end})
    }


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


def graph(dot: str, job_table: str) -> dict[str, Mapping | Sequence]:
    """Combine both outputs of Snakemake into one record: edges and jobs per rule."""
    return {"edges": parse_rulegraph(dot), "jobs": parse_job_counts(job_table)}
