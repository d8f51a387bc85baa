"""Results of the dense fits against estimates by lme4 2.1.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.tables.layout import shown
from tests.fitted import models

REFERENCE = json.loads((Path(__file__).parent / "golden" / "lme4" / "reference.json").read_text())["fits"]
BUILD = {
    "pulp": models.pulp,
    "sleepstudy_slope": models.sleepstudy,
    "sleepstudy_zerocorr": models.sleepstudy_zerocorr,
    "dyestuff2_singular": models.dyestuff2,
    "penicillin_crossed": models.penicillin_plates,
    "pastes_sample": models.pastes,
}
# lme4's column (1 | sample) is the interaction batch:cask under another name
RENAMED = {"sample": "batch:cask"}


@pytest.mark.parametrize("name", REFERENCE)
def test_fit_agrees(name: str) -> None:
    wanted: dict[str, Any] = REFERENCE[name]
    model = BUILD[name.rsplit("_", 1)[0]]()
    renamed = RENAMED if name.startswith("pastes") else {}
    fit = model.fit(reml=wanted["reml"])
    assert_allclose(fit.llf, wanted["loglik"], atol=1e-6)
    assert_allclose([fit.aic, fit.bic], [wanted["aic"], wanted["bic"]], atol=2e-6)
    assert fit.df_resid == wanted["df_resid"]
    assert fit.is_singular is wanted["singular"]
    assert_allclose(fit.sigma, wanted["sigma"], rtol=1e-4)
    assert_allclose(fit.params, np.atleast_1d(wanted["fixef"]), rtol=1e-6)
    assert_allclose(fit.bse, np.atleast_1d(wanted["se"]), rtol=1e-4)
    assert_allclose(fit.fittedvalues.iloc[:10], wanted["fitted_head"], rtol=1e-4)
    assert_allclose(fit.resid.iloc[:10], wanted["resid_head"], atol=1e-3 * fit.sigma)
    frame = fit.varcorr().to_frame()
    rows = [[None if v is None else shown(v) for v in row] for row in frame[["var1", "var2"]].to_numpy()]
    assert rows == [[row["var1"], row["var2"]] for row in wanted["varcorr"]]
    assert frame["grp"].tolist() == [renamed.get(row["grp"], row["grp"]) for row in wanted["varcorr"]]
    assert_allclose(frame["sdcor"], [row["sdcor"] for row in wanted["varcorr"]], rtol=1e-3, atol=1e-4)
    both = fit.ranef(condsd=True)
    assert list(both) == [renamed.get(group, group) for group in wanted["ranef"]]
    for group, reference in wanted["ranef"].items():
        mine = both[renamed.get(group, group)]
        # the reference keeps the first levels only
        levels = np.atleast_1d(reference["levels"]).tolist()
        mine = mine.loc[levels]
        modes = np.asarray(reference["values"], dtype=float).reshape(len(levels), -1)
        assert_allclose(mine["mode"], modes, atol=1e-3 * np.abs(modes).max() + 1e-12)
        if reference["sd"] is not None:
            sd = np.asarray(reference["sd"], dtype=float)
            assert_allclose(mine["sd"], sd.reshape(mine["sd"].shape), rtol=1e-3, atol=1e-6)
