r"""Phylogenies as covariances of species: Brownian motion along the branches of a tree.

Over all nodes but the root the precision is a sum over branches, (b_child - b_parent)^2 / length, the root being 0
(Hadfield & Nakagawa 2010, J. Evol. Biol. 23): Q = B' D^{-1} B with D the lengths, and log|Q| = -sum log D. Eliminated
from the tips up it has no fill-in.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array

from mixfit.covariance.relationship import Relationship, listed
from mixfit.errors import DataError
from mixfit.helped import helped

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Phylogeny", "phylogeny"]

_EDGES = ("parent", "child", "length")
# One tip has nothing to be related to.
_FEWEST_TIPS = 2
# Quoted labels, in which a quote is doubled; comments; the marks; plain labels and lengths.
_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(\[[^\]]*\])|([(),:;])|([^\s()\[\],:;']+))")


@dataclass(frozen=True, eq=False)
class Phylogeny(Relationship):
    """A tree as the covariance of its tips: what two share is the way from the root to where they part.

    Attributes
    ----------
    height : float
        Mean distance of the tips from the root, which the lengths were divided by (1 where they were not).
    """

    height: float

    @cached_property
    def variances(self) -> Array:
        """Distances from the root, those of parents and branches: W v = D^{1/2} 1."""
        return self.effects(1.0 / self.increments.diagonal())


@dataclass(frozen=True, eq=False)
class _Tree:
    """Nodes without the root, parents before children.

    Attributes
    ----------
    names : list of str
        Empty for inner nodes without a name.
    parent : ndarray of intp
        -1 for the root.
    length : ndarray
        Of the branch from the parent.
    is_tip : ndarray of bool
    tips : tuple of str
        Their names in the order of the text.
    """

    names: list[str]
    parent: Index
    length: Array
    is_tip: NDArray[np.bool_]
    tips: tuple[str, ...]


@helped
def phylogeny(tree: str | pd.DataFrame, *, scale: bool = True) -> Phylogeny:
    """The covariance of the tips of a phylogenetic tree, for ``propto(1 | species, tree)``.

    Parameters
    ----------
    tree : str or DataFrame
        In Newick's format, a length after every name; or the edges: columns ``parent``, ``child`` and ``length``.
    scale : bool
        Whether lengths are divided by the mean distance of the tips from the root, so that the variance of the term is
        that of a tip (on average, unless all are equally far), and its share of the variance is Pagel's lambda.

    Returns
    -------
    Phylogeny

    Raises
    ------
    DataError
        For text that is no tree, a branch without length or with a negative one, a name that two tips have, and tips
        that nothing parts.

    References
    ----------
    Hadfield & Nakagawa (2010), J. Evol. Biol. 23, 494-508.

    Examples
    --------
    >>> import mixfit
    >>> tree = mixfit.phylogeny("((human:6, chimp:6):2, gorilla:8);")
    >>> tree.covariance()
             human  chimp  gorilla
    human     1.00   0.25      0.0
    chimp     0.25   1.00      0.0
    gorilla   0.00   0.00      1.0
    >>> tree.height
    8.0
    """
    found = _without_empty_branches(_checked(_read_newick(tree) if isinstance(tree, str) else _read_edges(tree)))
    height = float(_distances(found)[found.is_tip].mean()) if scale else 1.0
    length = found.length / height
    n = len(length)
    own, has = np.arange(n), found.parent >= 0
    entries = np.concatenate([np.ones(n), -np.ones(int(has.sum()))])
    at = np.concatenate([own, own[has]]), np.concatenate([own, found.parent[has]])
    b = csr_array((entries, at), shape=(n, n))
    increments = csc_array(diags_array(1.0 / np.sqrt(length)) @ b)
    precision = csc_array(increments.T @ increments)
    return Phylogeny(_node_names(found), precision, -float(np.log(length).sum()), found.tips, increments, height)


def _read_newick(text: str) -> _Tree:
    """Nodes as they close, so that children come first; turned round at the end."""
    names: list[str] = []
    lengths: list[float] = []
    parents: list[int] = []
    tips: list[bool] = []
    open_children: list[list[int]] = []
    current = -1
    expects_length = ended = False

    def node(name: str, children: list[int]) -> int:
        for child in children:
            parents[child] = len(names)
        names.append(name)
        lengths.append(np.nan)
        parents.append(-1)
        tips.append(not children)
        return len(names) - 1

    for token in _tokens(text):
        if ended:
            raise DataError(f"The tree ends at ';', and {token!r} follows: give one tree.")
        if expects_length:
            lengths[current], expects_length = _length(token, names[current]), False
        elif token == "(":
            if current >= 0:
                raise DataError(f"The tree has '(' after {names[current]!r}, where a comma or a parenthesis has to be.")
            open_children.append([])
        elif token in ",)":
            if not open_children:
                raise DataError(f"The tree has {token!r} outside its parentheses.")
            open_children[-1].append(current if current >= 0 else node("", []))
            current = -1 if token == "," else node("", open_children.pop())
        elif token == ":":
            current, expects_length = (current if current >= 0 else node("", [])), True
        elif token == ";":
            ended = True
        elif current >= 0 and not names[current] and not tips[current]:
            names[current] = _unquoted(token)
        elif current >= 0:
            raise DataError(
                f"The tree has {token!r} right after {names[current]!r}: put a comma between, or quotes around."
            )
        else:
            current = node(_unquoted(token), [])
    if open_children or current < 0 or expects_length:
        raise DataError("The tree ends within its parentheses: a Newick tree is like ((a:1, b:1):2, c:3);")
    return _turned(names, parents, lengths, tips)


def _tokens(text: str) -> Iterator[str]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise DataError(f"The tree cannot be read from {text[place : place + 20]!r} on.")
        place = match.end()
        token = match.group(1) or match.group(3) or match.group(4)
        # Comments say nothing of the tree.
        if token:
            yield token


def _unquoted(token: str) -> str:
    return token[1:-1].replace("''", "'") if token.startswith("'") else token


def _length(token: str, name: str) -> float:
    try:
        return float(token)
    except ValueError:
        raise DataError(
            f"The tree has {token!r} for the length of the branch to {name or 'an inner node'!r}."
        ) from None


def _turned(names: list[str], parents: list[int], lengths: list[float], tips: list[bool]) -> _Tree:
    """Parents first; the root, which is last, is left out with the length that may stand behind it."""
    root = len(names) - 1
    parent = np.array([root - 1 - p if p < root else -1 for p in parents[:root]][::-1], dtype=np.intp)
    length, is_tip = np.array(lengths[:root][::-1], dtype=float), np.array(tips[:root][::-1], dtype=bool)
    labels = tuple(name for name, tip in zip(names[:root], tips[:root], strict=True) if tip)
    return _Tree(names[:root][::-1], parent, length, is_tip, labels)


def _read_edges(frame: pd.DataFrame) -> _Tree:
    lacking = [name for name in _EDGES if name not in getattr(frame, "columns", ())]
    if lacking:
        raise DataError(
            f"A tree is a text in Newick's format or a frame of edges with columns {listed(_EDGES)}; "
            f"{listed(lacking)} is not there."
        )
    parent_of = [str(x) for x in frame["parent"]]
    names = [str(x) for x in frame["child"]]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"The edges give {listed(twice)} more than one parent.")
    place = {name: i for i, name in enumerate(names)}
    roots = sorted(set(parent_of) - set(names))
    if len(roots) != 1:
        found = f"{len(roots)}: {listed(roots)}" if roots else "none: they go in a circle"
        raise DataError(f"The edges must have one root, a parent that is no child; they have {found}.")
    parent = np.array([place.get(name, -1) for name in parent_of], dtype=np.intp)
    depth = _depths(parent)
    if (depth < 0).any():
        raise DataError(f"The edges go in a circle: {listed([names[i] for i in np.flatnonzero(depth < 0)])}.")
    order = np.argsort(depth, kind="stable")
    back = np.empty(len(order) + 1, dtype=np.intp)
    back[order], back[-1] = np.arange(len(order)), -1
    tips = ~np.isin(names, parent_of)
    length = np.array(frame["length"], dtype=float)
    labels = tuple(name for name, tip in zip(names, tips.tolist(), strict=True) if tip)
    return _Tree([names[i] for i in order], back[parent[order]], length[order], tips[order], labels)


def _depths(parent: Index) -> Index:
    """Branches from the root; -1 where no way leads there."""
    depth = np.full(len(parent), -1, dtype=np.intp)
    depth[parent < 0] = 1
    while True:
        reached = (depth < 0) & (parent >= 0) & (depth[parent] > 0)
        if not reached.any():
            return depth
        depth[reached] = depth[parent[reached]] + 1


def _checked(tree: _Tree) -> _Tree:
    tips = tree.tips
    if len(tips) < _FEWEST_TIPS:
        raise DataError(f"The tree has {len(tips)} tips; it needs at least two.")
    if not all(tips):
        raise DataError("The tree has a tip without a name.")
    twice = [name for name, count in Counter(tips).items() if count > 1]
    if twice:
        raise DataError(f"The tree has more than one tip named {listed(twice)}.")
    for bad, fault in ((~np.isfinite(tree.length), "no length"), (tree.length < 0.0, "a negative length")):
        if bad.any():
            whose = [name or "an inner node" for name in np.array(tree.names, dtype=object)[bad]]
            raise DataError(f"The tree has {fault} of the branch to {listed(list(dict.fromkeys(whose)))}.")
    return tree


def _without_empty_branches(tree: _Tree) -> _Tree:
    """Nodes that nothing parts from their parents are these."""
    empty = tree.length == 0.0
    if not empty.any():
        return tree
    names, is_tip = list(tree.names), tree.is_tip.copy()
    stands_for = np.arange(len(names))
    for i in np.flatnonzero(empty)[::-1].tolist():
        above = int(tree.parent[i])
        if is_tip[i] and above < 0:
            raise DataError(f"The tip {names[i]!r} is the root itself, which has no variance: leave it out.")
        if is_tip[i] and is_tip[above]:
            raise DataError(f"Nothing parts {names[i]!r} from {names[above]!r} in the tree: make them one level.")
        if is_tip[i]:
            names[above], is_tip[above] = names[i], True
    # Parents come first, so that theirs are known.
    for i in np.flatnonzero(empty).tolist():
        stands_for[i] = stands_for[tree.parent[i]] if tree.parent[i] >= 0 else -1
    kept = np.flatnonzero(~empty)
    new = np.full(len(names) + 1, -1, dtype=np.intp)
    new[kept] = np.arange(len(kept))
    parent = np.where(tree.parent[kept] >= 0, new[stands_for[tree.parent[kept]]], -1)
    return _Tree([names[i] for i in kept], parent, tree.length[kept], is_tip[kept], tree.tips)


def _distances(tree: _Tree) -> Array:
    """From the root."""
    out = tree.length.copy()
    for i, parent in enumerate(tree.parent.tolist()):
        if parent >= 0:
            out[i] += out[parent]
    return out


def _node_names(tree: _Tree) -> tuple[str, ...]:
    """Tips by name; inner nodes too, where the name is theirs alone (support values are not)."""
    counts = Counter(tree.names)
    return tuple(
        name if tip or (name and counts[name] == 1) else f"(node {i})"
        for i, (name, tip) in enumerate(zip(tree.names, tree.is_tip, strict=True))
    )
