"""Terms of known covariance: against dense criteria, in every spelling, and all that results do."""

from __future__ import annotations

import pickle
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize, minimize_scalar
from scipy.sparse import csc_array
from scipy.stats import multivariate_normal

import mixfit
from mixfit.errors import DataError, DesignError, FormulaError, NewLevelError
from tests.covariance.trees import random_pedigree, random_tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ACROSS = "y ~ x + propto(1 | species, K)"
COLUMNS = "y ~ x + propto(0 + species | one, K)"


@cache
def tree_data(n: int = 25, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One to four rows of most species of a tree; three have none."""
    rng = np.random.default_rng(seed)
    _, k = random_tree(n, seed, ultrametric=True)
    k = k / k.to_numpy().max()
    effects = np.linalg.cholesky(k.to_numpy()) @ rng.normal(size=n)
    at = np.repeat(np.arange(n - 3), rng.integers(1, 5, n - 3))
    x = rng.normal(size=len(at))
    eta = 1.0 + 0.4 * x + effects[at]
    frame = pd.DataFrame({"y": eta + 0.6 * rng.normal(size=len(at)), "n": rng.poisson(np.exp(eta)), "x": x})
    frame["species"], frame["one"] = k.index.to_numpy()[at], "all"
    frame["year"] = (np.arange(len(at)) % 6).astype(str)
    return frame, k


def fitted(formula: str = ACROSS, *, reml: bool = False, known: Any = None, **options: Any) -> Any:
    frame, k = tree_data()
    return mixfit.mixed(formula, frame, context={"K": k if known is None else known}, **options).fit(
        **({} if "family" in options else {"reml": reml})
    )


def dense_criterion(sd: float, sigma: float, reml: bool, iid: float = 0.0) -> float:
    """-2 log-likelihood with V written out, beta at its best."""
    frame, k = tree_data()
    at = k.index.get_indexer(frame["species"])
    same = at[:, None] == at
    v = sd**2 * k.to_numpy()[np.ix_(at, at)] + iid**2 * same + sigma**2 * np.eye(len(at))
    X = np.column_stack([np.ones(len(at)), frame["x"]])
    inner = X.T @ np.linalg.solve(v, X)
    beta = np.linalg.solve(inner, X.T @ np.linalg.solve(v, frame["y"]))
    value = -2.0 * multivariate_normal.logpdf(frame["y"], X @ beta, v)
    return float(value + np.linalg.slogdet(inner)[1] - 2 * np.log(2.0 * np.pi)) if reml else float(value)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("formula", [ACROSS, COLUMNS])
def test_the_estimates_are_the_optimum_of_the_dense_criterion(formula: str, reml: bool) -> None:
    fit = fitted(formula, reml=reml)
    best = minimize(lambda p: dense_criterion(*np.exp(p), reml), [0.0, 0.0], method="BFGS", options={"gtol": 1e-6})
    assert fit.converged
    assert fit.certificate.n_evaluations <= 10
    assert -2.0 * fit.llf == pytest.approx(best.fun, abs=1e-7)
    assert_allclose([fit.theta[0] * fit.sigma, fit.sigma], np.exp(best.x), rtol=1e-4)


def test_levels_may_have_effects_of_their_own_beside() -> None:
    fit = fitted(f"{ACROSS} + (1 | species)", reml=True)
    sd, iid = fit.theta * fit.sigma
    assert -2.0 * fit.llf == pytest.approx(dense_criterion(sd, fit.sigma, True, iid), abs=1e-8)
    for change in np.vstack([0.02 * np.eye(3), -0.02 * np.eye(3)]):
        moved = dense_criterion(sd + change[0], fit.sigma + change[1], True, abs(iid + change[2]))
        assert moved >= -2.0 * fit.llf - 1e-8
    assert fit.ranef()["species"].shape == (25, 2)
    assert fit.ranef()["species"].iloc[:, 1].isna().sum() == 3


def test_two_known_covariances_of_one_factor_are_two_terms() -> None:
    frame, k = tree_data()
    formula = "y ~ x + propto(1 | species, K) + propto(1 | species, I)"
    identity = pd.DataFrame(np.eye(len(k)), index=k.index, columns=k.columns)
    fit = mixfit.mixed(formula, frame, context={"K": k, "I": identity}).fit()
    assert fit.llf == pytest.approx(fitted(f"{ACROSS} + (1 | species)", reml=True).llf, abs=1e-7)


@pytest.mark.parametrize("family", [None, "poisson"])
def test_an_identity_is_independence(family: str | None) -> None:
    frame, k = tree_data()
    identity = pd.DataFrame(np.eye(len(k)), index=k.index, columns=k.columns)
    response = "y" if family is None else "n"
    known = mixfit.mixed(
        f"{response} ~ x + propto(1 | species, K) + (1 | year)", frame, family=family, context={"K": identity}
    ).fit()
    plain = mixfit.mixed(f"{response} ~ x + (1 | species) + (1 | year)", frame, family=family).fit()
    assert known.llf == pytest.approx(plain.llf, abs=1e-6)
    assert_allclose(known.params, plain.params, rtol=1e-4)
    assert_allclose(known.bse, plain.bse, rtol=1e-4)
    assert_allclose(sorted(known.theta), sorted(plain.theta), rtol=1e-3, atol=1e-5)


def forms_of(k: pd.DataFrame) -> dict[str, Any]:
    """The same covariance of the levels that occur, in every form."""
    frame, _ = tree_data()
    seen = sorted(set(frame["species"]))
    shuffled = k.sample(frac=1.0, random_state=1).sample(frac=1.0, axis=1, random_state=2)
    inverse = np.linalg.inv(k.loc[seen, seen])
    return {
        "frame": shuffled,
        "array": k.loc[seen, seen].to_numpy(),
        "precision": csc_array(inverse),
        "labelled precision": mixfit.covariance.Relationship.of(csc_array(np.linalg.inv(k)), list(k.index)),
    }


@pytest.mark.parametrize("form", ["frame", "array", "precision", "labelled precision"])
@pytest.mark.parametrize("formula", [ACROSS, COLUMNS])
def test_every_form_of_the_matrix_is_the_same(formula: str, form: str) -> None:
    fit = fitted(formula, known=forms_of(tree_data()[1])[form])
    assert fit.llf == pytest.approx(fitted().llf, abs=1e-8)


@pytest.mark.parametrize("family", [None, "poisson"])
def test_levels_without_rows_are_predicted_by_their_conditional_means(family: str | None) -> None:
    frame, k = tree_data()
    fit = fitted(ACROSS if family is None else ACROSS.replace("y", "n", 1), **({"family": family} if family else {}))
    b = fit.ranef(condsd=True)["species"]
    mode, sd = b["mode"]["Intercept"], b["sd"]["Intercept"]
    seen = sorted(set(frame["species"]))
    unseen = [name for name in k.index if name not in seen]
    weights = np.linalg.solve(k.loc[seen, seen], k.loc[seen, unseen]).T
    assert_allclose(mode[unseen], weights @ mode[seen], rtol=1e-6)
    new = pd.DataFrame({"x": 0.0, "species": unseen})
    population = fit.predict(new, re_form="population", **({"type": "link"} if family else {}))
    assert_allclose(
        fit.predict(new, **({"type": "link"} if family else {})), population + mode[unseen].to_numpy(), rtol=1e-9
    )
    assert (sd[unseen] > 0.0).all()


def test_what_results_say_of_it() -> None:
    fit = fitted(reml=True)
    sd = fit.theta[0] * fit.sigma
    assert str(fit.varcorr()).splitlines()[1].split()[:2] == ["species", "(Intercept)"]
    table = fit.varcorr().to_frame()
    assert table.loc[0, ["grp", "var1"]].tolist() == ["species", "Intercept"]
    assert table["sdcor"].tolist() == pytest.approx([sd, fit.sigma])
    assert "species, 25" in str(fit.summary())
    assert fit.model.groups["species"].n_levels == 25
    assert fit.coef()["species"].shape == (25, 2)
    frame, _ = tree_data()
    assert_allclose(fit.predict(frame), fit.fittedvalues)
    assert_allclose(fit.predict(frame, re_form="~(1 | species)"), fit.fittedvalues)
    assert_allclose(fit.predict(frame, re_form="species"), fit.fittedvalues)
    assert fit.augment()["species"].tolist() == frame["species"].tolist()
    again = pickle.loads(pickle.dumps(fit))
    assert_allclose(again.predict(frame), fit.fittedvalues)


def test_intervals_bootstraps_and_influence() -> None:
    fit = fitted()
    name = "sd(propto|species)"
    limits = fit.conf_int(method="profile", which="all")
    assert limits.index.tolist() == [name, "sigma", "Intercept", "x"]
    for limit in limits.loc[name]:
        best = minimize_scalar(
            lambda s, limit=limit: dense_criterion(limit, s, False), bounds=(0.2, 2.0), method="bounded"
        )
        assert best.fun + 2.0 * fit.llf == pytest.approx(1.959964**2, abs=1e-3)
    assert np.isfinite(fit.conf_int(method="wald", which="all")).all(axis=None)
    assert fit.bootstrap(n=6, seed=1, progress=False).n_failed == 0
    assert len(fit.influence(by="species").cooks) == 22


def test_simulated_responses_have_the_covariance() -> None:
    fit = fitted()
    frame, k = tree_data()
    at = k.index.get_indexer(frame["species"])
    draws = fit.simulate(6000, seed=1).to_numpy()
    wanted = fit.sigma**2 * (fit.theta[0] ** 2 * k.to_numpy()[np.ix_(at, at)] + np.eye(len(at)))
    assert_allclose(np.cov(draws)[:8, :8], wanted[:8, :8], atol=0.12 * wanted.max())


@pytest.mark.parametrize("reml", [False, True])
def test_animals_without_records_change_nothing(reml: bool) -> None:
    table, a = random_pedigree(60, 3)
    rng = np.random.default_rng(3)
    seen = list(a.index[20:50]) * 2
    effect = pd.Series(np.linalg.cholesky(a) @ rng.normal(size=60), index=a.index)
    frame = pd.DataFrame({"animal": seen, "y": effect[seen].to_numpy() + rng.normal(size=60), "one": "all"})
    across = mixfit.mixed("y ~ 1 + propto(1 | animal, A)", frame, context={"A": mixfit.pedigree(table)}).fit(reml=reml)
    columns = mixfit.mixed("y ~ 1 + propto(0 + animal | one, A)", frame, context={"A": a}).fit(reml=reml)
    assert across.llf == pytest.approx(columns.llf, abs=1e-8)
    assert across.ranef()["animal"].shape == (60, 1)
    blup = pd.Series(columns.ranef()["one"].iloc[0].to_numpy(), index=sorted(set(seen)))
    assert_allclose(across.ranef()["animal"].loc[blup.index, "Intercept"], blup, atol=1e-3)


def test_whole_numbers_are_levels_too() -> None:
    frame, k = tree_data()
    number = {name: i + 1 for i, name in enumerate(k.index)}
    frame = frame.assign(species=frame["species"].map(number))
    known = k.rename(index=number, columns=number)
    fit = mixfit.mixed(ACROSS, frame, context={"K": known}).fit(reml=False)
    assert fit.llf == pytest.approx(fitted().llf, abs=1e-8)
    assert fit.ranef()["species"].index.tolist() == sorted(number.values())
    assert len(fit.predict(pd.DataFrame({"x": [0.0], "species": [25]}))) == 1


def broken(what: str) -> Any:
    frame, k = tree_data()
    first, second = sorted(set(frame["species"]))[:2]
    if what == "lacking":
        return k.drop(index=first, columns=first)
    if what == "one side":
        return k.drop(index=first)
    if what == "labels":
        return k.rename(index={first: "other"})
    if what == "asymmetric":
        k = k.copy()
        k.loc[first, second] += 0.5
        return k
    if what == "twins":
        k = k.copy()
        k.loc[second], k.loc[:, second] = k.loc[first], k[first]
        k.loc[first, second] = k.loc[second, first] = k.loc[second, second] = k.loc[first, first]
        return k
    if what == "missing":
        return k.where(k < k.to_numpy().max(), np.nan)
    return {"size": np.eye(3), "text": "K", "twice": k.iloc[[0, *range(len(k))]].iloc[:, [0, *range(len(k))]]}[what]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("lacking", "propto.*K has no row for 't"),
        ("one side", "must be square"),
        ("labels", "labelled differently: 'other', 't"),
        ("asymmetric", "not symmetric: .* for 't.*' and 't"),
        ("twins", "not positive definite: its smallest eigenvalue is .*, of a combination of 't.*', 't"),
        ("missing", "is nan"),
        ("size", "3 rows for 22 levels"),
        ("text", "labelled DataFrame, an array .*not str"),
        ("twice", "more than once"),
    ],
)
@pytest.mark.parametrize("formula", [ACROSS, COLUMNS])
def test_a_matrix_that_cannot_be_it_is_refused(formula: str, what: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        mixfit.mixed(formula, tree_data()[0], context={"K": broken(what)})


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ("propto(1 | species)", "takes the name of one matrix"),
        ("propto(1 | species, 3 * K)", "takes the name of one matrix"),
        ("propto(1 | species, W)", "there is no 'W'.*context"),
        ("propto(x | species, K)", "takes one column"),
    ],
)
def test_other_terms_are_refused(term: str, says: str) -> None:
    with pytest.raises(FormulaError, match=says):
        mixfit.mixed(f"y ~ x + {term}", tree_data()[0], context={"K": tree_data()[1]})


def test_a_level_that_the_matrix_lacks_cannot_be_predicted() -> None:
    with pytest.raises(NewLevelError, match="species 'dodo' has no row in the known covariance"):
        fitted().predict(pd.DataFrame({"x": [0.0], "species": ["dodo"]}), allow_new_levels=True)


def test_a_multiple_of_the_identity_beside_a_residual_is_refused() -> None:
    frame, _ = tree_data()
    frame = frame.drop_duplicates("species").reset_index(drop=True)
    with pytest.raises(DesignError, match="cannot be told from the residual variance"):
        mixfit.mixed(ACROSS, frame, context={"K": 2.0 * np.eye(len(frame))})


def test_more_levels_than_a_dense_block_is_for_are_refused() -> None:
    frame, _ = tree_data()
    names = [*sorted(set(frame["species"])), *(f"a{i}" for i in range(5001 - frame["species"].nunique()))]
    k = pd.DataFrame(np.broadcast_to(1.0, (5001, 5001)), index=names, columns=names)
    with pytest.raises(DesignError, match=r"5,001 levels.*its sparse inverse"):
        mixfit.mixed(ACROSS, frame, context={"K": k})
