"""Models that explain any response: one refusal, before any fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import DesignError
from mixfit.matrices import saturation


def data(n: int = 24, q: int = 12, s: int = 14, seed: int = 0) -> pd.DataFrame:
    """Two crossed factors of `q` and `s` levels and covariates."""
    rng = np.random.default_rng(seed)
    g, h = np.arange(n) % q, rng.permutation(np.arange(n) % s)
    columns = dict(zip("yxzw", rng.normal(size=(4, n)), strict=True))
    return pd.DataFrame({**columns, "g": g.astype(str), "h": h.astype(str)})


@pytest.mark.parametrize(
    ("formula", "q", "s"),
    [
        ("y ~ x + (1 | g) + (1 | h)", 12, 14),
        ("y ~ x + z + (x | g) + (1 | h)", 8, 12),
        ("y ~ x + (1 | g) + (0 + x | g) + (z | h)", 10, 3),
        ("y ~ x * z * w + (x + z | g)", 7, 3),
    ],
)
def test_effects_of_all_terms_together(formula: str, q: int, s: int) -> None:
    with pytest.raises(DesignError, match="explain any response of these 24 rows exactly"):
        mixfit.mixed(formula, data(q=q, s=s))


def test_the_likelihood_of_such_a_model_has_no_maximum() -> None:
    """With the covariances held the density of any response grows without bounds as sigma goes to zero."""
    drawn = data(q=12, s=11)
    Z = np.concatenate([np.equal.outer(drawn[c].to_numpy(), np.unique(drawn[c])).astype(float) for c in "gh"], axis=1)
    X = np.column_stack([np.ones(24), drawn[["x", "z", "w"]]])
    rank = np.linalg.matrix_rank(np.column_stack([Z, X]))
    if rank < 24:
        X = np.column_stack([X, np.random.default_rng(1).normal(size=(24, 24 - rank))])
    deviances = []
    for sigma in (1e-4, 1e-5, 1e-6):
        V = Z @ Z.T + sigma**2 * np.eye(24)
        inverse = np.linalg.inv(V)
        e = drawn["y"] - X @ np.linalg.solve(X.T @ inverse @ X, X.T @ inverse @ drawn["y"])
        deviances.append(np.linalg.slogdet(V)[1] + e @ inverse @ e)
    assert (np.diff(deviances) < -2.0).all()


def test_one_row_to_spare_is_enough() -> None:
    assert mixfit.mixed("y ~ x + (1 | g) + (1 | h)", data(q=11, s=10)).fit() is not None


def test_columns_with_variances_of_their_own_are_told_apart() -> None:
    """Two rows a group: intercept and slope span the rows, and the shape of their covariance tells the residual."""
    assert mixfit.mixed("y ~ x + (x || g)", data(q=12)).fit().converged


def test_generalized_models_have_no_residual_to_lose() -> None:
    drawn = data(q=12, s=14)
    drawn["count"] = np.random.default_rng(2).poisson(3.0, 24)
    assert mixfit.mixed("count ~ x + (1 | g) + (1 | h)", drawn, family="poisson") is not None


def chain(n: int) -> pd.DataFrame:
    """Two factors of n / 2 levels that chain all rows: the ranks of Z are n - 1, and singular values down to 3 / n."""
    rng, row = np.random.default_rng(3), np.arange(n)
    return pd.DataFrame(
        {"y": rng.normal(size=n), "x": rng.normal(size=n), "g": row // 2, "h": (row + 1) // 2 % (n // 2)}
    )


def test_many_rows() -> None:
    long = chain(3000)
    long["few"] = np.random.default_rng(4).integers(0, 30, len(long))
    for formula in (
        "y ~ x + (1 | g) + (1 | h)",
        "y ~ 1 + (1 | g) + (1 | h) + (1 | few)",
        "y ~ x + (x | g) + (1 | few)",
    ):
        with pytest.raises(DesignError, match=r"of these 3000 rows exactly|cannot be told from the residual"):
            mixfit.mixed(formula, long)
    # One dimension to spare.
    assert mixfit.mixed("y ~ 1 + (1 | g) + (1 | h)", long) is not None
    assert mixfit.mixed("y ~ x + (1 | g) + (1 | few)", long) is not None


@pytest.mark.parametrize("seed", range(12))
def test_many_rows_agree_with_the_singular_values(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At sizes near the boundary, where both ways are open."""
    rng, n = np.random.default_rng(seed), 200
    drawn = pd.DataFrame(dict(zip("yxz", rng.normal(size=(3, n)), strict=True)))
    drawn["g"], drawn["h"], drawn["k"] = (rng.integers(0, q, n) for q in (80 + seed, 80, 50 + seed))

    def refused() -> bool:
        try:
            mixfit.mixed("y ~ x + z + (1 | g) + (1 | h) + (1 | k)", drawn)
        except DesignError:
            return True
        return False

    by_values = refused()
    # Both happen.
    assert by_values == (seed > 5)
    monkeypatch.setattr(saturation, "_MOST_ROWS", 0)
    assert refused() == by_values


@pytest.mark.parametrize("term", ["(0 + f || g)", "diag(0 + f | g)", "homdiag(0 + f | g)", "homtoep(0 + f | g)"])
def test_a_variance_of_cells_with_one_row_each_is_refused(term: str) -> None:
    """It is the residual's: only their sums say anything of the response."""
    frame = data(n=24, q=6)
    frame["f"] = np.repeat(["a", "b", "c", "d"], 6)
    with pytest.raises(DesignError, match="cannot be told from the residual variance"):
        mixfit.mixed(f"y ~ x + {term}", frame)
    twice = pd.concat([frame, frame.assign(y=frame["y"] + frame["z"])])
    assert mixfit.mixed(f"y ~ x + {term}", twice).fit().converged


def test_variances_of_numbers_in_single_rows_are_told_from_the_residual() -> None:
    frame = data(n=24, q=12)
    assert mixfit.mixed("y ~ x + (x || g)", frame).fit().converged
