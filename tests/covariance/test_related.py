"""Terms whose levels are related by a sparse inverse: the same fits and results as by the dense matrix."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csc_array

import mixfit
from mixfit.covariance import known
from mixfit.covariance.related import Related
from mixfit.errors import DataError, FitError, NewLevelError
from tests.covariance.test_known import tree_data
from tests.covariance.trees import random_pedigree, random_tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TERM = "propto(1 | species, K)"
FORMULAS = [
    f"y ~ x + {TERM}",
    f"y ~ x + {TERM} + (1 | species)",
    f"y ~ x + {TERM} + (x | year)",
    "y ~ x + propto(0 + x | species, K) + (1 | year)",
]
# Log-likelihoods agree to the certificate's tolerance, parameters to its root.
CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}


def tree() -> Any:
    return mixfit.phylogeny(random_tree(25, 1, ultrametric=True)[0])


def both(monkeypatch: pytest.MonkeyPatch, formula: str, *, reml: bool = True, **options: Any) -> tuple[Any, Any]:
    """The fit by the sparse inverse and the one by the dense matrix."""
    frame, fits, k = tree_data()[0], [], tree()
    for nodes in (1, 10_000):
        monkeypatch.setattr(known, "_SPARSE_NODES", nodes)
        model = mixfit.mixed(formula, frame, context={"K": k}, **options)
        fits.append(model.fit(**({} if "family" in options else {"reml": reml})))
    sparse, dense = fits
    assert isinstance(sparse.model.design.random[0].structure, Related)
    assert not isinstance(dense.model.design.random[0].structure, Related)
    return sparse, dense


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
def test_fits_are_those_of_the_dense_matrix(monkeypatch: pytest.MonkeyPatch, formula: str, reml: bool) -> None:
    sparse, dense = both(monkeypatch, formula, reml=reml)
    assert sparse.converged
    assert_allclose(sparse.llf, dense.llf, atol=1e-6)
    assert_allclose(sparse.params, dense.params, **CLOSE)
    assert_allclose(sparse.bse, dense.bse, **CLOSE)
    assert_allclose(sparse.theta, dense.theta, **CLOSE)


@pytest.mark.parametrize("family", ["poisson", "nbinom2"])
def test_generalized_fits_are_those_of_the_dense_matrix(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    sparse, dense = both(monkeypatch, f"n ~ x + {TERM} + (1 | year)", family=family)
    assert_allclose(sparse.llf, dense.llf, atol=1e-5)
    assert_allclose(sparse.params, dense.params, **CLOSE)
    assert_allclose(sparse.bse, dense.bse, **CLOSE)
    assert_allclose(sparse.theta, dense.theta, **CLOSE)


def test_a_term_without_variance_is_certified_as_by_the_dense_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    frame = tree_data()[0]
    noise = frame.assign(y=rng.normal(size=len(frame)))
    monkeypatch.setattr(known, "_SPARSE_NODES", 1)
    sparse = mixfit.mixed(FORMULAS[2], noise, context={"K": tree()}).fit()
    monkeypatch.setattr(known, "_SPARSE_NODES", 10_000)
    dense = mixfit.mixed(FORMULAS[2], noise, context={"K": tree()}).fit()
    assert sparse.converged
    assert_allclose(sparse.llf, dense.llf, atol=1e-6)


def test_effects_and_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, dense = both(monkeypatch, FORMULAS[0])
    for condsd in (False, True):
        one, other = (fit.ranef(condsd=condsd)["species"] for fit in (sparse, dense))
        assert_allclose(one, other.loc[one.index], **CLOSE)
    # species without rows, too
    new = pd.DataFrame({"x": 0.3, "species": ["t0", "t24", "t3"]})
    assert_allclose(sparse.predict(new), dense.predict(new), **CLOSE)
    assert_allclose(sparse.predict(new, se=True), dense.predict(new, se=True), **CLOSE)
    one, other = (fit.get_prediction(new).summary_frame() for fit in (sparse, dense))
    assert_allclose(one, other, **CLOSE)
    with pytest.raises(NewLevelError, match="'nobody'"):
        sparse.predict(new.assign(species="nobody"))


def test_what_follows_from_variances(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, dense = both(monkeypatch, FORMULAS[0])
    assert_allclose(sparse.r2().conditional, dense.r2().conditional, **CLOSE)
    columns = ["Variance", "Share", "Std. Error"]
    one, other = (fit.heritability().frame[columns] for fit in (sparse, dense))
    assert_allclose(one.astype(float), other.astype(float), rtol=1e-2)
    one, other = (fit.variance_information.projected_traces() for fit in (sparse, dense))
    assert_allclose(one[-1, -1], other[-1, -1], rtol=1e-3)


def test_simulated_effects_have_the_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, _ = both(monkeypatch, FORMULAS[0])
    draws = sparse.simulate(20_000, seed=1).to_numpy()
    at = sparse.model.design.random[0].grouping.codes
    names = [sparse.model.design.random[0].structure.known.nodes[i] for i in at]
    k = tree().covariance(names).to_numpy()
    expected = sparse.sigma**2 * (float(sparse.theta[0]) ** 2 * k + np.eye(len(at)))
    assert_allclose(np.cov(draws), expected, atol=0.06 * expected.max())


def test_refits_bootstraps_and_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, _ = both(monkeypatch, FORMULAS[0])
    again = sparse.refit(sparse.model.endog)
    assert_allclose(again.llf, sparse.llf, atol=1e-6)
    kept = pickle.loads(pickle.dumps(sparse))
    assert_allclose(kept.predict(), sparse.predict())
    assert_allclose(kept.ranef(condsd=True)["species"], sparse.ranef(condsd=True)["species"])


def test_inner_nodes_and_all_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, _ = both(monkeypatch, FORMULAS[0])
    assert len(sparse.ranef()["species"]) == 25
    assert sparse.model.design.random[0].grouping.n_levels > 25


def test_a_pedigree_of_many_animals_beside_pens() -> None:
    rng = np.random.default_rng(2)
    frame, _ = random_pedigree(700, 3, founders=60)
    a = mixfit.pedigree(frame)
    place = pd.Index(a.nodes).get_indexer(pd.Index(frame["id"].astype(str)))
    effects = a.effects(rng.normal(size=len(a.nodes)))[place]
    data = pd.DataFrame({"animal": frame["id"], "pen": rng.integers(20, size=len(frame)).astype(str)})
    data["y"] = effects + rng.normal(size=20)[data["pen"].astype(int)] + rng.normal(size=len(frame))
    fit = mixfit.mixed("y ~ 1 + propto(1 | animal, A) + (1 | pen)", data, context={"A": a}).fit()
    at = fit.model.design.random[0].grouping.codes
    k = a.covariance([a.nodes[i] for i in at]).to_numpy()
    pens = data["pen"].to_numpy()[:, None] == data["pen"].to_numpy()
    v = fit.sigma**2 * (fit.theta[0] ** 2 * k + fit.theta[1] ** 2 * pens + np.eye(len(k)))
    solved = np.linalg.solve(v, np.column_stack([np.ones(len(k)), data["y"]]))
    gls = solved[:, 0] @ data["y"] / solved[:, 0].sum()
    rest = data["y"].to_numpy() - gls
    value = (
        np.linalg.slogdet(v)[1]
        + rest @ np.linalg.solve(v, rest)
        + np.log(solved[:, 0].sum())
        + (len(k) - 1) * np.log(2.0 * np.pi)
    )
    assert fit.converged
    assert_allclose(-2.0 * fit.llf, value, rtol=1e-9)
    assert_allclose(fit.params.iloc[0], gls, rtol=1e-6)


def test_a_sparse_precision_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, k = tree_data()
    monkeypatch.setattr(known, "_SPARSE_NODES", 1)
    own = frame.assign(species=pd.Categorical(frame["species"]))
    levels = list(own["species"].cat.categories)
    precision = csc_array(np.linalg.inv(k.loc[levels, levels].to_numpy()))
    sparse = mixfit.mixed(FORMULAS[0], own, context={"K": precision}).fit()
    dense = mixfit.mixed(FORMULAS[0], own, context={"K": k}).fit()
    assert isinstance(sparse.model.design.random[0].structure, Related)
    assert_allclose(sparse.llf, dense.llf, atol=1e-6)


def test_what_takes_levels_for_independent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sparse, _ = both(monkeypatch, FORMULAS[0])
    for refused in (
        lambda: sparse.Lambda,
        lambda: sparse.influence("species"),
        lambda: sparse.sample(seed=1),
        lambda: sparse.get_prediction(re_form="population").summary_frame(),
    ):
        with pytest.raises(FitError, match=r"related by a sparse inverse.*K\.covariance"):
            refused()


def test_a_level_that_is_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = tree_data()[0]
    monkeypatch.setattr(known, "_SPARSE_NODES", 1)
    with pytest.raises(DataError, match="no row for 'nobody'"):
        mixfit.mixed(FORMULAS[0], frame.replace({"species": {"t0": "nobody"}}), context={"K": tree()})
