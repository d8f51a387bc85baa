"""Standard errors and degrees of freedom of many responses against those of each by itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.lmm.assemble import assemble
from mixfit.lmm.batch.estimate import Batch
from mixfit.model.linear import LinearMixedModel
from tests.lmm.test_batch import DESIGNS, responses


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", sorted(set(DESIGNS) - {"no fixed effects"}))
def test_errors_and_degrees_of_freedom_are_those_of_the_single_fit(
    name: str, reml: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The single fitter stops at 1e-4 standard errors: let it go on as far as the batch.
    monkeypatch.setattr("mixfit.lmm.minimize.TOLERANCE", 1e-13)
    n, design = 12, DESIGNS[name]()
    y, batch = responses(design, n), Batch.of(assemble(design), design.offset)
    assert batch is not None
    found, errors = batch.fit_with_errors(y, reml=reml)
    p = found.beta.shape[1]
    L = np.vstack([np.eye(p), np.ones(p)])
    variances, df = errors.satterthwaite(np.broadcast_to(L, (n, p + 1, p)))
    model, singular = LinearMixedModel("y ~ x", design), 0
    for r in range(n):
        fit = model.with_response(y[:, r]).fit(reml=reml)
        wanted = contrast_tests(fit, L, "satterthwaite")
        size = np.outer(fit.bse, fit.bse)
        assert_allclose(errors.root[r] @ errors.root[r].T / size, fit.estimate.cov_beta / size, atol=1e-5)
        assert_allclose(np.sqrt(variances[r]), wanted.se, rtol=1e-5)
        assert_allclose(df[r], wanted.df, rtol=1e-4)
        singular += fit.is_singular
    assert singular
