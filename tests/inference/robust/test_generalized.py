"""Covariances of generalized models by the scores of clusters, against differenced likelihoods of the clusters."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, gammaln

import mixfit
from mixfit.errors import DataError, FitError
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.given import place_of
from mixfit.glmm.minimize import GeneralizedCriterion
from mixfit.glmm.objective import LaplaceObjective
from mixfit.inference.robust.clusters import clusters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def counts(seed: int = 3) -> pd.DataFrame:
    """Counts of 12 schools with classes, whose slopes differ more than any model below says."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(12), rng.integers(5, 14, size=12))
    n = len(school)
    x = rng.normal(size=n)
    eta = 0.7 + 0.6 * rng.normal(size=12)[school] + (0.4 + 0.5 * rng.normal(size=12)[school]) * x
    frame = pd.DataFrame({"school": school, "x": x, "y": rng.poisson(np.exp(eta))})
    frame["more"] = rng.poisson(np.exp(eta) * rng.gamma(2.0, 0.5, size=n))
    return frame.assign(room=2 * school + rng.integers(0, 2, size=n), m=rng.integers(1, 9, size=n))


def poisson(y: Array, eta: Array, phi: float) -> tuple[Array, Array, Array]:
    """Log density, its slope, and less its curvature."""
    mu = np.exp(eta)
    return y * eta - mu - gammaln(y + 1.0), y - mu, mu


def nbinom2(y: Array, eta: Array, phi: float) -> tuple[Array, Array, Array]:
    mu = np.exp(eta)
    constant = gammaln(y + phi) - gammaln(phi) - gammaln(y + 1.0) + phi * np.log(phi)
    value = constant + y * eta - (y + phi) * np.log(mu + phi)
    return value, y - (y + phi) * mu / (mu + phi), (y + phi) * mu * phi / (mu + phi) ** 2


def laplace_of_cluster(density: Callable[..., Any], y: Array, eta: Array, root: Array, phi: float) -> float:
    """-2 log-likelihood of rows with the predictors eta + root u, by Laplace's approximation at Newton's mode."""
    u = np.zeros(root.shape[1])
    for _ in range(60):
        _, slope, weight = density(y, eta + root @ u, phi)
        A = root.T @ (weight[:, None] * root) + np.eye(len(u))
        u = u + np.linalg.solve(A, root.T @ slope - u)
    value, _, weight = density(y, eta + root @ u, phi)
    A = root.T @ (weight[:, None] * root) + np.eye(len(u))
    return float(-2.0 * value.sum() + u @ u + np.linalg.slogdet(A)[1])


def hand_sandwich(by_cluster: Callable[[Array], Array], at: Array) -> Array:
    """Covariance of all parameters from values (J,) at places, by central differences."""
    h, unit = 2e-4 * np.maximum(np.abs(at), 0.3), np.eye(len(at))
    ends = [(by_cluster(at + s * e), by_cluster(at - s * e)) for s, e in zip(h, unit, strict=True)]
    scores = np.stack([(above - below) / (2.0 * s) for (above, below), s in zip(ends, h, strict=True)])

    def total(a: Array) -> float:
        return float(by_cluster(a).sum())

    hessian = np.array(
        [
            [
                (total(at + a + b) - total(at + a - b) - total(at - a + b) + total(at - a - b)) / (4.0 * s * t)
                for t, b in zip(h, np.diag(h), strict=True)
            ]
            for s, a in zip(h, np.diag(h), strict=True)
        ]
    )
    moved = np.linalg.solve(hessian, scores)
    return np.asarray(moved @ moved.T)


