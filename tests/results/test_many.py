"""Many fits of one formula are those that each key has by itself."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
import mixfit.model.many
import mixfit.model.many_designs
from mixfit.errors import ArgumentError, DataError, FormulaError

if TYPE_CHECKING:
    from mixfit.results.many import ManyFits

FORMULA = "y ~ Days + (Days | Subject)"


def genes(n: int, seed: int = 1) -> pd.DataFrame:
    """The rows of every gene in an order of their own."""
    base = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", base).fit()
    y = fit.simulate(n, seed=seed).to_numpy()
    parts = [base.assign(gene=f"g{i}", y=y[:, i]).sample(frac=1.0, random_state=i) for i in range(n)]
    return pd.concat(parts, ignore_index=True)


def check(many: ManyFits, key: Any) -> None:
    """Estimates of a key are those of its own fit."""
    fit = many.fit(key)
    own = many.estimates.loc[key].dropna()
    assert_allclose(own[list(fit.params.index)], fit.params, rtol=1e-5, atol=1e-6)
    assert_allclose(many.bse.loc[key].dropna(), fit.bse, rtol=1e-4, atol=1e-6)
    if "sigma" in own:
        assert_allclose(own["sigma"], fit.sigma, rtol=1e-5)
    assert_allclose(many.facts.loc[key, "llf"], fit.llf, atol=1e-6)
    assert many.facts.loc[key, "nobs"] == fit.nobs
    assert many.facts.loc[key, "is_singular"] == fit.is_singular


def check_beside(many: ManyFits, key: Any) -> None:
    """Estimates of a key are as near to those of its own fit as that is to its optimum, and no worse."""
    fit = many.fit(key)
    off = (many.estimates.loc[key, list(fit.params.index)] - fit.params) / fit.bse
    assert np.abs(off).max() < 1e-4
    assert_allclose(many.bse.loc[key, list(fit.bse.index)].to_numpy(dtype=float), fit.bse, rtol=1e-4)
    assert -1e-9 < many.facts.loc[key, "llf"] - fit.llf < 1e-8
    assert_allclose(many.estimates.loc[key, "sigma"], fit.sigma, rtol=1e-4)
    assert many.facts.loc[key, "nobs"] == fit.nobs
    assert many.facts.loc[key, "is_singular"] == fit.is_singular


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many responses each batch had."""
    sizes: list[int] = []
    inner = mixfit.model.many._together

    def counted(model: Any, batch: Any, members: Any, y: Any, reml: bool) -> Any:
        sizes.append(len(members))
        return inner(model, batch, members, y, reml)

    monkeypatch.setattr(mixfit.model.many, "_together", counted)
    return sizes


