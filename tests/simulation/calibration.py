"""``python -m tests.simulation.calibration``: are posteriors calibrated?

Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari & Gelman 2018, arXiv:1804.06788): parameters are drawn
from the prior, data from the parameters, and draws from the posterior of these data. The rank of a parameter among its
own draws is uniform if and only if the posterior is right on average over the prior. A posterior too narrow has ranks
near both ends too often; a biased one, near one of them.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

import mixfit
from mixfit.bayes import Decov, Exponential, HalfNormal, InvWishart, Normal, Priors, StudentT
from tests.simulation.study import LEVEL, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["KINDS", "Kind", "Ranks", "ranks"]

# Draws among which ranks are counted, and how many are made for each: those of chains depend on their neighbours, and
# ranks among such are too often near the ends.
_COUNTED, _THINNING = 99, {"auto": 4, "hmc": 4, "gibbs": 20}
# Draws from a prior that are too few to be made.
_FEWEST = 40


@dataclass(frozen=True)
class Kind:
    """A model whose posterior is to be right.

    Attributes
    ----------
    formula, data : str
        Of a bundled data set, whose response is replaced.
    method : str
    priors : Priors
    family : str, optional
    """

    formula: str
    data: str
    method: str
    priors: Priors
    family: str = "gaussian"

    def fit(self) -> Any:
        """The model, fitted to the data as they are."""
        return mixfit.mixed(self.formula, mixfit.datasets.load(self.data), family=self.family).fit()


KINDS = {
    "one level": Kind(
        "bright ~ 1 + (1 | operator)",
        "pulp",
        "auto",
        Priors(intercept=Normal(60, 1), sigma=Exponential(2.0), covariance=Decov()),
    ),
    "slopes": Kind(
        "Reaction ~ Days + (Days | Subject)",
        "sleepstudy",
        "auto",
        Priors(
            intercept=StudentT(5, 300, 50),
            fixed=Normal(0, 10),
            sigma=Exponential(0.05),
            covariance=InvWishart(5, scale=((400.0, 0.0), (0.0, 25.0))),
        ),
    ),
    "crossed": Kind(
        "diameter ~ 1 + (1 | plate) + (1 | sample)",
        "penicillin_plates",
        "auto",
        Priors(intercept=Normal(23, 2), sd=HalfNormal(1.0), sigma=Exponential(2.0)),
    ),
    "binomial": Kind(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        "cbpp",
        "auto",
        Priors(intercept=Normal(-1, 1), fixed=Normal(0, 1), sd=HalfNormal(1.0)),
        "binomial",
    ),
    "Poisson": Kind(
        "incidence ~ 1 + (1 | herd)",
        "cbpp",
        "hmc",
        Priors(intercept=Normal(0.5, 0.5), sd=HalfNormal(0.7)),
        "poisson",
    ),
    "probit": Kind(
        "I(incidence > 1) ~ 1 + (1 | herd)",
        "cbpp",
        "gibbs",
        Priors(intercept=Normal(0, 1), covariance=InvWishart(4, scale=0.5)),
        "binomial(probit)",
    ),
}


@dataclass(frozen=True)
class Ranks:
    """Ranks of the parameters of one kind, as shares of the draws that are smaller.

    Attributes
    ----------
    share : DataFrame, shape (n, parameters)
        Uniform on 0, 1 / 99, ..., 1.
    worst_r_hat : float
    """

    share: pd.DataFrame
    worst_r_hat: float

    def table(self) -> pd.DataFrame:
        """The share of ranks at either end, and Kolmogorov and Smirnov's p-value of uniformity, by parameter."""
        # A rank spread evenly over its own interval is continuous.
        rng = np.random.default_rng(0)
        even = (self.share * _COUNTED + rng.random(self.share.shape)) / (_COUNTED + 1)
        n = len(even)
        rows = {
            name: {
                "lowest": Share(int((u < LEVEL).sum()), n),
                "highest": Share(int((u > 1.0 - LEVEL).sum()), n),
                "p": float(stats.kstest(u, "uniform").pvalue),
            }
            for name, u in even.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")


def ranks(kind: Kind, n: int, seed: int) -> Ranks:
    """Ranks in `n` simulated data sets."""
    fit, each = kind.fit(), _COUNTED * _THINNING[kind.method]
    truth = fit.sample(kind.priors, prior_only=True, draws=max(n, _FEWEST), chains=1, seed=seed)
    parameters, responses = truth.to_frame().iloc[:n], truth.simulate(seed=seed + 1).to_numpy()[:, :n]
    shares, worst = np.empty(parameters.shape), 0.0
    for i, (own, y) in enumerate(zip(parameters.to_numpy(), responses.T, strict=True)):
        again = fit.refit(y)
        drawn = again.sample(kind.priors, draws=4 * -(-each // 4), seed=seed + 2 + i, method=kind.method)
        worst = max(worst, float(drawn.summary()["r_hat"].max()))
        counted = drawn.to_frame().to_numpy()[:: _THINNING[kind.method]][:_COUNTED]
        shares[i] = (counted < own).mean(axis=0)
    return Ranks(pd.DataFrame(shares, columns=parameters.columns), worst)


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.calibration", description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="data sets of each kind of model")
    parser.add_argument("--only", choices=KINDS, action="append", help="kinds of models, all by default")
    options = parser.parse_args()
    print("| model | method | parameter | lowest 5 % of ranks | highest 5 % | p of uniformity | worst R-hat |")
    print("| --- | --- | --- | --: | --: | --: | --: |")
    for seed, name in enumerate(options.only or KINDS):
        kind = KINDS[name]
        found = ranks(kind, options.n, seed)
        for parameter, row in found.table().iterrows():
            cells = f"{row['lowest']} | {row['highest']} | {row['p']:.3f} | {found.worst_r_hat:.3f}"
            print(f"| {name} | {kind.method} | `{parameter}` | {cells} |", flush=True)


if __name__ == "__main__":
    main()
