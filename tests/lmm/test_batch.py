"""Many responses fitted together against the single fitter, and the batch's derivatives against its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.lmm import criterion, derivatives
from mixfit.lmm.assemble import Assembly, assemble, with_response
from mixfit.lmm.batch.estimate import Batch
from mixfit.lmm.batch.frame import Frame, directions, frame
from mixfit.lmm.batch.moments import distinct_levels, moments
from mixfit.lmm.batch.profile import evaluate
from mixfit.lmm.batch.slopes import differentiate, gradient, information
from mixfit.lmm.estimate import estimate
from tests.random_designs import Sketch

DESIGNS = {
    "penicillin": lambda: from_formula("penicillin", "yield ~ treat + (1|blend)"),
    "pulp": lambda: from_formula("pulp", "bright ~ 1 + (1|operator)"),
    "sleepstudy": lambda: from_formula("sleepstudy", "Reaction ~ Days + (Days|Subject)"),
    "sleepstudy diagonal": lambda: from_formula("sleepstudy", "Reaction ~ Days + (Days||Subject)"),
    "uneven scalar": lambda: Sketch(3, "uneven", 50, ((1, "us"),), p=2).design(),
    "uneven vector": lambda: Sketch(5, "uneven", 60, ((2, "us"),), p=2).design(),
    "no fixed effects": lambda: Sketch(8, "single", 60, ((1, "us"), (2, "us")), p=0).design(),
    "weights and offset": lambda: Sketch(2, "single", 60, ((2, "us"),), p=3, weights=True, offset=True).design(),
    "three columns": lambda: Sketch(6, "single", 80, ((3, "us"),), p=2).design(),
}
designs = pytest.mark.parametrize("name", DESIGNS)
methods = pytest.mark.parametrize("reml", [True, False])


def from_formula(data: str, formula: str):
    return mixfit.mixed(formula, mixfit.datasets.load(data)).design


def responses(design, n: int, seed: int = 1):
    """Noise about the mean: a good part of the estimates is on the boundary."""
    rng = np.random.default_rng(seed)
    effects = 0.0
    for term in design.random:
        size = np.sqrt((term.Z**2).mean(axis=0))
        b = 0.3 * rng.standard_normal((term.grouping.n_levels, term.Z.shape[1], n)) / size[:, None]
        effects = effects + np.einsum("nk,nkr->nr", term.Z, b[term.grouping.codes])
    return design.X.sum(axis=1, keepdims=True) + effects + rng.standard_normal((len(design.y), n))


@designs
@methods
def test_every_estimate_is_that_of_the_single_fitter(name: str, reml: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # The single fitter stops at 1e-4 standard errors: let it go on as far as the batch.
    monkeypatch.setattr("mixfit.lmm.minimize.TOLERANCE", 1e-13)
    design = DESIGNS[name]()
    assembly = assemble(design)
    y = responses(design, 25)
    many = Batch.of(assembly, design.offset).fit(y, reml=reml)
    assert many.failures == ("",) * 25
    boundary = 0
    for r in range(25):
        one = estimate(with_response(assembly, replace(design, y=y[:, r])), reml=reml)
        assert_allclose(many.criterion[r], one.criterion, rtol=0, atol=1e-8)
        assert_allclose(many.sigma[r], one.sigma, rtol=1e-6)
        assert_allclose(many.beta[r], one.beta, rtol=1e-6, atol=1e-6)
        for term, t, wanted in zip(design.random, many.templates, one.templates, strict=True):
            size = np.sqrt((term.Z**2).mean(axis=0))
            scale = np.outer(size, size)
            assert np.array_equal(t[r], np.tril(t[r]))
            assert_allclose(scale * (t[r] @ t[r].T), scale * (wanted @ wanted.T), rtol=1e-6, atol=1e-6)
            # The boundary is reached, not approached.
            assert np.array_equal(t[r].any(axis=0), wanted.any(axis=0))
            boundary += int(not t[r].any(axis=0).all())
    assert boundary > 0


@methods
def test_the_single_fitter_as_it_is_agrees_in_the_criterion(reml: bool) -> None:
    fit = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy")).fit(reml=reml)
    y = fit.simulate(30, seed=4).to_numpy()
    many = Batch.of(fit.model._assembly, None).fit(y, reml=reml)
    single = np.array([fit.refit(y[:, r]).estimate.criterion for r in range(30)])
    assert (many.criterion <= single + 1e-10).all()
    assert_allclose(many.criterion, single, rtol=0, atol=1e-6)


def test_replicates_do_not_depend_on_their_company() -> None:
    design = DESIGNS["uneven vector"]()
    y = responses(design, 40)
    batch = Batch.of(assemble(design), None)
    every, some = batch.fit(y, reml=True), batch.fit(y[:, 10:15], reml=True)
    assert_allclose(some.criterion, every.criterion[10:15], rtol=0, atol=1e-10)
    assert_allclose(some.templates[0], every.templates[0][10:15], rtol=1e-7, atol=1e-9)


def test_balanced_one_way_reml_is_the_analysis_of_variance() -> None:
    """sigma^2 = MSE and sigma_1^2 = max((MSA - MSE) / n, 0), pooled on the boundary (Searle et al. 1992, 4.6)."""
    design = DESIGNS["pulp"]()
    y = responses(design, 60)
    many = Batch.of(assemble(design), None).fit(y, reml=True)
    codes, a, n = design.random[0].grouping.codes, 4, 5
    means = np.stack([y[codes == j].mean(axis=0) for j in range(a)])
    between = n * ((means - means.mean(axis=0)) ** 2).sum(axis=0)
    within = ((y - means[codes]) ** 2).sum(axis=0)
    inside = between / (a - 1) > within / (a * (n - 1))
    assert 0 < inside.sum() < 60
    sigma2 = np.where(inside, within / (a * (n - 1)), (between + within) / (a * n - 1))
    assert_allclose(many.sigma**2, sigma2, rtol=1e-6)
    variance = np.where(inside, (between / (a - 1) - sigma2) / n, 0.0)
    assert_allclose((many.templates[0][:, 0, 0] * many.sigma) ** 2, variance, rtol=0, atol=1e-6)


def test_levels_of_equal_design_count_once() -> None:
    balanced = distinct_levels(assemble(DESIGNS["sleepstudy"]()).problem)
    assert balanced.count.tolist() == [18.0]
    uneven = assemble(DESIGNS["uneven scalar"]()).problem
    levels = distinct_levels(uneven)
    sizes = np.bincount(DESIGNS["uneven scalar"]().random[0].grouping.codes)
    assert sorted(levels.gram[0, 0]) == sorted(set(sizes))
    assert_allclose(levels.count @ levels.gram[0, 0], 50)
    assert_allclose(levels.xx.sum(axis=-1)[0, 0], uneven.gram.border[0][0, :-1] @ uneven.gram.border[0][0, :-1].T)


def _point(name: str, null: int, reml: bool):
    """A batch at random templates, the last `null` columns of the frame without variance, and the same one by one."""
    design = DESIGNS[name]()
    assembly: Assembly = assemble(design)
    y = responses(design, 4) if design.offset is None else responses(design, 4) + design.offset[:, None]
    known = y if design.offset is None else y - design.offset[:, None]
    levels = distinct_levels(assembly.problem)
    found = moments(assembly, levels, known)
    rng = np.random.default_rng(7)
    k = levels.k
    start = frame(rng.normal(size=(k, k, 4)) * _within(levels.blocks, k)[:, :, None], levels.blocks)
    lengths = start.lengths.copy()
    lengths[k - null :] = 0.0
    here = Frame(start.axes, lengths)
    at = evaluate(found.moments, here.templates, reml=reml)
    ones = []
    for r in range(4):
        problem = with_response(assembly, replace(design, y=y[:, r])).problem
        t = [here.templates[term.columns, term.columns, r] for term in problem.terms]
        ones.append(criterion.evaluate(problem, t, reml=reml))
    return found.moments, here, at, ones


def _within(blocks, k: int):
    inside = np.zeros((k, k))
    for b in blocks:
        inside[b, b] = 1.0
    return inside


@designs
@methods
def test_criterion_gradient_and_information_are_those_of_the_single_fitter(name: str, reml: bool) -> None:
    held, here, at, ones = _point(name, 0, reml)
    toward = directions(held.levels.blocks)
    weights = toward.weights(here)
    slopes = differentiate(held, at, here)
    g, h = gradient(slopes, toward, weights), information(slopes, toward, weights)
    for r, one in enumerate(ones):
        assert_allclose(at.value[r], one.value, rtol=1e-12)
        wanted = derivatives.differentiate(one)
        first = [held.levels.problem.terms[d.term].first for d in wanted.directions]
        order = [(d.row + f, d.column + f) for d, f in zip(wanted.directions, first, strict=True)]
        own = [order.index(pair) for pair in zip(toward.row.tolist(), toward.column.tolist(), strict=True)]
        size = np.abs(wanted.gradient).max()
        assert_allclose(g[:, r], wanted.gradient[own], rtol=1e-8, atol=1e-9 * size)
        assert_allclose(h[:, :, r], wanted.information[np.ix_(own, own)], rtol=1e-8, atol=1e-9 * size)


@pytest.mark.parametrize(
    ("name", "null"), [("penicillin", 1), ("sleepstudy", 1), ("sleepstudy", 2), ("uneven vector", 1)]
)
@methods
def test_slopes_off_the_boundary_are_those_in_the_variance(name: str, null: int, reml: bool) -> None:
    held, here, at, ones = _point(name, null, reml)
    slopes = differentiate(held, at, here)
    basis = here.axes * np.where(here.null, 1.0, here.lengths)
    for r, one in enumerate(ones):
        assert_allclose(at.value[r], one.value, rtol=1e-12)
        wanted = derivatives.differentiate(one)
        n_t, b = wanted.absolute[0], basis[:, :, r]
        assert_allclose(slopes.slope[:, :, r], b.T @ n_t @ b, rtol=1e-9, atol=1e-10 * np.abs(n_t).max())
        # The one-sided derivative itself, by differences of the criterion in the variance.
        v, last = 1e-6, b[:, -1]
        root = one.templates[0].copy()
        root[:, -1] = np.sqrt(v) * last
        moved = criterion.evaluate(one.problem, [root], reml=reml)
        assert_allclose((moved.value - one.value) / v, slopes.slope[-1, -1, r], rtol=2e-3, atol=2e-3)


def test_failures_are_told_apart() -> None:
    design = DESIGNS["penicillin"]()
    codes = design.random[0].grouping.codes
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(20)
    y = np.stack([noise, design.X @ [1.0, 2.0, 3.0, 4.0], rng.standard_normal(5)[codes], noise], axis=1)
    many = Batch.of(assemble(design), None).fit(y, reml=True)
    assert many.failures[0] == many.failures[3] == ""
    assert "fixed effects explain the response perfectly" in many.failures[1]
    assert "random effects explain the response exactly" in many.failures[2]
    assert many.sigma[0] == pytest.approx(many.sigma[3], rel=1e-12)


def test_crossed_factors_and_many_distinct_levels_are_fitted_one_by_one() -> None:
    crossed = mixfit.mixed("diameter ~ 1 + (1|plate) + (1|sample)", mixfit.datasets.load("penicillin_plates"))
    assert Batch.of(crossed._assembly, None) is None
    rng = np.random.default_rng(1)
    n = 16000
    data = pd.DataFrame({"y": rng.standard_normal(n), "x": rng.standard_normal(n), "g": np.arange(n) // 4})
    assert Batch.of(mixfit.mixed("y ~ x + (x|g)", data)._assembly, None) is None
    # All levels alike: their number does not matter.
    assert Batch.of(mixfit.mixed("y ~ x + (1|g)", data)._assembly, None).block > 100
