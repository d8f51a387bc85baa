"""Responses that random and fixed effects explain exactly: one refusal, whatever the terms and the method."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.lmm import problem
from tests.random_models import random_model


def layout() -> pd.DataFrame:
    """12 groups of 6 rows, and effects of them: constant, along x, of halves, beside those of a crossed factor."""
    rng = np.random.default_rng(0)
    g, h, k = np.repeat(np.arange(12), 6), rng.integers(0, 5, 72), np.tile([0, 0, 0, 1, 1, 1], 12)
    x, z = rng.normal(size=(2, 72))
    effects, slopes, others = rng.normal(size=12)[g], rng.normal(size=12)[g], rng.normal(size=5)[h]
    columns = {
        "constant": effects,
        "sloped": effects + x * slopes,
        "both": effects + others,
        "nested": rng.normal(size=24)[2 * g + k],
        "shifted": 1e6 + effects,
        "rounded": effects * (1.0 + 1e-16 * rng.normal(size=72)),
        "covered": 2.0 + 0.5 * x + effects,
    }
    groups = {"g": g.astype(str), "h": h.astype(str), "k": k.astype(str)}
    return pd.DataFrame({**columns, **groups, "x": x, "z": z, "weight": rng.uniform(0.1, 9.0, 72)})


MODELS = [
    "constant ~ 1 + (1|g)",
    "constant ~ x + (1|g)",
    "constant ~ x + (x|g)",
    "constant ~ x + (x||g)",
    "constant ~ x + z + (1|g) + (1|h)",
    "constant ~ x + (1|g/k)",
    "constant ~ x + cs(x|g)",
    "sloped ~ x + (x|g)",
    "sloped ~ z + (x||g)",
    "sloped ~ x + (x|g) + (1|h)",
    "both ~ x + (1|g) + (1|h)",
    "both ~ x * z + (1|g) + (x|h)",
    "nested ~ x + (1|g/k)",
    "shifted ~ x + (1|g)",
    "rounded ~ x + (1|g)",
    "covered ~ x + z + (1|g)",
]


@pytest.mark.parametrize("formula", MODELS)
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("weights", [None, "weight"])
def test_refused_by_name(formula: str, reml: bool, weights: str | None) -> None:
    name = formula.split(" ")[0]
    model = mixfit.mixed(formula, layout(), weights=weights)
    with pytest.raises(FitError, match=f"explain the response '{name}' exactly"):
        model.fit(reml=reml)


@pytest.mark.parametrize("seed", [63, 136])
def test_beside_a_minimum(seed: int) -> None:
    """A search that ends at a minimum with a residual has not seen that the criterion falls without end elsewhere."""
    drawn = random_model(seed)
    design = mixfit.mixed(drawn.formula, drawn.data, **drawn.options).design
    rng = np.random.default_rng(seed)
    y = np.zeros(len(drawn.data))
    for term in design.random:
        effects = rng.normal(size=(term.grouping.n_levels, term.Z.shape[1])) / np.abs(term.Z).max(axis=0)
        y += (term.Z * effects[term.grouping.codes]).sum(axis=1)
    model = mixfit.mixed(drawn.formula, drawn.data.assign(y=y), weights=drawn.options.get("weights"))
    with pytest.raises(FitError, match="explain the response 'y' exactly"):
        model.fit(reml=drawn.reml)


def test_a_little_noise_is_a_residual() -> None:
    data = layout()
    noise = np.random.default_rng(1).normal(size=72)
    X = np.column_stack([np.equal.outer(data["g"].to_numpy(), data["g"].unique()), data["x"]]).astype(float)
    rest = noise - X @ np.linalg.lstsq(X, noise, rcond=None)[0]
    fit = mixfit.mixed("y ~ x + (1|g)", data.assign(y=data["constant"] + 1e-9 * noise)).fit()
    assert fit.converged
    assert fit.sigma == pytest.approx(1e-9 * np.sqrt((rest**2).sum() / (72 - 13)), rel=1e-3)


def test_the_rows_of_other_fits_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(problem, "is_explained", asked)
    data = layout().assign(y=lambda d: d["both"] + d["z"])
    for formula in ("y ~ x + (1|g)", "y ~ x + (x|g) + (1|h)", "y ~ 1 + (x||g)"):
        assert mixfit.mixed(formula, data).fit().converged
    with pytest.raises(AssertionError):
        mixfit.mixed("constant ~ x + (1|g)", data).fit()
