"""Random generalized models fitted and judged: ``python -m tests.benchmarks.random_generalized 500``.

Each fit is compared with the best optimum that another optimizer finds from several starts (`tests.laplace_optimum`).
Printed are those that are worse or not converged, what was refused, and how many evaluations the fits took.
With ``--peers FOLDER`` they are written there with their models, and
``Rscript tests/benchmarks/random_generalized.R FOLDER`` says in which lme4 or glmmTMB finds a higher likelihood.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import mixfit
from mixfit.errors import FitError, MixfitError
from mixfit.glmm.given import points_at
from mixfit.glmm.problem import GeneralizedParameters
from tests.laplace_optimum import RawCriterion, best_optimum
from tests.random_generalized import RandomGeneralized, random_generalized

__all__ = ["Verdict", "judge"]

# Of -2 log-likelihood: what L-BFGS-B leaves, and what no one would see in any estimate.
WORSE = 1e-4


@dataclass(frozen=True)
class Verdict:
    """How a fit compares.

    Attributes
    ----------
    model : RandomGeneralized
    excess : float
        The fit's criterion less the best optimum.
    converged : bool
    n_evaluations : int
    loglik : float
    """

    model: RandomGeneralized
    excess: float
    converged: bool
    n_evaluations: int
    loglik: float

    @property
    def is_wrong(self) -> bool:
        """Whether it is worse, or not converged."""
        return self.excess > WORSE or not self.converged

    def __str__(self) -> str:
        state = "" if self.converged else ", not converged"
        return f"{self.model}: {self.excess:+.3g} in {self.n_evaluations} evaluations{state}"


def judge(drawn: RandomGeneralized, n_starts: int = 6) -> Verdict:
    """Fit a model, and search for better optima."""
    model = mixfit.mixed(drawn.formula, drawn.data, drawn.family)
    fit = model.fit(n_agq=drawn.n_agq)
    own, assembly = fit.estimate, model.assembly
    at = GeneralizedParameters(points_at(assembly, own.theta), assembly.fixed.triangle @ own.beta, own.phi, own.shape)
    best = best_optimum(RawCriterion(assembly.problem, drawn.n_agq), at, drawn.seed, n_starts)
    return Verdict(drawn, own.criterion - best, fit.converged, fit.certificate.n_evaluations, fit.llf)


def write(verdicts: list[Verdict], folder: Path) -> None:
    """Data and log-likelihoods for the peers."""
    folder.mkdir(parents=True, exist_ok=True)
    for v in verdicts:
        v.model.data.to_csv(folder / f"{v.model.seed}.csv", index=False)
    rows = [(v.model.seed, v.model.formula, v.model.family, v.model.n_agq, v.loglik) for v in verdicts]
    pd.DataFrame(rows, columns=["seed", "formula", "family", "n_agq", "loglik"]).to_csv(
        folder / "models.csv", index=False
    )


def main(argv: list[str] | None = None) -> int:
    """Judge as many models as asked for; 1 where any is worse or not converged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=500)
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    parser.add_argument("--starts", type=int, default=6, help="of the other optimizer, the fit among them")
    parser.add_argument("--peers", type=Path, help="a folder to write the models to, for the peers")
    asked = parser.parse_args(argv)
    verdicts: list[Verdict] = []
    refused: Counter[str] = Counter()
    for seed in range(asked.first, asked.first + asked.count):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verdicts.append(judge(random_generalized(seed), asked.starts))
        except FitError as error:
            refused[str(error).split(":")[0].split(".")[0][:80]] += 1
        except MixfitError as error:
            refused[type(error).__name__] += 1
    for verdict in verdicts:
        if verdict.is_wrong:
            print(verdict)
    if asked.peers:
        write(verdicts, asked.peers)
    evaluations = [v.n_evaluations for v in verdicts]
    print(
        f"{len(verdicts)} models: {sum(v.excess > WORSE for v in verdicts)} worse than the best of {asked.starts} by "
        f"{WORSE}, {sum(not v.converged for v in verdicts)} not converged; the other optimizer worse in "
        f"{sum(v.excess < -WORSE for v in verdicts)}; evaluations median {np.median(evaluations):g}, 95 % "
        f"{np.percentile(evaluations, 95):g}, largest {max(evaluations)}; refused {dict(refused)}"
    )
    return int(any(v.is_wrong for v in verdicts))


if __name__ == "__main__":
    raise SystemExit(main())
