"""Trees read from text and edges: their covariance by definition, and what is no tree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mixfit import phylogeny
from mixfit.errors import DataError
from tests.covariance.trees import random_tree


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [2, 3, 40])
def test_the_precision_is_the_inverse_of_the_shared_ways(n: int, seed: int) -> None:
    text, k = random_tree(n, seed)
    tree = phylogeny(text, scale=False)
    assert set(tree.labels) == set(k.index)
    assert_allclose(tree.covariance(list(k.index)), k, rtol=1e-9, atol=1e-12)
    assert tree.log_determinant == pytest.approx(np.linalg.slogdet(tree.precision.toarray())[1])
    # Without the inner nodes: the Schur complement of the tips.
    q = tree.precision.toarray()
    at = [tree.nodes.index(name) for name in k.index]
    rest = [i for i in range(len(q)) if i not in at]
    schur = q[np.ix_(at, at)] - q[np.ix_(at, rest)] @ np.linalg.solve(q[np.ix_(rest, rest)], q[np.ix_(rest, at)])
    assert_allclose(schur @ k.to_numpy(), np.eye(n), atol=1e-8)


def test_scaled_heights_are_one_on_average() -> None:
    text, k = random_tree(30, 1)
    tree = phylogeny(text)
    assert tree.height == pytest.approx(np.diagonal(k).mean())
    assert_allclose(tree.covariance(list(k.index)), k / tree.height, atol=1e-12)
    text, _ = random_tree(30, 1, ultrametric=True)
    assert_allclose(np.diagonal(phylogeny(text).covariance()), 1.0)


def test_newick_in_all_its_forms() -> None:
    text = "( 'Homo sapiens':1e0 , 'it''s':1.0,[a comment] (b:.5,c:0.5)95:0.5 )root:3 ;"
    tree = phylogeny(text, scale=False)
    assert sorted(tree.labels) == ["Homo sapiens", "b", "c", "it's"]
    k = tree.covariance(["Homo sapiens", "it's", "b", "c"]).to_numpy()
    assert_allclose(k, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0.5, 1]])


def test_edges_are_the_same_tree() -> None:
    edges = pd.DataFrame(
        {"child": ["a", "b", "n", "c"], "parent": ["n", "n", "r", "r"], "length": [1.0, 2.0, 0.5, 3.0]}
    )
    by_text = phylogeny("((a:1,b:2)n:0.5,c:3)r;")
    assert_allclose(phylogeny(edges).covariance(["a", "b", "c"]), by_text.covariance(["a", "b", "c"]))


def test_nodes_that_nothing_parts_are_one() -> None:
    tree = phylogeny("(((a:1,b:1):0,c:1):1,(d:0,e:2):1);", scale=False)
    k = tree.covariance(list("abcde")).to_numpy()
    assert_allclose(np.diagonal(k), [2, 2, 2, 1, 3])
    assert_allclose(k[:3, :3], 1.0 + np.eye(3))
    assert k[3, 4] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("((a:1,b:1):1,c:-2);", "negative length of the branch to 'c'"),
        ("((a:1,b):1,c:2);", "no length of the branch to 'b'"),
        ("((a:1,b:1),c:2);", "no length of the branch to 'an inner node'"),
        ("((a:1,a:1):1,c:2);", "more than one tip named 'a'"),
        ("((a:0,b:0):1,c:2);", "Nothing parts 'a' from 'b'|Nothing parts 'b' from 'a'"),
        ("((a:1,b:1):1,c:0);", "'c' is the root itself"),
        ("((a:1,b:1):1,c:2", "within its parentheses"),
        ("a:1;", "0 tips|outside|needs at least two"),
        ("((a:1 b:1):1,c:2);", "right after|for the length"),
        ("((a:1,b:x):1,c:2);", "'x' for the length of the branch to 'b'"),
        ("((a:1,b:1):1,c:2); (d:1,e:1);", "give one tree"),
        ("(a:1,:2);", "tip without a name"),
    ],
)
def test_what_is_no_tree_is_refused(text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        phylogeny(text)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("a", "n", 1.0), ("n", "a", 1.0)], "go in a circle"),
        ([("a", "r", 1.0), ("b", "s", 1.0)], "one root.*2: 'r', 's'"),
        ([("a", "r", 1.0), ("b", "r", 1.0), ("c", "d", 1.0), ("d", "c", 1.0)], "circle: 'c', 'd'"),
        ([("a", "r", 1.0), ("a", "s", 1.0)], "'a' more than one parent"),
    ],
)
def test_edges_that_are_no_tree_are_refused(rows: list[tuple[str, str, float]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        phylogeny(pd.DataFrame(rows, columns=["child", "parent", "length"]))


def test_a_frame_without_the_columns_is_refused() -> None:
    with pytest.raises(DataError, match="'length' is not there"):
        phylogeny(pd.DataFrame({"child": ["a"], "parent": ["b"]}))
