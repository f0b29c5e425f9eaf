"""The order of steps: what must be done before what."""

import graphlib
from collections.abc import Mapping, Sequence

MAX_CYCLES = 10  # a graph can have more of them than anyone could read, or wait for


def find_cycles(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The independent cycles, at most `MAX_CYCLES`, each as its steps in order of dependence.

    `edges` maps a step to the steps it depends on; a step that depends on itself is not a cycle.
    """
    graph = {step: [up for up in ups if up != step and up in edges] for step, ups in edges.items()}
    cycles: list[list[str]] = []
    while len(cycles) < MAX_CYCLES:
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            # graphlib names predecessors first; the first and the last are the same step.
            cycle = list(reversed(error.args[1]))[:-1]
            start = cycle.index(min(cycle, key=list(edges).index))
            cycle = cycle[start:] + cycle[:start]
            cycles.append(cycle)
            following = cycle[1 % len(cycle)]
            graph[cycle[0]] = [up for up in graph[cycle[0]] if up != following]
        else:
            break
    return cycles


def upstream(edges: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """For each step, all steps that are done before it starts; cycles and unknown names do no harm."""
    found: dict[str, frozenset[str]] = {}
    for step in edges:
        seen: set[str] = set()
        waiting = list(edges[step])
        while waiting:
            name = waiting.pop()
            if name in edges and name not in seen:
                seen.add(name)
                waiting.extend(edges[name])
        found[step] = frozenset(seen)
    return found


def leaves(edges: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """The steps that nothing depends on."""
    used = {up for ups in edges.values() for up in ups}
    return frozenset(edges) - used


def levels(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The steps by how long a chain leads to them: those of one level do not wait for each other.

    Raises `graphlib.CycleError` where there is a cycle.
    """
    depth: dict[str, int] = {}
    for step in graphlib.TopologicalSorter(edges).static_order():
        depth[step] = 1 + max((depth[up] for up in edges[step]), default=-1)
    found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for step in edges:
        found[depth[step]].append(step)
    return found