def test_slopes_and_a_dispersion_against_differences() -> None:
    frame = counts()
    fit = mixfit.mixed("more ~ x + (1 + x | school)", frame, family="nbinom2").fit()
    codes, x = frame["school"].to_numpy(), frame["x"].to_numpy()
    X, y = np.column_stack([np.ones(len(x)), x]), frame["more"].to_numpy(dtype=float)

    def by_cluster(at: Array) -> Array:
        T = np.array([[at[0], 0.0], [at[1], at[2]]])
        eta, phi = X @ at[3:5], float(np.exp(at[5]))
        return np.array(
            [laplace_of_cluster(nbinom2, y[codes == c], eta[codes == c], X[codes == c] @ T, phi) for c in range(12)]
        )

    at = np.concatenate([fit.theta, fit.params, [np.log(fit.dispersion)]])
    assert_allclose(by_cluster(at).sum(), -2.0 * fit.llf, rtol=1e-9)
    expected = hand_sandwich(by_cluster, at)
    found = fit.robust("CR0")
    assert_allclose(found.cov_params(), expected[3:5, 3:5], rtol=2e-3)
    assert_allclose(found.bse_theta, np.sqrt(np.diagonal(expected))[:3], rtol=2e-3)
    assert_allclose(found.dispersion_se / found.dispersion, np.sqrt(expected[5, 5]), rtol=2e-3)
    assert not np.allclose(found.cov_params(), fit.cov_params(), rtol=0.05)


def test_nested_factors_by_the_coarser() -> None:
    frame = counts()
    fit = mixfit.mixed("y ~ x + (1 | school) + (1 | room)", frame, family="poisson").fit()
    school, room, x = (frame[name].to_numpy() for name in ("school", "room", "x"))
    X, y = np.column_stack([np.ones(len(x)), x]), frame["y"].to_numpy(dtype=float)
    names = [term.grouping.name for term in fit.model.design.random]

    def by_cluster(at: Array) -> Array:
        sd = dict(zip(names, at[:2], strict=True))
        out = []
        for c in range(12):
            own = school == c
            rooms = np.equal.outer(room[own], np.unique(room[own])).astype(float)
            root = np.column_stack([np.full(own.sum(), sd["school"]), sd["room"] * rooms])
            out.append(laplace_of_cluster(poisson, y[own], (X @ at[2:])[own], root, 1.0))
        return np.array(out)

    at = np.concatenate([[float(t[0, 0]) for t in fit.estimate.templates], fit.params])
    assert_allclose(by_cluster(at).sum(), -2.0 * fit.llf, rtol=1e-9)
    expected = hand_sandwich(by_cluster, at)
    found = fit.robust("CR0")
    assert found.cov_params().shape == (2, 2)
    assert_allclose(found.cov_params(), expected[2:, 2:], rtol=2e-3)
    assert_allclose(fit.cov_params("CR1", cluster="school"), 12.0 / 11.0 * found.cov_params(), rtol=1e-12)
    with pytest.raises(FitError, match="several clusters of room"):
        fit.robust(cluster="room")


def test_quadrature_against_the_integral() -> None:
    herds = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, herds, family="binomial").fit(n_agq=25)
    X, (y, m) = fit.model.exog, (herds[name].to_numpy(dtype=float) for name in ("incidence", "size"))
    codes = fit.model.design.random[0].grouping.codes
    z, w = np.polynomial.hermite_e.hermegauss(60)

    def by_cluster(at: Array) -> Array:
        p = expit((X @ at[1:])[:, None] + at[0] * z)
        rows = y[:, None] * np.log(p) + (m - y)[:, None] * np.log1p(-p)
        groups = np.stack([np.bincount(codes, r) for r in rows.T])
        return np.asarray(-2.0 * np.log((w / w.sum()) @ np.exp(groups)))

    expected = hand_sandwich(by_cluster, np.concatenate([fit.theta, fit.params]))
    found = fit.robust("CR0")
    assert_allclose(found.cov_params(), expected[1:, 1:], rtol=2e-3)
    assert_allclose(found.bse_theta, np.sqrt(expected[0, 0]), rtol=2e-3)


def with_zeros() -> pd.DataFrame:
    return counts().assign(y=lambda d: d["y"] * (d["m"] > 2))


def words() -> pd.DataFrame:
    wine = mixfit.datasets.load("wine")
    named = {"1": "poor", "2": "poor", "3": "fair", "4": "good", "5": "good"}
    return wine.assign(taste=wine["rating"].astype(str).map(named))


