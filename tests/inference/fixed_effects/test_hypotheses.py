"""What the three types of analysis of variance test."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.inference.fixed_effects import hypotheses
from mixfit.inference.fixed_effects.cells import cell_space

DATA = pd.read_csv(Path(__file__).parents[1] / "reference" / "unbalanced.csv")


@cache
def fitted(fixed: str) -> Any:
    return mixfit.mixed(f"y ~ {fixed} + (1 | g)", DATA).fit()


def rows(fixed: str, kind: str) -> dict[str, np.ndarray]:
    model = fitted(fixed).model
    structure, space = model.design.fixed, cell_space(model.design.fixed, model.design.X, model.kept)
    if kind == "III":
        return hypotheses.marginal_hypotheses(structure, space)
    find = hypotheses.sequential_hypotheses if kind == "I" else hypotheses.partial_hypotheses
    return find(structure, space, np.linalg.qr(model.exog)[1])


def f_values(fixed: str, kind: str, ddf: str = "kenward-roger") -> list[float]:
    return fitted(fixed).anova(type=kind, ddf=ddf)["F value"].tolist()


@pytest.mark.parametrize(
    ("codings", "kind"),
    [
        (("a * b + x", "C(a, contr.sum) * C(b, contr.helmert) + x"), "III"),
        (("a * b + x", "C(a, contr.treatment('a3')) * C(b, contr.poly) + x"), "III"),
        (("a / b", "C(a, contr.sum) / b"), "III"),
        (("a / b", "C(a, contr.sum) / C(b, contr.sum)"), "III"),
        (("a * x", "C(a, contr.sum) * x"), "III"),
        (("a * b + x", "C(a, contr.sum) * C(b, contr.helmert) + x"), "II"),
        (("a * b + x", "C(a, contr.sum) * C(b, contr.helmert) + x"), "I"),
    ],
)
def test_the_coding_does_not_matter(codings: tuple[str, str], kind: str) -> None:
    one, other = (f_values(fixed, kind) for fixed in codings)
    # Of one optimum, to the tolerance of the optimizer
    np.testing.assert_allclose(one, other, rtol=1e-4)


CODINGS = [
    ("a", "0 + a"),
    ("a + b", "0 + a + b"),
    ("a + b", "0 + b + a"),
    ("a * b", "0 + a * b"),
    ("a * b", "0 + C(a, contr.sum) * C(b, contr.helmert)"),
    ("a:b", "0 + a:b"),
    ("a / b", "0 + C(a, contr.sum) / b"),
    ("a * x", "0 + a * x"),
    ("a + a:x", "0 + a + a:x"),
    ("a * b * x", "0 + a * b * x"),
]


@pytest.mark.parametrize("kind", ["II", "III"])
@pytest.mark.parametrize(("with_constant", "without"), CODINGS)
def test_a_constant_that_factors_imply_may_be_left_out(with_constant: str, without: str, kind: str) -> None:
    tables = [fitted(fixed).anova(type=kind).frame for fixed in (with_constant, without)]
    one, other = (frame.set_axis([_plain(name) for name in frame.index]) for frame in tables)
    assert set(one.index) == set(other.index)
    np.testing.assert_allclose(other.loc[one.index], one, rtol=1e-6)


def _plain(term: str) -> str:
    return re.sub(r"C\((\w), contr\.\w+\)", r"\1", term)


def test_columns_that_add_up_to_a_constant_are_tested_each() -> None:
    """A mixture: the shares have slopes of their own, and no constant beside them."""
    shares = DATA.assign(p=1.0 / (1.0 + DATA["x"].abs()), q=lambda d: 1.0 - d["p"])
    table = mixfit.mixed("y ~ 0 + p + q + (1 | g)", shares).fit().anova()
    assert table["NumDF"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("fixed", ["a + b", "a * b", "a * x + b", "a / b", "a * b * x", "0 + a * b", "a * b + h"])
def test_one_hypothesis_has_one_denominator(fixed: str) -> None:
    fit = fitted(fixed)
    tables = [fit.anova(type=kind).frame for kind in ("I", "II", "III")] + [fit.drop1(test="F").frame]
    same = 0
    for i, one in enumerate(tables):
        for other in tables[i + 1 :]:
            for term in set(one.index) & set(other.index):
                mine, theirs = one.loc[term], other.loc[term]
                if mine["NumDF"] == theirs["NumDF"] and mine["F value"] == pytest.approx(theirs["F value"], rel=1e-10):
                    assert mine["DenDF"] == pytest.approx(theirs["DenDF"], rel=1e-9)
                    same += 1
    assert same >= 3


def test_type_three_compares_marginal_means() -> None:
    """Equal weights for the cells, whatever their counts."""
    grid = pd.DataFrame([(a, b, 0.0) for a in ("a1", "a2", "a3") for b in ("b1", "b2", "b3")], columns=["a", "b", "x"])
    fit = fitted("a * b + x")
    cells = fit.model.design.reader.read(grid.assign(y=0.0), (False,)).X
    marginal = np.array([cells[grid["a"] == level].mean(axis=0) for level in ("a1", "a2", "a3")])
    wanted = fit.contest(marginal[1:] - marginal[0], ddf="kenward-roger").frame.iloc[0]
    found = fit.anova(type=3, ddf="kenward-roger").frame.loc["a"]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("kind", ["II", "III"])
def test_the_nested_factor_is_averaged_over(kind: str) -> None:
    """a in a / b has the type III hypothesis of a in a * b, which has the same cells."""
    if kind == "III":
        assert f_values("a / b", kind)[0] == pytest.approx(f_values("a * b", kind)[0], rel=1e-4)
    else:
        assert f_values("a / b", kind)[0] == pytest.approx(f_values("a / b", "I")[0], rel=1e-9)


def test_sequential_hypotheses_are_those_of_nested_models() -> None:
    """Projections: the rows of a term span what it adds to the terms before it."""
    model = fitted("a * b + x").model
    for name, L in rows("a * b + x", "I").items():
        before = next(t.columns[0] for t in model.design.fixed.terms if t.name == name)
        X0, X = model.exog[:, :before], model.exog
        rest = X - X0 @ np.linalg.lstsq(X0, X, rcond=None)[0]
        own = rest[:, before : before + len(L)]
        span = np.linalg.lstsq(own, rest, rcond=None)[0]
        np.testing.assert_allclose(L, np.linalg.lstsq(span.T, L.T, rcond=None)[0].T @ span, atol=1e-9)
        assert np.linalg.matrix_rank(L) == len(L)


def test_containment() -> None:
    structure = fitted("a * b * x + z").model.design.fixed
    containing = hypotheses.containing_terms(structure)
    assert containing["a"] == ["a:b"]
    assert containing["x"] == ["a:x", "b:x", "a:b:x"]
    assert containing["a:x"] == ["a:b:x"]
    assert containing["z"] == containing["a:b:x"] == []


def test_a_term_without_columns_has_a_row_of_nothing() -> None:
    table = fitted("x + x2 + a").anova()
    assert table.frame.index.tolist() == ["x", "x2", "a"]
    assert table.frame.loc["x2"].isna().all()
    assert table.frame.loc[["x", "a"]].notna().all(axis=None)


def test_wald_tests_of_type_two_hold_the_rest_fixed() -> None:
    """Those of car's Anova: the estimates given the containing terms, uncorrelated with them."""
    fit = fitted("a * b + x")
    cov, beta = fit.cov_params().to_numpy(), fit.params.to_numpy()
    names = fit.params.index
    term = names.str.fullmatch(r"b\[T\.b.\]")
    inner = names.str.contains(":")
    # The part of beta_b that is uncorrelated with the interaction
    L = (
        np.eye(len(names))[term]
        - cov[np.ix_(term, inner)] @ np.linalg.inv(cov[np.ix_(inner, inner)]) @ np.eye(len(names))[inner]
    )
    wanted = L @ beta @ np.linalg.solve(L @ cov @ L.T, L @ beta)
    assert fit.anova(type=2, ddf="z")["Chisq"]["b"] == pytest.approx(wanted, rel=1e-9)


def test_covariates_without_a_main_effect_are_read_from_the_data() -> None:
    """The columns of C(a):exp(z) are all that X holds of exp(z)."""
    by_name = fitted("a + a:np.exp(z / 10)")
    data = DATA.assign(e=np.exp(DATA["z"] / 10))
    column = mixfit.mixed("y ~ a + a:e + (1 | g)", data).fit()
    np.testing.assert_allclose(by_name.anova().frame, column.anova().frame, rtol=1e-9)


def test_rows_left_out_do_not_shift_the_factors() -> None:
    holes = DATA.copy()
    holes.loc[[3, 40], "x"] = np.nan
    weights = np.ones(len(holes))
    weights[[7, 60]] = 0.0
    kept = holes.drop(index=[3, 7, 40, 60])
    one = mixfit.mixed("y ~ a * b + a:x + (1 | g)", holes, weights=weights).fit().anova()
    other = mixfit.mixed("y ~ a * b + a:x + (1 | g)", kept).fit().anova()
    np.testing.assert_allclose(one.frame, other.frame, rtol=1e-7)
