"""Pedigrees: the sparse inverse against the tabular method, inbreeding, and what is no pedigree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose

from mixfit import pedigree
from mixfit.errors import DataError
from tests.covariance.trees import random_pedigree


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [8, 60])
def test_the_precision_is_the_inverse_of_the_tabular_matrix(n: int, seed: int) -> None:
    table, a = random_pedigree(n, seed)
    found = pedigree(table)
    assert found.labels == tuple(table["id"])
    assert_allclose(found.covariance(list(a.index)), a, atol=1e-10)
    assert_allclose(found.inbreeding[a.index], np.diagonal(a) - 1.0, atol=1e-12)
    assert found.log_determinant == pytest.approx(-np.linalg.slogdet(a.to_numpy())[1])
    if n == 60:
        assert (found.inbreeding > 0.05).sum() > 5


def test_parents_without_a_row_are_founders_and_unknown_ones_may_be_written_as_0() -> None:
    rows = {"animal": [1, 2, 3], "father": [0, 7, 1], "mother": [0, 0, 2]}
    found = pedigree(pd.DataFrame(rows), id="animal", sire="father", dam="mother")
    assert found.labels == ("1", "2", "3", "7")
    assert_allclose(found.covariance(["3", "7", "1"]), [[1, 0.25, 0.5], [0.25, 1, 0], [0.5, 0, 1]], atol=1e-12)
    missing = pd.DataFrame(rows).replace(0, np.nan)
    same = pedigree(pl.from_pandas(missing), id="animal", sire="father", dam="mother")
    assert same.labels == found.labels
    assert_allclose(same.covariance(), found.covariance())


def test_selfing_needs_to_be_said() -> None:
    table = pd.DataFrame({"id": ["a", "b", "c"], "sire": [None, "a", "b"], "dam": [None, "a", "b"]})
    with pytest.raises(DataError, match="'a', 'b' is a sire in one row and a dam in another"):
        pedigree(table)
    assert pedigree(table, hermaphrodites=True).inbreeding.tolist() == [0.0, 0.5, 0.75]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("a", "b", None), ("b", "a", None)], "circle: '[ab]', '[ab]'"),
        ([("a", "a", None)], "circle: 'a'"),
        ([("x", None, None), ("a", "b", "x"), ("b", "c", None), ("c", "a", None)], "circle: '.', '.', '.'"),
        ([("a", None, None), ("a", "b", None)], "more than one row for 'a'"),
        ([(None, None, None)], "row without an animal"),
    ],
)
def test_what_is_no_pedigree_is_refused(rows: list[tuple[str, str, str]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        pedigree(pd.DataFrame(rows, columns=["id", "sire", "dam"]))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="no column 'dam'"):
        pedigree(pd.DataFrame({"id": ["a"], "sire": [None]}))
