"""What the tests of criteria and gradients share."""

from __future__ import annotations

import pytest

from mixfit.glmm import pirls


@pytest.fixture
def sharp_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conditional modes to the last digit, so that differences of the criterion are clean."""
    monkeypatch.setattr(pirls, "_DECREMENT", 1e-19)
