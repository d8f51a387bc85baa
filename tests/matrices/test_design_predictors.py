"""Designs with predictors of more than the mean: two formulas over the same rows."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import DataError, FormulaError, NewLevelError
from mixfit.families.links import LINKS
from mixfit.formula import parse, parse_predictor
from mixfit.matrices import build
from mixfit.matrices.rows import subset

N = 60
RNG = np.random.default_rng(91)
DATA = pd.DataFrame(
    {
        "y": RNG.poisson(3.0, N),
        "x": RNG.normal(size=N),
        "z": RNG.normal(size=N) + 4.0,
        "f": RNG.choice(list("abc"), N),
        "g": np.arange(N) % 6,
        "h": [f"h{k % 4}" for k in range(N)],
    }
)
MEAN, ZERO = "y ~ x*f + scale(z) + (x | g) + offset(log(z))", "~ f + poly(z, 2) + (1 | g) + (0 + x | h) + offset(x)"


def two(data=DATA, **options):
    links = {"mean": LINKS["log"], "zero": LINKS["logit"]}
    further = {"zero": parse_predictor(ZERO)}
    return build(parse(MEAN), data, residual=False, further=further, links=links, **options)


def same(predictor, design):
    """Whether a predictor is the mean of another design."""
    assert predictor.exog_names == design.exog_names
    np.testing.assert_array_equal(predictor.X, design.X)
    np.testing.assert_array_equal(predictor.offset, design.offset)
    assert predictor.fixed.terms == design.fixed.terms
    assert predictor.fixed.factors.keys() == design.fixed.factors.keys()
    for mine, theirs in zip(predictor.random, design.random, strict=True):
        assert (mine.text, mine.columns, mine.grouping.name) == (theirs.text, theirs.columns, theirs.grouping.name)
        assert type(mine.structure) is type(theirs.structure)
        np.testing.assert_array_equal(mine.Z, theirs.Z)
        np.testing.assert_array_equal(mine.grouping.codes, theirs.grouping.codes)


def test_each_predictor_is_as_if_it_stood_alone():
    design = two()
    mean, zero = design.predictors
    assert (mean.name, zero.name) == ("mean", "zero")
    assert (mean.link, zero.link) == (LINKS["log"], LINKS["logit"])
    same(mean, build(parse(MEAN), DATA))
    same(zero, build(parse(f"y {ZERO}"), DATA))


def test_the_mean_is_what_the_design_shows():
    design = two()
    mean = design.mean
    assert mean.X is design.X
    assert mean.random is design.random
    assert mean.offset is design.offset
    assert mean.fixed is design.fixed
    other = replace(design, X=design.X[:, :2], exog_names=design.exog_names[:2])
    assert other.mean.exog_names == ("Intercept", "x")
    assert other.predictors[1] is design.predictors[1]


def test_predictors_share_a_grouping_factor():
    mean, zero = two().predictors
    assert mean.random[0].grouping is zero.random[0].grouping


def test_a_value_missing_in_one_predictor_drops_the_row_from_all():
    data = DATA.assign(h=DATA.h.where(DATA.index != 7), x=DATA.x.where(DATA.index != 11))
    weights = np.where(DATA.index == 20, 0.0, 1.0)
    design = two(data, weights=weights)
    kept = np.setdiff1d(np.arange(N), [7, 11, 20])
    assert design.n_dropped == 2
    assert list(design.index) == list(kept)
    for predictor in design.predictors:
        assert len(predictor.X) == len(predictor.offset) == len(kept)
        assert all(len(term.Z) == len(term.grouping.codes) == len(kept) for term in predictor.random)
    with pytest.raises(DataError, match=r"x \(1\)"):
        two(data, na_action="raise")


def test_new_rows_of_every_predictor():
    design = two()
    reader = pickle.loads(pickle.dumps(design.reader))
    rows = np.array([5, 50, 9])
    new = DATA.drop(columns="y").iloc[rows]
    mean, zero = reader.read(new, (True,), ((True, False),)).predictors
    for found, predictor in ((mean, design.predictors[0]), (zero, design.predictors[1])):
        assert found.name == predictor.name
        np.testing.assert_allclose(found.X, predictor.X[rows], atol=1e-12)
        np.testing.assert_allclose(found.offset, predictor.offset[rows], atol=1e-12)
        np.testing.assert_array_equal(found.codes[0], predictor.random[0].grouping.codes[rows])
        np.testing.assert_allclose(found.Z[0], predictor.random[0].Z[rows], atol=1e-12)
    assert zero.Z[1] is None
    assert zero.codes[1] is None


def test_the_mean_alone_needs_no_column_of_the_others():
    reader = build(parse("y ~ x + (1 | g)"), DATA, further={"zero": parse_predictor("~ f + (1 | h)")}).reader
    assert reader.read(DATA[["x", "g"]], (True,)).further == ()
    with pytest.raises(DataError, match="no column 'f'"):
        reader.read(DATA[["x", "g"]], (True,), ((True,),))
    with pytest.raises(NewLevelError, match="Factor 'f'"):
        reader.read(DATA.head(2).assign(f="new"), (True,), ((True,),))
    with pytest.raises(ValueError, match="flags for 2 predictors"):
        reader.read(DATA, (True,), ((True,), (True,)))


def test_rows_of_all_predictors():
    design = two()
    keep = np.arange(N) % 3 != 1
    some = subset(design, keep)
    for mine, whole in zip(some.predictors, design.predictors, strict=True):
        np.testing.assert_array_equal(mine.X, whole.X[keep])
        np.testing.assert_array_equal(mine.offset, whole.offset[keep])
        for a, b in zip(mine.random, whole.random, strict=True):
            np.testing.assert_array_equal(a.Z, b.Z[keep])
            assert list(a.grouping.levels[a.grouping.codes]) == list(b.grouping.levels[b.grouping.codes[keep]])
    assert some.predictors[0].random[0].grouping is some.predictors[1].random[0].grouping


def test_a_dot_stands_for_the_columns_without_another_place():
    design = build(parse("y ~ x + (1 | g)"), DATA, further={"zero": parse_predictor("~ . + (1 | h)")})
    assert design.predictors[1].exog_names == ("Intercept", "x", "z", "f[T.b]", "f[T.c]", "g")


def test_variables_of_every_predictor_are_kept():
    assert set(two().variables) == {"x", "f", "z"}


@pytest.mark.parametrize("text", ["~ 1", "~ 0", "~ x", "~ (1 | g)", "~ offset(x)"])
def test_small_predictors(text):
    predictor = build(parse("y ~ x + (1 | g)"), DATA, further={"zero": parse_predictor(text)}).predictors[1]
    assert predictor.X.shape == (N, len(predictor.exog_names))
    assert len(predictor.random) == text.count("|")


def test_structured_terms_of_a_predictor():
    (term,) = parse_predictor("~ x + diag(0 + f | g)").random
    assert (term.structure, term.text) == ("diag", "diag(0 + f | g)")


@pytest.mark.parametrize("text", ["y ~ x", "x", "1", ""])
def test_a_predictor_has_no_response(text):
    with pytest.raises(FormulaError, match="This predictor has no response"):
        parse_predictor(text)


def test_infinite_columns_of_a_predictor_name_it():
    data = DATA.assign(w=np.where(DATA.index == 3, np.inf, 1.0))
    with pytest.raises(DataError, match="Column 'w' of the fixed effects of zero is infinite in 1 row"):
        build(parse("y ~ x + (1 | g)"), data, further={"zero": parse_predictor("~ w")})


def test_models_name_the_link_of_their_mean():
    herds = mixfit.datasets.load("cbpp")
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial(probit)")
    assert [(p.name, p.link.name) for p in model.design.predictors] == [("mean", "probit")]
    sleep = mixfit.datasets.load("sleepstudy")
    assert mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).design.mean.link is None