@pytest.fixture
def stacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many designs that differ were fitted together."""
    sizes: list[int] = []
    inner = mixfit.model.many.fit_designs

    def counted(rows: Any, *, reml: bool) -> Any:
        found = inner(rows, reml=reml)
        sizes.append(len(found.fitted))
        return found

    monkeypatch.setattr(mixfit.model.many, "fit_designs", counted)
    return sizes


def unlike(n: int, *, seed: int = 1) -> pd.DataFrame:
    """Genes with subjects, rows and covariates of their own; every third has no slopes, every fourth no variance."""
    rng = np.random.default_rng(seed)
    parts = []
    for i in range(n):
        size = int(rng.integers(6, 11))
        subject = np.repeat(np.arange(size), rng.integers(5, 8, size))
        x, t = rng.normal(size=len(subject)), rng.uniform(0.0, 4.0, len(subject))
        b = rng.normal(size=(2, size))
        y = 1.0 + x + (i % 4 > 0) * (b[0, subject] + (i % 3 > 0) * b[1, subject] * t) + rng.normal(size=len(subject))
        arm = np.where(rng.uniform(size=len(subject)) < 0.5, "a", "b")
        parts.append(pd.DataFrame({"gene": f"g{i}", "subject": subject, "x": x, "t": t, "arm": arm, "y": y}))
    return pd.concat(parts).sample(frac=1.0, random_state=seed)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + arm + (1 | subject)",
        "y ~ x * t + (t | subject)",
        "y ~ x + (t || subject)",
        "y ~ 0 + x + (1 | subject) + (0 + t | subject)",
    ],
)
def test_designs_that_differ_are_fitted_together(formula: str, reml: bool, stacked: list[int]) -> None:
    many = mixfit.fit_many(formula, unlike(8), by="gene", reml=reml)
    assert stacked == [8]
    assert many.n_failed == 0
    assert 0 < many.facts["is_singular"].sum() < 8
    for key in many.keys:
        check_beside(many, key)


def test_blocks_of_designs_give_the_same(stacked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mixfit.fit_many("y ~ x + (1 | subject)", unlike(7), by="gene")
    monkeypatch.setattr(mixfit.model.many_designs, "_CELLS_AT_ONCE", 400)
    parts = mixfit.fit_many("y ~ x + (1 | subject)", unlike(7), by="gene")
    assert stacked[0] == sum(stacked[1:]) == 7
    assert len(stacked) > 2
    pd.testing.assert_frame_equal(whole.estimates, parts.estimates, rtol=1e-9)


def test_designs_that_need_care_are_looked_at_one_by_one(stacked: list[int]) -> None:
    data = unlike(10).sort_values("gene", kind="stable", ignore_index=True)
    own = {gene: data.index[data.gene == gene] for gene in data.gene.unique()}
    data.loc[own["g0"], "arm"] = "a"
    data.loc[own["g1"], "x"] = 2.0
    data.loc[own["g2"], "y"] = data["x"]
    data.loc[own["g3"][0], "x"] = np.inf
    data = data.drop(own["g4"][3:])
    data = data.drop(data.index[(data.gene == "g5") & (data.subject > 1)])
    many = mixfit.fit_many("y ~ x + arm + (t | subject)", data, by="gene")
    assert stacked == [4]
    assert set(many.failures) == {"g0", "g2", "g3", "g4"}
    assert "perfectly" in many.failures["g2"]
    assert many.failures["g3"].startswith("DataError")
    for key in many.keys.difference(list(many.failures)):
        check_beside(many, key)


@pytest.mark.parametrize("formula", ["y ~ np.log(t) + (1 | subject)", "y ~ x + (1 | subject) + (1 | arm)"])
def test_what_rows_of_all_cannot_be_read_for_is_read_one_by_one(formula: str, stacked: list[int]) -> None:
    many = mixfit.fit_many(formula, unlike(3), by="gene")
    assert stacked == []
    for key in many.keys:
        check(many, key)


@pytest.mark.parametrize("reml", [True, False])
def test_groups_of_one_design_are_fitted_together(reml: bool, together: list[int]) -> None:
    many = mixfit.fit_many(FORMULA, genes(6), by="gene", reml=reml)
    assert together == [6]
    assert many.keys.tolist() == [f"g{i}" for i in range(6)]
    assert many.n_failed == 0
    assert many.fit("g2").reml is reml
    for key in many.keys:
        check(many, key)


def test_groups_of_other_designs_are_fitted_by_themselves(together: list[int]) -> None:
    data = genes(8)
    data = data.drop(data.index[(data.gene == "g1") & (data.Days > 6)])
    data.loc[data.index[data.gene == "g4"][:3], "y"] = np.nan
    many = mixfit.fit_many(FORMULA, data, by="gene")
    assert together == [6]
    assert many.facts["nobs"].tolist() == [180, 126, 180, 180, 177, 180, 180, 180]
    for key in many.keys:
        check(many, key)


def test_responses_with_missing_values() -> None:
    base = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", base).fit()
    y = fit.simulate(6, seed=2)
    y.iloc[4, 1] = y.iloc[4, 3] = y.iloc[9, 5] = np.nan
    y.columns = ["a", "b", "log c", "d", "e", "f"]
    apart = mixfit.fit_many("~ Days + (Days | Subject)", base, responses=y)
    beside = mixfit.fit_many("~ Days + (Days | Subject)", base.join(y), responses=list(y))
    assert_allclose(apart.estimates, beside.estimates)
    assert apart.facts["nobs"].tolist() == [180, 179, 180, 179, 180, 179]
    for key in y:
        check(apart, key)


def test_a_key_whose_rows_are_all_incomplete_is_a_failure() -> None:
    data = genes(4)
    data.loc[data.gene == "g1", "y"] = np.nan
    many = mixfit.fit_many(FORMULA, data, by="gene")
    assert many.keys.tolist() == ["g0", "g1", "g2", "g3"]
    assert list(many.failures) == ["g1"]
    assert "No row is left" in many.failures["g1"]
    assert many.estimates.loc["g1"].isna().all()
    wide = pd.DataFrame({"a": np.arange(180.0) % 7, "b": np.nan})
    many = mixfit.fit_many("~ Days + (1 | Subject)", mixfit.datasets.load("sleepstudy"), responses=wide)
    assert list(many.failures) == ["b"]
    assert "No row is left" in many.failures["b"]


@pytest.mark.parametrize("formula", ["y ~ x + (1 | subject)", "y ~ scale(x) + (1 | subject)"])
def test_transforms_learn_from_the_rows_that_a_single_fit_learns_from(formula: str) -> None:
    data = unlike(6).reset_index(drop=True)
    data.loc[data.gene.isin(["g1", "g3", "g4"]) & (data.x > 0.7), "y"] = np.nan
    many = mixfit.fit_many(formula, data, by="gene")
    raised = mixfit.fit_many(formula, data, by="gene", na_action="raise")
    assert list(raised.failures) == ["g1", "g3", "g4"]
    for key, own in data.groupby("gene"):
        fit = mixfit.mixed(formula, own).fit()
        assert_allclose(many.estimates.loc[[key], list(fit.params.index)].iloc[0], fit.params, rtol=1e-4)
        assert many.facts["nobs"][key] == fit.nobs


def test_transforms_of_responses_learn_from_the_rows_that_a_single_fit_learns_from() -> None:
    base = mixfit.datasets.load("sleepstudy")
    y = mixfit.mixed("Reaction ~ Days + (1 | Subject)", base).fit().simulate(4, seed=2)
    y.columns = list("abcd")
    y.loc[base.Days > 7, ["a", "b", "c"]] = np.nan
    base = base.assign(Subject=base.Subject.where(base.index > 5))
    many = mixfit.fit_many("~ scale(Days) + (1 | Subject)", base, responses=y)
    for name in y:
        fit = mixfit.mixed(f"{name} ~ scale(Days) + (1 | Subject)", base.join(y)).fit()
        assert_allclose(many.estimates.loc[name, list(fit.params.index)], fit.params, rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_an_infinite_response_fails_by_itself(together: list[int]) -> None:
    data = genes(5)
    base = mixfit.datasets.load("sleepstudy")
    wide = mixfit.mixed("Reaction ~ Days + (Days | Subject)", base).fit().simulate(5, seed=1)
    wide.columns = [f"g{i}" for i in range(5)]
    wide.iloc[7, [1, 2]] = np.inf
    many = mixfit.fit_many("~ Days + (Days | Subject)", base, responses=wide)
    assert list(many.failures) == ["g1", "g2"]
    assert many.failures["g1"].startswith("DataError: Response 'g1' is infinite in 1 row(s)")
    data.loc[data.index[data.gene == "g1"][4], "y"] = -np.inf
    by_gene = mixfit.fit_many(FORMULA, data, by="gene")
    assert list(by_gene.failures) == ["g1"]
    assert by_gene.failures["g1"].startswith("DataError: Response 'y' is infinite in 1 row(s)")
    assert together == [3, 4]


def test_several_factors_share_their_design() -> None:
    plates = mixfit.datasets.load("penicillin_plates")
    fit = mixfit.mixed("diameter ~ 1 + (1|plate) + (1|sample)", plates).fit()
    many = mixfit.fit_many("~ 1 + (1|plate) + (1|sample)", plates, responses=fit.simulate(3, seed=1))
    for key in many.keys:
        check(many, key)


def test_weights_offsets_and_rows_of_weight_zero(together: list[int]) -> None:
    data = genes(4)
    data["w"] = 1.0 + (data.Days % 3)
    data.loc[data.Days == 5, "w"] = 0.0
    data["o"] = 0.1 * data.Days
    many = mixfit.fit_many(FORMULA, data, by="gene", weights="w", offset="2 * o")
    assert together == [4]
    for key in many.keys:
        check(many, key)


def test_other_models_are_fitted_one_by_one() -> None:
    data = genes(2)
    data["z"] = (data.y > data.y.median()).astype(int)
    data["long after"] = data.Days > 4
    for formula, options in [
        ("z ~ Days + (1 | Subject)", {"family": "binomial"}),
        ("log(y) ~ Days + (1 | Subject)", {}),
        ("y ~ Days + (1 | Subject)", {"dispersion": "~ `long after`"}),
    ]:
        many = mixfit.fit_many(formula, data, by="gene", **options)
        for key in many.keys:
            check(many, key)


def test_several_columns_tell_groups() -> None:
    data = genes(4)
    data["site"], data["gene"] = data.gene.isin(["g0", "g1"]), data.gene.isin(["g0", "g2"])
    many = mixfit.fit_many(FORMULA, data, by=["site", "gene"])
    assert many.keys.names == ["site", "gene"]
    assert len(many) == 4
    check(many, (True, False))


def test_what_fails_is_named_by_its_key(together: list[int]) -> None:
    data = genes(6)
    data.loc[data.gene == "g0", "y"] = 3.0
    data.loc[data.gene == "g2", "y"] = 2.0 * data.Days[data.gene == "g2"]
    data = pd.concat([data, data[(data.gene == "g3")].head(1).assign(gene="single")])
    many = mixfit.fit_many(FORMULA, data, by="gene")
    assert set(many.failures) == {"g0", "g2", "single"}
    assert "perfectly" in many.failures["g0"]
    assert "perfectly" in many.failures["g2"]
    assert many.failures["single"].startswith("DesignError")
    assert many.estimates.loc[["g0", "g2", "single"]].isna().all(axis=None)
    assert many.facts["nobs"].isna().tolist() == [True, False, True, False, False, False, True]
    assert together == [5]
    check(many, "g5")
    text = str(many)
    assert "4 fits of y ~ Days" in text
    assert "3 keys have no fit:" in text


@pytest.mark.slow
def test_processes_give_the_same() -> None:
    data = genes(3)
    many = [mixfit.fit_many("log(y) ~ Days + (1 | Subject)", data, by="gene", n_jobs=n) for n in (1, 2)]
    pd.testing.assert_frame_equal(many[0].estimates, many[1].estimates)


def test_many_fits_pickle() -> None:
    many = mixfit.fit_many(FORMULA, genes(3), by="gene")
    again = pickle.loads(pickle.dumps(many))
    pd.testing.assert_frame_equal(again.estimates, many.estimates)
    check(again, "g1")


def test_the_long_frame() -> None:
    many = mixfit.fit_many(FORMULA, genes(3), by="gene")
    frame = many.to_frame()
    assert frame.index.tolist() == ["g0", "g0", "g1", "g1", "g2", "g2"]
    assert frame["term"].tolist() == ["Intercept", "Days"] * 3
    assert_allclose(frame["statistic"], frame["estimate"] / frame["std_error"])
    assert_allclose(frame["estimate"].iloc[3], many.estimates.loc["g1", "Days"])


def test_what_cannot_be_read_is_refused() -> None:
    data = genes(2)
    with pytest.raises(ArgumentError, match=r"by=.* or responses="):
        mixfit.fit_many(FORMULA, data)
    with pytest.raises(ArgumentError, match=r"by=.* or responses="):
        mixfit.fit_many(FORMULA, data, by="gene", responses=["y"])
    with pytest.raises(DataError, match="no column 'genes'"):
        mixfit.fit_many(FORMULA, data, by="genes")
    with pytest.raises(DataError, match="no column 'z' among the responses"):
        mixfit.fit_many("~ Days + (1 | Subject)", data, responses=["y", "z"])
    with pytest.raises(DataError, match="'Subject' is not a column of numbers"):
        mixfit.fit_many("~ Days + (1 | gene)", data.assign(Subject="a"), responses=["Subject"])
    with pytest.raises(DataError, match="have 2 rows"):
        mixfit.fit_many("~ Days + (1 | Subject)", data, responses=pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(FormulaError, match="has none of its own"):
        mixfit.fit_many(FORMULA, data, responses=["y"])
    with pytest.raises(ArgumentError, match="weights= names a column"):
        mixfit.fit_many(FORMULA, data, by="gene", weights=np.ones(len(data)))
    many = mixfit.fit_many(FORMULA, data, by="gene")
    for key in ("none", ["g0"]):
        with pytest.raises(DataError, match=r"there is no such key among the \d+: 'g0'"):
            many.fit(key)
    for formula in (FORMULA, "log(y) ~ Days + (1 | Subject)"):
        with pytest.raises(ArgumentError, match="familiy"):
            mixfit.fit_many(formula, data, by="gene", familiy="poisson")
        with pytest.raises(ArgumentError, match="solver"):
            mixfit.fit_many(formula, data, by="gene", solver="splu")