MODELS: dict[str, Callable[[], tuple[Any, int]]] = {
    "zeros and dispersion": lambda: (
        mixfit.mixed("y ~ x + (1 | school)", with_zeros(), "nbinom2", zi="~ x", dispersion="~ x").fit(),
        1,
    ),
    "ordered": lambda: (mixfit.mixed("rating ~ temp + contact + (1 | judge)", words(), "cumulative").fit(), 1),
    "unordered, singular": lambda: (
        mixfit.mixed("taste ~ temp + (1 | judge)", words(), "multinomial(baseline='poor')").fit(),
        1,
    ),
    "quadrature in two columns": lambda: (
        mixfit.mixed("y ~ x + (1 + x | school)", counts(), family="poisson").fit(n_agq=5),
        5,
    ),
    "a tail of several": lambda: (mixfit.mixed("x ~ m + (1 | school / room)", counts(), family="t").fit(), 1),
}


@pytest.mark.parametrize("name", MODELS)
def test_clusters_add_up_to_the_gradient(name: str) -> None:
    fit, n_agq = MODELS[name]()
    assembly, estimate, model = fit.model.assembly, fit.estimate, fit.model
    estimate = model.centred.inward(estimate, model.kept) if name == "ordered" else estimate
    problem = assembly.problem
    objective: Any = LaplaceObjective(problem) if n_agq == 1 else QuadratureObjective(problem, n_agq)
    criterion: GeneralizedCriterion[Any] = GeneralizedCriterion(objective)
    codes = clusters_of(fit, None).codes
    at = place_of(assembly, estimate)
    for place in (at, replace(at, gamma=at.gamma + np.arange(1, problem.p + 1))):
        found = criterion.evaluate(place)
        local = criterion.local(found)
        slopes = objective.cluster_slopes(found, codes, int(codes.max()) + 1).along(local.directions)
        assert_allclose(slopes.sum(axis=0), local.gradient, rtol=1e-8, atol=1e-8)
    assert np.abs(local.gradient).max() > 0.5


def test_thresholds_do_not_depend_on_how_columns_are_coded() -> None:
    wine = words()
    plain = mixfit.mixed("rating ~ temp + (1 | judge)", wine, "cumulative").fit()
    turned = wine.assign(temp=wine["temp"].astype(str).map({"cold": "z", "warm": "a"}))
    other = mixfit.mixed("rating ~ temp + (1 | judge)", turned, "cumulative").fit()
    V = plain.robust().cov_params().to_numpy()
    # Thresholds of the other coding are those less the coefficient, which has the other sign.
    A = np.eye(5)
    A[:4, 4], A[4, 4] = -1.0, -1.0
    assert_allclose(other.robust().cov_params(), A @ V @ A.T, rtol=1e-3, atol=1e-6)


def test_the_view_takes_its_covariance_everywhere() -> None:
    herds = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    fit = mixfit.mixed(formula, herds, family="binomial").fit()
    view = pickle.loads(pickle.dumps(fit.robust()))
    V = fit.cov_params("CR1").to_numpy()
    assert_allclose(view.cov_params(), V)
    assert_allclose(view.bse, np.sqrt(np.diagonal(V)))
    assert not np.allclose(view.bse, fit.bse, rtol=0.05)
    assert_allclose(view.pvalues, view.ttest()["Pr(>|z|)"])
    assert_allclose(view.tidy("fixed")["std.error"], view.bse)
    assert_allclose((view.conf_int()[1] - view.conf_int()[0]) / 3.919928, view.bse, rtol=1e-6)
    means = view.emmeans("period")
    assert_allclose(means.frame["SE"], np.sqrt(np.einsum("qp,pr,qr->q", means.L, V, means.L)))
    L = np.eye(4)[1:]
    beta = L @ fit.params.to_numpy()
    assert_allclose(view.contest(L)["Chisq"], beta @ np.linalg.solve(L @ V @ L.T, beta))
    assert_allclose(view.joint_tests().frame["F.ratio"] * 3, view.anova()["Chisq"])
    note = "Robust standard errors, CR1, by the 15 clusters of herd."
    assert note in view.summary().notes
    assert note in view.ttest().notes
    assert f"(2): {note}" in str(mixfit.table([fit, view]))
    assert note in str(view.emmeans("period"))
    assert view.llf == fit.llf
    prediction = view.predict(herds.head(1), type="link", re_form="population", se=True)
    assert_allclose(prediction["mean_se"], view.bse["Intercept"])
    for asked in ({"method": "profile"}, {"which": "random"}):
        with pytest.raises(FitError, match="ask the fit that robust"):
            view.conf_int(**asked)


