"""Every Gaussian reference fit against lme4 2.1.0."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit

DATA = Path(__file__).parent / "data"
REFERENCE = json.loads((DATA / "lme4_gaussian.json").read_text())
FITS: dict[str, dict[str, Any]] = REFERENCE["fits"]

every = pytest.mark.parametrize("name", FITS)


@cache
def load(name: str, bundled: bool) -> pd.DataFrame:
    if bundled:
        return mixfit.datasets.load(name)
    levels = REFERENCE["factor_levels"][name]
    data = pd.read_csv(DATA / f"{name}.csv", dtype=dict.fromkeys(levels, str))
    return data.assign(**{c: pd.Categorical(data[c], categories=order) for c, order in levels.items()})


@cache
def fitted(name: str) -> mixfit.results.LinearResults:
    ref = FITS[name]
    return mixfit.mixed(ref["formula"], load(ref["data"], ref["bundled"])).fit(reml=ref["reml"])


def canonical(name: str) -> str:
    """One spelling for R's and formulaic's names."""
    name = re.sub(r"C\((\w+)(, [\w.]+)?\)", r"\1", name).replace("**", "^").replace(" ", "")
    name = re.sub(r"\[(?:[TS]\.)?([^\]]*)\]", r"\1", name)
    return ":".join(sorted({"(Intercept)": "Intercept"}.get(part, part) for part in name.split(":")))


def group(name: str) -> frozenset[str]:
    """A grouping factor whatever the order of its parts; lme4 numbers repeated ones."""
    return frozenset(re.sub(r"\.\d+$", "", name).split(":"))


@every
def test_counts_and_criteria(name: str) -> None:
    fit, ref = fitted(name), FITS[name]
    assert fit.nobs == ref["n"]
    assert fit.df_resid == ref["df_resid"]
    assert fit.is_singular is ref["singular"]
    # The optimum of both, to the flatness of an optimum.
    assert_allclose(fit.deviance, ref["criterion"], rtol=0, atol=2e-6)
    assert_allclose(fit.llf, ref["loglik"], rtol=0, atol=1e-6)
    assert_allclose(fit.aic, ref["aic"], rtol=0, atol=2e-6)
    assert_allclose(fit.bic, ref["bic"], rtol=0, atol=2e-6)


@every
def test_certificate_raises_no_false_alarm(name: str) -> None:
    fit = fitted(name)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 12
    assert len(fit.certificate.boundary) == (1 if fit.is_singular else 0)


@every
def test_fixed_effects(name: str) -> None:
    fit, ref = fitted(name), FITS[name]
    ours = {canonical(n): (b, s) for n, b, s in zip(fit.params.index, fit.params, fit.bse, strict=True)}
    theirs = {canonical(n): (b, s) for n, b, s in zip(ref["fixef_names"], ref["fixef"], ref["se"], strict=True)}
    if "sum" in name:
        # R numbers the columns of sum contrasts, formulaic names the level.
        ours = dict(zip(theirs, ours.values(), strict=True))
    assert ours.keys() == theirs.keys()
    for n, (beta, se) in theirs.items():
        assert abs(ours[n][0] - beta) < 1e-4 * se
        # lme4's optimum of InstEval leaves its standard errors four digits.
        assert_allclose(ours[n][1], se, rtol=2e-4)


@every
def test_variance_components(name: str) -> None:
    fit, ref = fitted(name), FITS[name]
    assert_allclose(fit.sigma, ref["sigma"], rtol=1e-4)
    frame = fit.varcorr().to_frame()
    ours = {
        (group(row.grp), frozenset(canonical(v) for v in (row.var1, row.var2) if isinstance(v, str))): row
        for row in frame.itertuples()
    }
    theirs = {
        (group(v["grp"]), frozenset(canonical(x) for x in (v["var1"], v["var2"]) if x)): v for v in ref["varcorr"]
    }
    assert ours.keys() == theirs.keys()
    for key, v in theirs.items():
        assert_allclose(ours[key].sdcor, v["sdcor"], rtol=1e-3, atol=1e-4)
        assert_allclose(ours[key].vcov, v["vcov"], rtol=2e-3, atol=1e-6)


@every
def test_theta(name: str) -> None:
    assert_allclose(fitted(name).theta, FITS[name]["theta"], rtol=1e-3, atol=1e-4)


@every
def test_conditional_modes(name: str) -> None:
    fit, ref = fitted(name), FITS[name]
    ours = {group(k): (k.split(":"), table) for k, table in fit.ranef().items()}
    assert len(ours) == len(ref["ranef"])
    for g, wanted in ref["ranef"].items():
        parts, table = ours[group(g)]
        order = [g.split(":").index(p) for p in parts]
        table = table.set_axis(table.index.astype(str)).rename(columns=canonical)
        scale = np.abs(wanted["values"]).max() + 1e-8
        for level, row in zip(wanted["levels"], wanted["values"], strict=True):
            # Labels of a single factor may hold a colon of their own.
            pieces = str(level).split(":") if len(parts) > 1 else [str(level)]
            key = ":".join(pieces[i] for i in order)
            got = table.loc[key, [canonical(c) for c in wanted["columns"]]]
            assert_allclose(got.to_numpy(float), row, rtol=0, atol=1e-3 * scale)
