"""Robust covariances against dense n x n algebra, and what they refuse."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import sqrtm

import mixfit
from mixfit.errors import DataError, FitError
from mixfit.inference.robust import batches as batched
from mixfit.inference.robust import moments
from mixfit.inference.robust.covariance import robust_covariance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results.linear import LinearResults

    Array = NDArray[np.float64]


def nested(seed: int = 1) -> pd.DataFrame:
    """Schools of unequal sizes, with classes; classes of more rows than there are columns, and of one."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, size=15)
    classes = np.repeat(np.arange(15), sizes)
    n = len(classes)
    frame = pd.DataFrame({"class": classes, "school": classes // 3, "x": rng.normal(size=n)})
    frame["z"] = rng.normal(size=5)[frame["school"]] + rng.normal(size=n)
    noise = rng.normal(size=5)[frame["school"]] + 0.5 * rng.normal(size=15)[classes]
    return frame.assign(y=noise + frame["x"] + rng.normal(size=n), w=rng.choice([1.0, 2.0, 0.5], size=n))


def fitted(weights: str | None) -> LinearResults:
    frame = nested()
    given = None if weights is None else frame[weights]
    return mixfit.mixed("y ~ x + z + (1 + x | school) + (1 | class)", frame, weights=given).fit()


def dense(fit: LinearResults, kind: str, codes: Array) -> tuple[Array, list[Array], Array]:
    """V_R, the columns (n, J) of p_c of every coefficient, and V of the errors over sigma^2."""
    design = fit.model.design
    X, n = design.X, len(design.y)
    V = np.diag(np.ones(n) if design.weights is None else 1.0 / design.weights)
    for term, template in zip(design.random, fit.estimate.templates, strict=True):
        z = term.Z @ template
        V += np.where(term.grouping.codes[:, None] == term.grouping.codes, z @ z.T, 0.0)
    inverse = np.linalg.inv(V)
    M = np.linalg.inv(X.T @ inverse @ X)
    H = X @ M @ X.T @ inverse
    out, columns = np.zeros((len(M), len(M))), []
    e = design.y - X @ fit.params.to_numpy()
    for c in np.unique(codes):
        own = np.flatnonzero(codes == c)
        left = np.eye(len(own)) - H[np.ix_(own, own)]
        A = np.eye(len(own))
        if kind == "CR3":
            A = np.linalg.inv(left)
        if kind == "CR2":
            root = sqrtm(V[np.ix_(own, own)])
            A = root @ np.linalg.inv(sqrtm(root @ left @ V[np.ix_(own, own)] @ root)) @ root
        F = A.T @ inverse[np.ix_(own, own)] @ X[own] @ M
        out += np.outer(F.T @ e[own], F.T @ e[own])
        columns.append((np.eye(n) - H)[own].T @ F)
    return out, columns, V


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("kind", ["CR0", "CR2", "CR3"])
def test_dense_algebra(kind: str, weights: str | None) -> None:
    fit = fitted(weights)
    found = robust_covariance(fit, kind)
    assert found.clusters.name == "school"
    expected, columns, V = dense(fit, kind, found.clusters.codes)
    assert_allclose(found.cov, expected, rtol=1e-7)
    L = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, -1.0, 2.0]])
    p_c = np.stack([column @ L.T for column in columns])
    P = np.einsum("cns,nm,dmt->stcd", p_c, V, p_c)
    df = [np.trace(P[s, s]) ** 2 / (P[s, s] ** 2).sum() for s in range(3)]
    assert_allclose(found.df(L), df, rtol=1e-7)
    pair = np.einsum("stcc->st", P[:2, :2])
    half = np.linalg.inv(np.linalg.cholesky(pair))
    unit = np.einsum("as,stcd,bt->abcd", half, P[:2, :2], half)
    variances = sum((unit[s, s] * unit[t, t] + unit[s, t] * unit[t, s]).sum() for s in range(2) for t in range(2))
    assert_allclose(found.hotelling_df(L[:2]), 6.0 / variances, rtol=1e-7)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = fitted("w")
    whole = fit.cov_params("CR2")
    monkeypatch.setattr(batched, "_AT_ONCE", 1)
    assert_allclose(fit.cov_params("CR2"), whole, rtol=1e-12)