def test_clusters_of_other_predictors_terms() -> None:
    fit = mixfit.mixed("y ~ x + (1 | room)", with_zeros(), "poisson", zi="~ 1 + (1 | school)").fit()
    view = fit.robust(cluster="school")
    assert "Robust standard errors, CR1, by the 12 clusters of school." in view.summary().notes
    assert not np.allclose(view.bse_of("zi"), fit.bse_of("zi"), rtol=0.01)
    with pytest.raises(FitError, match="several clusters of room"):
        fit.robust(cluster="room")


def test_refusals() -> None:
    frame = counts()
    model = mixfit.mixed("y ~ x + (1 | school)", frame, family="poisson")
    fit = model.fit()
    for kind in ("CR2", "CR3", "HC3"):
        with pytest.raises(FitError, match="A generalized model has 'CR0'"):
            fit.robust(kind)
    with pytest.raises(FitError, match="kind is one of"):
        fit.cov_params("sandwich")
    with pytest.raises(FitError, match="cluster= is for a robust covariance"):
        fit.cov_params(cluster="school")
    with pytest.raises(DataError, match="is no column that the model looks up"):
        fit.robust(cluster="village")
    with pytest.raises(FitError, match="fit with n_agq=1"):
        model.fit(n_agq=0).robust()
    with pytest.raises(FitError, match="several clusters of school"):
        mixfit.mixed("y ~ x + (1 | school) + (1 | m)", frame, family="poisson").fit().robust(cluster="school")
    slopes = mixfit.mixed("y ~ x + (1 + x | school)", frame, family="poisson").fit()
    assert slopes.robust().robust("CR0").summary().notes[-2].startswith("Robust standard errors, CR0")
    once = frame.assign(y=np.minimum(frame["y"], 1))
    zeros = mixfit.mixed("y ~ x + (1 | school)", once, family="poisson", zi="~ 1").fit()
    with pytest.raises(FitError, match="scores of clusters vanish there"):
        zeros.robust()


@pytest.mark.slow
def test_coverage_where_slopes_differ_and_the_model_says_that_they_do_not() -> None:
    rng = np.random.default_rng(11)

    def drawn(n_groups: int) -> pd.DataFrame:
        g = np.repeat(np.arange(n_groups), 8)
        x = rng.normal(size=len(g))
        slopes = 0.3 + 0.3 * rng.normal(size=n_groups)
        eta = 0.5 + 0.4 * rng.normal(size=n_groups)[g] + slopes[g] * x
        return pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "g": g})

    def fitted(frame: pd.DataFrame) -> Any:
        return mixfit.mixed("y ~ x + (1 | g)", frame, family="poisson").fit()

    # What the coefficient of the wrong model tends to, with an error of a sixteenth of those below.
    limit, covered, runs = fitted(drawn(20_000)).params["x"], np.zeros(2), 200
    for _ in range(runs):
        fit = fitted(drawn(60))
        covered += [abs(f.params["x"] - limit) < 1.96 * f.bse["x"] for f in (fit, fit.robust())]
    plain, robust = covered / runs
    # A share of 0.95 among 200 has a standard error of 0.015.
    assert plain < 0.8
    assert abs(robust - 0.95) < 0.05
