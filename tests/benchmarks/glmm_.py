"""glmm from PyPI, a Rust engine.

It runs with ``satterthwaite=False`` and ``anova_test="Wald"``: neither mixfit nor lme4 computes degrees of
freedom or refits smaller models. The standard errors are those that the other two report: given theta for a
Gaussian model (``wald_se="rx"``), from the Hessian of all parameters for another one. Each setting makes glmm
a little faster than its default.
"""

from __future__ import annotations

import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from tests.benchmarks.cases import Case
    from tests.benchmarks.worker import Model

NAME = "glmm"


def version() -> str | None:
    """Return the version that would run; None where glmm is not installed."""
    try:
        return metadata.version("glmm")
    except metadata.PackageNotFoundError:
        return None


def takes(case: Case) -> bool:
    """Tell whether it fits such models, by that method."""
    return case.classical


def command(directory: Path) -> list[str]:
    """Return how to start the child process, but for its last arguments."""
    return [sys.executable, "-m", "tests.benchmarks.glmm_", str(directory)]


def estimate(frame: pd.DataFrame, model: Model) -> tuple[Any, Any, Any]:
    """From a data frame and a formula to estimates with standard errors."""
    import glmm

    gaussian = model.family == "gaussian"
    fit = glmm.fit(
        frame,
        model.formula,
        model.family,
        nagq=model.n_agq,
        reml=model.reml if gaussian else None,
        satterthwaite=False,
        wald_se="rx" if gaussian else "hessian",
        anova_test="Wald",
    )
    return fit, fit.beta, fit.se


def describe(fit: Any) -> dict[str, Any]:
    """Return log-likelihood and effort."""
    return {
        "loglik": float(fit.loglik),
        # Counted apart by glmm: values of the criterion, and gradients of it.
        "evaluations": int(fit.n_eval) + int(fit.n_grad),
        "converged": bool(fit.converged),
    }


if __name__ == "__main__":
    from tests.benchmarks.worker import serve

    serve(estimate, describe)
