"""The layers of the package, and what the imports of its files say of them.

Every import counts, wherever it stands: at the top of a file, in a function, under TYPE_CHECKING, or as a string that
names a module (as in ``import_module("mixfit.plots")``).
"""

from __future__ import annotations

import ast
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "LAYERS",
    "MAX_LINES",
    "Arrow",
    "arrows",
    "circles",
    "homeless",
    "long_files",
    "path_around",
    "room",
    "upward",
]

# From low to high: the rooms of a layer, which are folders or files right below the package. A file imports from its
# own layer or a lower one. PUBLIC is the package's own __init__, which only says what is public.
PUBLIC = ""
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "arguments",
        "brief",
        "defaults",
        "errors",
        "helped",
        "log",
        "machine",
        "optimize",
        "progress",
        "spellings",
        "tables",
        "version",
        "wald",
    ),
    ("formula", "families", "covariance", "curves"),
    ("matrices", "sources"),
    ("gram", "factor"),
    ("lmm", "glmm", "nlmm", "rates"),
    ("fitted",),
    ("inference", "bayes", "planning"),
    ("report", "plots"),
    ("results", "model", "datasets", "sklearn"),
    (PUBLIC,),
    ("__main__",),
)

# A file holds one idea, and one that is longer holds two.
MAX_LINES = 400


@dataclass(frozen=True)
class Arrow:
    """One import: the module that says it, the module that it names, and where."""

    source: str
    target: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.source} imports {self.target} ({self.file}:{self.line})"


def modules(package: Path) -> dict[str, Path]:
    """Return the dotted names of a package's files."""
    named = {}
    for path in sorted(package.rglob("*.py")):
        parts = (package.name, *path.relative_to(package).with_suffix("").parts)
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def arrows(package: Path) -> list[Arrow]:
    """Return every import of one file of a package by another."""
    named = modules(package)
    found: list[Arrow] = []
    for source, path in named.items():
        home = source if path.name == "__init__.py" else source.rpartition(".")[0]
        file = path.relative_to(package.parent).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=file)
        said = {(target, line) for node in ast.walk(tree) for target, line in _named_by(node, home, named)}
        found.extend(Arrow(source, target, file, line) for target, line in sorted(said) if target != source)
    return found


def _named_by(node: ast.AST, home: str, named: Mapping[str, Path]) -> Iterator[tuple[str, int]]:
    """Yield the modules of the package that a node of a syntax tree imports or names by a string, with its line."""
    if isinstance(node, ast.Import):
        candidates = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        levels = home.split(".")
        base = levels[: len(levels) - node.level + 1] if node.level else []
        stem = ".".join([*base, *([node.module] if node.module else [])])
        submodules = [f"{stem}.{alias.name}" for alias in node.names]
        candidates = [name if name in named else stem for name in submodules]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        candidates = [node.value] if "." in node.value else []
    else:
        return
    yield from ((name, node.lineno) for name in candidates if name in named)


def room(module: str) -> str:
    """Return the room of a module, which is the second part of its name."""
    return module.split(".")[1] if "." in module else PUBLIC


def _layer_of(module: str, layers: Sequence[Sequence[str]]) -> int | None:
    return next((level for level, rooms in enumerate(layers) if room(module) in rooms), None)


def homeless(package: Path, layers: Sequence[Sequence[str]] = LAYERS) -> list[str]:
    """Return the modules of rooms that no layer has."""
    return [module for module in modules(package) if _layer_of(module, layers) is None]


def upward(found: Iterable[Arrow], layers: Sequence[Sequence[str]] = LAYERS) -> list[Arrow]:
    """Return the imports from a lower layer of a higher one."""
    levels = ((arrow, _layer_of(arrow.source, layers), _layer_of(arrow.target, layers)) for arrow in found)
    return [arrow for arrow, low, high in levels if low is not None and high is not None and low < high]


def circles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the sets of more than one name each of which leads to every other, the largest first."""
    graph = _graph(edges)
    reach = {name: set(_distances(graph, name)) for name in graph}
    seen: set[str] = set()
    parts = []
    for name in graph:
        if name not in seen:
            part = [name, *(other for other in reach[name] if other != name and name in reach[other])]
            seen.update(part)
            if len(part) > 1:
                parts.append(sorted(part))
    return sorted(parts, key=len, reverse=True)


def path_around(edges: Iterable[tuple[str, str]], part: Sequence[str]) -> list[str]:
    """Return a shortest way through a circle, from a name back to itself."""
    inside = set(part)
    graph = _graph((a, b) for a, b in edges if a in inside and b in inside)
    ways = []
    for start in part:
        came_from = _distances(graph, start)
        for last in (name for name in came_from if start in graph[name]):
            way = [last]
            while way[-1] != start:
                way.append(came_from[way[-1]])
            ways.append([*reversed(way), start])
    return min(ways, key=len)


def _graph(edges: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for a, b in edges:
        graph.setdefault(a, set()).add(b)
        graph.setdefault(b, set())
    return graph


def _distances(graph: Mapping[str, set[str]], start: str) -> dict[str, str]:
    """Return, for each name that a name leads to, the one before it on a shortest way; breadth first."""
    came_from = {start: start}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for there in sorted(graph[here]):
            if there not in came_from:
                came_from[there] = here
                waiting.append(there)
    return came_from


def long_files(package: Path, limit: int = MAX_LINES) -> dict[str, int]:
    """Return the files of more lines than a limit."""
    lengths = {
        path.relative_to(package.parent).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules(package).values()
    }
    return {file: lines for file, lines in lengths.items() if lines > limit}
