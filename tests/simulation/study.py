"""Type-I error of the tests and coverage of the intervals, on a design with few groups.

Six groups of five rows; a covariate that differs between groups, and one that varies within them:

    y_ij = 1 + 0 between_j + within_ij + b_j + e_ij,      b_j ~ N(0, sd^2), e_ij ~ N(0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import chi2

import mixfit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["INTERVALS", "LEVEL", "TESTS", "Share", "coverages", "design", "error_rates"]

LEVEL = 0.05
TESTS = ("likelihood ratio", "Satterthwaite", "Kenward-Roger", "parametric bootstrap")
INTERVALS = ("wald", "profile", "bootstrap")
N_GROUPS, N_ROWS = 6, 5


@dataclass(frozen=True)
class Share:
    """A share of simulated data sets.

    Attributes
    ----------
    count, n : int
    """

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.n

    @property
    def error(self) -> float:
        """Its standard error."""
        return float(np.sqrt(self.value * (1.0 - self.value) / self.n))

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} ± {100 * self.error:.1f} %"


def design() -> pd.DataFrame:
    """The rows without a response."""
    group = np.repeat(np.arange(N_GROUPS), N_ROWS)
    within = np.tile(np.linspace(-1.0, 1.0, N_ROWS), N_GROUPS)
    return pd.DataFrame({"g": group.astype(str), "between": group % 2 - 0.5, "within": within})


def responses(frame: pd.DataFrame, sd: float, n: int, rng: np.random.Generator) -> Array:
    """Responses of `n` data sets, shape (n, rows)."""
    b = sd * rng.normal(size=(n, N_GROUPS)).repeat(N_ROWS, axis=1)
    return 1.0 + frame["within"].to_numpy() + b + rng.normal(size=b.shape)


def error_rates(sd: float, n: int, n_bootstrap: int, seed: int) -> dict[str, Share]:
    """How often each test rejects the true hypothesis that groups do not differ by `between`, at 5 %."""
    frame, rng = design(), np.random.default_rng(seed)
    large = mixfit.mixed("y ~ within + between + (1|g)", frame.assign(y=0.0 + rng.normal(size=len(frame))))
    small = mixfit.mixed("y ~ within + (1|g)", frame.assign(y=large.endog))
    rejected = dict.fromkeys(TESTS, 0)
    for y in responses(frame, sd, n, rng):
        model, null = large.with_response(y), small.with_response(y)
        m1, m0 = model.fit(reml=False), null.fit(reml=False)
        r1, r0 = model.fit(), null.fit()
        p = {
            "likelihood ratio": float(chi2.sf(2.0 * (m1.llf - m0.llf), 1)),
            "Satterthwaite": float(mixfit.sat_modcomp(r1, r0)["p.value"].iloc[0]),
            "Kenward-Roger": float(mixfit.kr_modcomp(r1, r0)["p.value"].iloc[0]),
            "parametric bootstrap": mixfit.pb_modcomp(m1, m0, n=n_bootstrap, seed=rng, progress=False).pvalue,
        }
        for name in TESTS:
            rejected[name] += p[name] <= LEVEL
    return {name: Share(count, n) for name, count in rejected.items()}


def coverages(sd: float, n: int, n_bootstrap: int, seed: int) -> dict[str, dict[str, Share]]:
    """How often each 95 % interval holds the true value, by interval and parameter."""
    frame, rng = design(), np.random.default_rng(seed)
    model = mixfit.mixed("y ~ within + between + (1|g)", frame.assign(y=0.0 + rng.normal(size=len(frame))))
    truth = pd.Series({"between": 0.0, "within": 1.0, "sd((Intercept)|g)": sd, "sigma": 1.0})
    held = {method: pd.Series(0, truth.index) for method in INTERVALS}
    for y in responses(frame, sd, n, rng):
        fit = model.with_response(y).fit()
        limits = {
            "wald": fit.conf_int(method="wald", which="all", ddf="z"),
            "profile": fit.conf_int(method="profile", which="all"),
            "bootstrap": fit.bootstrap(n=n_bootstrap, seed=rng, progress=False).conf_int(),
        }
        for method, frame_of_limits in limits.items():
            own = frame_of_limits.loc[truth.index].to_numpy(dtype=float)
            held[method] += (own[:, 0] <= truth) & (truth <= own[:, 1])
    return {method: {name: Share(int(count), n) for name, count in own.items()} for method, own in held.items()}