def test_cr3_is_the_sum_of_squared_deletions() -> None:
    fit = fitted(None)
    moves = fit.dfbeta("school").to_numpy()
    assert_allclose(fit.cov_params("HC3"), moves.T @ moves, rtol=1e-8)


def test_units_do_not_matter() -> None:
    frame = nested()
    formula = "y ~ x + z + (1 | school / class)"
    plain = mixfit.mixed(formula, frame).fit().robust().ttest().frame
    other = mixfit.mixed(formula, frame.assign(y=1e6 * frame["y"], z=1e-5 * frame["z"])).fit().robust().ttest().frame
    assert_allclose(other[["df", "t value"]], plain[["df", "t value"]], rtol=1e-5)


def test_clusters_are_named_by_column_series_or_labels() -> None:
    frame = nested().assign(half=lambda d: d["school"] // 2)
    fit = mixfit.mixed("y ~ x + half + (1 | school)", frame).fit()
    expected = fit.cov_params("CR1", cluster=frame["half"].to_numpy())
    assert_allclose(fit.cov_params("CR1", cluster="half"), expected)
    assert_allclose(fit.cov_params("CR1", cluster=pd.concat([frame["half"], pd.Series([9], index=[10_000])])), expected)
    assert not np.allclose(fit.cov_params("CR1"), expected)


def test_without_random_effects() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)").fit()
    assert fit.robust().robust.clusters.name == "Subject"
    # Days are the same in all subjects, and so is what each adds to the variances: J - 1 degrees of freedom.
    assert_allclose(fit.robust("CR0").ttest()["df"], [17.0, 17.0], rtol=1e-9)
    assert_allclose(fit.robust("CR3").ttest()["df"], [17.0, 17.0], rtol=1e-9)


def test_the_view_takes_its_covariance_everywhere() -> None:
    penicillin = mixfit.datasets.load("penicillin")
    fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
    view = pickle.loads(pickle.dumps(fit.robust("CR2")))
    V = fit.cov_params("CR2").to_numpy()
    assert_allclose(view.cov_params(), V)
    assert_allclose(view.bse, np.sqrt(np.diagonal(V)))
    means = view.emmeans("treat")
    assert_allclose(means.frame["SE"], np.sqrt(np.einsum("qp,pr,qr->q", means.L, V, means.L)))
    tests = view.ttest()
    assert_allclose(view.tidy("fixed")["p.value"], tests["Pr(>|t|)"])
    assert_allclose(view.pvalues, tests["Pr(>|t|)"])
    assert_allclose(view.summary().coefficients["df"], tests["df"])
    limits = view.contest(np.eye(4), joint=False, level=0.9)
    assert_allclose(view.conf_int(level=0.9), limits[["lower", "upper"]])
    assert list(view.anova().frame) == ["NumDF", "DenDF", "F value", "Pr(>F)"]
    assert_allclose(view.predict(), fit.predict())
    assert view.llf == fit.llf
    assert "CR2, by the 5 clusters of blend" in str(view.summary())


def test_means_trends_and_averages_of_a_view() -> None:
    teeth = mixfit.datasets.load("orthodont")
    view = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", teeth).fit().robust("CR2")
    V, X = view.cov_params().to_numpy(), view.model.exog

    def error(*row: float) -> float:
        return float(np.sqrt(np.array(row) @ V @ np.array(row)))

    trends = view.emtrends("Sex", var="age").frame
    assert_allclose(trends["SE"], [error(0, 1, 0, 0), error(0, 1, 0, 1)])
    assert_allclose(trends["df"], view.contest([[0, 1, 0, 0], [0, 1, 0, 1]], joint=False)["df"])
    assert_allclose(view.effects("age", by="Sex").to_frame()["SE"].iloc[0], error(1, 8, 0, 0))
    assert_allclose(view.avg_slopes().frame["SE"].iloc[0], error(0, 1, 0, X[:, 2].mean()))
    assert_allclose(view.avg_predictions().frame["SE"].iloc[0], error(*X.mean(axis=0)))
    assert len(view.joint_tests().frame) == 3


