"""What the tests of criteria and gradients share."""

from __future__ import annotations

import pytest

from mixfit.glmm import joint, pirls


@pytest.fixture
def sharp_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conditional modes to the last digit, so that differences of the criterion are clean."""
    for module in (pirls, joint):
        monkeypatch.setattr(module, "_DECREMENT", 1e-19)
