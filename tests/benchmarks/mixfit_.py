"""mixfit itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from tests.benchmarks.cases import Case
    from tests.benchmarks.worker import Model

NAME = "mixfit"


def version() -> str | None:
    """Return the version that would run."""
    import mixfit

    return mixfit.__version__


def takes(case: Case) -> bool:
    """Tell whether it fits such models, by that method."""
    return True


def command(directory: Path) -> list[str]:
    """Return how to start the child process, but for its last arguments."""
    return [sys.executable, "-m", "tests.benchmarks.mixfit_", str(directory)]


def estimate(frame: pd.DataFrame, model: Model) -> tuple[Any, Any, Any]:
    """From a data frame and a formula to estimates with standard errors."""
    import mixfit

    made = mixfit.mixed(model.formula, frame, family=model.family, zi=model.zi, dispersion=model.dispersion)
    fit = made.fit(reml=model.reml) if model.family == "gaussian" else made.fit(n_agq=model.n_agq)
    return fit, fit.params, fit.bse


def describe(fit: Any) -> dict[str, Any]:
    """Return log-likelihood and effort."""
    return {
        "loglik": float(fit.llf),
        "evaluations": int(fit.certificate.n_evaluations),
        "converged": bool(fit.converged),
    }


if __name__ == "__main__":
    from tests.benchmarks.worker import serve

    serve(estimate, describe)
