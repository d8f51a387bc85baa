"""Random linear models fitted and judged: ``python -m tests.benchmarks.random_models 2000``.

Each fit is compared with the best of eight optima of the dense criterion (`tests.dense_optimum`); printed are those
that are worse or not converged, what was refused, and how many evaluations the fits took.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np

import mixfit
from mixfit.errors import MixfitError
from tests.dense_optimum import DenseCriterion, best_of_eight
from tests.random_models import RandomModel, random_model

__all__ = ["Verdict", "judge"]

# Of -2 log-likelihood: a difference that no one would see in any estimate.
WORSE = 1e-5


@dataclass(frozen=True)
class Verdict:
    """How a fit compares.

    Attributes
    ----------
    model : RandomModel
    excess : float
        The fit's criterion less the best of eight.
    converged : bool
    n_evaluations : int
    """

    model: RandomModel
    excess: float
    converged: bool
    n_evaluations: int

    def __str__(self) -> str:
        state = "" if self.converged else ", not converged"
        return f"{self.model}: {self.excess:+.3g} in {self.n_evaluations} evaluations{state}"


def judge(drawn: RandomModel) -> Verdict:
    """Fit a model and the dense criterion."""
    model = mixfit.mixed(drawn.formula, drawn.data, **drawn.options)
    fit = model.fit(reml=drawn.reml)
    dense = DenseCriterion(model.design, drawn.reml)
    own = dense(dense.theta(fit.estimate.templates))[0]
    best = best_of_eight(dense, drawn.seed)[0]
    return Verdict(drawn, own - best, fit.converged, fit.certificate.n_evaluations)


def main(argv: list[str] | None = None) -> int:
    """Judge as many models as asked for; 1 where any is worse or not converged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    asked = parser.parse_args(argv)
    verdicts: list[Verdict] = []
    refused: Counter[str] = Counter()
    for seed in range(asked.first, asked.first + asked.count):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verdicts.append(judge(random_model(seed)))
        except MixfitError as error:
            refused[type(error).__name__] += 1
    worse = [v for v in verdicts if v.excess > WORSE]
    stopped = [v for v in verdicts if not v.converged]
    for verdict in {id(v): v for v in worse + stopped}.values():
        print(verdict)
    evaluations = [v.n_evaluations for v in verdicts]
    print(
        f"{len(verdicts)} models: {len(worse)} worse than the best of eight by {WORSE}, {len(stopped)} not converged; "
        f"the other optimizer worse in {sum(v.excess < -WORSE for v in verdicts)}; evaluations median "
        f"{np.median(evaluations):g}, largest {max(evaluations)}; refused {dict(refused)}"
    )
    return int(bool(worse or stopped))


if __name__ == "__main__":
    raise SystemExit(main())