def test_options_of_the_session_are_for_other_covariances() -> None:
    fit = mixfit.mixed("y ~ x + (1 | school)", nested()).fit()
    with mixfit.options(ddf="kenward-roger"):
        assert_allclose(
            fit.robust().emmeans("x").frame["df"], fit.robust().contest([[1, 0]], joint=False)["df"], rtol=2
        )
    with mixfit.options(ddf="z"):
        assert np.isinf(fit.robust().emmeans("x").frame["df"]).all()


def test_a_cluster_of_too_many_different_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_LARGEST", 10)
    with pytest.raises(FitError, match="which take none"):
        fitted("w").cov_params("CR2")
    fitted("w").cov_params("CR3")


def test_refusals() -> None:
    fit = fitted(None)
    with pytest.raises(FitError, match="rows of several clusters"):
        fit.cov_params("CR2", cluster=np.arange(fit.nobs) % 4)
    with pytest.raises(FitError, match="one cluster"):
        fit.cov_params("CR2", cluster=np.zeros(fit.nobs))
    with pytest.raises(DataError, match="hand over its values, cluster=data"):
        fit.robust(cluster="town")
    with pytest.raises(FitError, match="kind is one of"):
        fit.robust("HC1")
    with pytest.raises(FitError, match="say which"):
        fit.cov_params(cluster="school")
    with pytest.raises(FitError, match="'satterthwaite'"):
        fit.robust().ttest(ddf="kenward-roger")
    with pytest.raises(FitError, match="no robust standard errors"):
        fit.robust().predict(se=True)
    two = mixfit.mixed("y ~ x + z + (1 | school)", nested()).fit().robust("CR0", cluster=nested()["school"] // 3)
    with pytest.raises(FitError, match="2 clusters of school do not tell 3 effects"):
        two.contest(np.eye(3))
    plates = mixfit.datasets.load("penicillin_plates")
    with pytest.raises(FitError, match="crossed factors have none"):
        mixfit.mixed("diameter ~ 1 + (1 | plate) + (1 | sample)", plates).fit().robust()
    one = pd.DataFrame(nested()).assign(only=lambda d: (d["school"] == 0).astype(float))
    with pytest.raises(FitError, match="Without school 0"):
        mixfit.mixed("y ~ only + (1 | school)", one).fit().cov_params("CR3")


def test_statements_are_tested_by_the_robust_covariance() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    robust = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit().robust("CR2")
    found = robust.test("Days = 10, Days > 8")
    assert found.equalities is not None
    assert found.inequalities is not None
    assert list(found.equalities.frame.columns) == ["NumDF", "DenDF", "F value", "Pr(>F)"]
    assert found.equalities["F value"].iloc[0] == robust.contest({"Days": 1}, rhs=10)["F value"].iloc[0]
    assert found.inequalities["Std. Error"].iloc[0] == robust.bse["Days"]


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2"])
def test_a_cluster_that_alone_determines_a_coefficient_is_named(kind: str) -> None:
    one = nested().assign(only=lambda d: (d["school"] == 0).astype(float))
    fit = mixfit.mixed("y ~ x + only + (1 | school)", one).fit()
    assert "school 0 alone determines a coefficient" in fit.robust(kind).summary().notes[0]
    assert "alone" not in mixfit.mixed("y ~ x + (1 | school)", one).fit().robust(kind).robust.note


def test_a_cluster_that_a_coefficient_explains_wholly_has_no_part() -> None:
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(12), 4), "x": rng.normal(size=48)})
    data["y"] = data["x"] + rng.normal(size=12)[data["g"]] + rng.normal(size=48)
    data = pd.concat([data, pd.DataFrame({"g": [12, 13], "x": [0.7, -0.4], "y": [3.0, -2.0]})], ignore_index=True)
    for row in (48, 49):
        data["own"] = (np.arange(50) == row).astype(float)
        fit = mixfit.mixed("y ~ x + own + (1 | g)", data).fit()
        own = robust_covariance(fit, "CR2")
        assert_allclose(own.moments.scores[row - 36], 0.0, atol=1e-12)
        # As the uncertainty of the others' prediction of that row, which is all that is left.
        at = np.array([1.0, data["x"][row], 0.0])
        assert_allclose(own.df(np.array([[0.0, 0.0, 1.0]])), own.df(at[None]), rtol=1e-6)
