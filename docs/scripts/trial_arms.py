"""The figure of trial_arms.md: estimates of ten event rates, and the profile of their precision.

    python docs/scripts/trial_arms.py

from the root of a checkout writes docs/images/trial_arms.png (which needs matplotlib).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixfit
from mixfit.rates.profile import profile_loglik

EVENTS = [22, 34, 27, 48, 29, 49, 23, 45, 17, 34]
PATIENTS = 100
# 95 % point of chi-square with one degree of freedom.
FALL = 3.841


def arms() -> pd.DataFrame:
    """The ten arms."""
    return pd.DataFrame({"arm": list("ABCDEFGHIJ"), "events": EVENTS, "patients": PATIENTS})


def fits() -> tuple[Any, Any, Any]:
    """The beta-binomial by marginal and by joint likelihood, and the logit-normal mixed model."""
    data = arms()
    marginal = mixfit.beta_binomial("events", "patients", data, by="arm")
    joint = mixfit.beta_binomial("events", "patients", data, by="arm", method="joint")
    formula = "cbind(events, patients - events) ~ 1 + (1 | arm)"
    return marginal, joint, mixfit.mixed(formula, data, family="binomial").fit(n_agq=25)


def profile(fit: Any, precisions: np.ndarray) -> np.ndarray:
    """How far twice the log-likelihood has fallen at each precision, the mean being at its best."""
    values = [profile_loglik(fit.units, fit.family.link, fit.estimate, 1, float(np.log(s))) for s in precisions]
    return 2.0 * (fit.llf - np.array(values))


def draw_rates(axis: Any, marginal: Any, joint: Any, glmm: Any) -> None:
    """Four estimates of each arm's rate, with the credible interval of the marginal fit."""
    rates = marginal.rates()
    at = np.arange(len(rates))
    axis.axvline(marginal.mean, color="0.6", linestyle="--", linewidth=1)
    axis.hlines(at, rates["lower"], rates["upper"], color="C0", linewidth=5, alpha=0.25, label="95 % credible interval")
    axis.plot(rates["raw"], at, "o", markerfacecolor="white", markeredgecolor="0.2", label="raw rate")
    axis.plot(joint.rates()["mode"], at - 0.18, "v", color="C3", markersize=5, label="joint likelihood")
    axis.plot(rates["mean"], at, "o", color="C0", label="beta-binomial, posterior mean")
    axis.plot(glmm.fittedvalues, at + 0.18, "^", color="C2", markersize=5, label="mixed model (logit-normal)")
    axis.set_yticks(at, rates.index)
    # Room for the legend below the last arm.
    axis.set_ylim(len(rates) + 2.3, -0.7)
    axis.set_xlabel("event rate")
    axis.set_ylabel("arm")
    axis.legend(loc="lower center", ncols=2, fontsize="small", frameon=False)
    axis.set_title(f"Rates: drawn to their mean of {marginal.mean:.2f}")


def draw_precision(axis: Any, marginal: Any) -> None:
    """The profile of the precision, with its interval and Wald's."""
    grid = np.geomspace(4.5, 95.0, 120)
    axis.plot(grid, profile(marginal, grid), color="C0")
    axis.axhline(FALL, color="0.6", linestyle="--", linewidth=1)
    axis.axvline(0.0, color="0.8", linewidth=1)
    for method, height, color in (("profile", FALL, "C0"), ("wald", 5.0, "C1")):
        lower, upper = marginal.conf_int(method=method).loc["precision"]
        axis.plot([lower, upper], [height, height], "|-", color=color, linewidth=2, markersize=12)
        text = f"{'Wald' if method == 'wald' else 'profile'}: {lower:.1f} to {upper:.1f}"
        middle = (0.5 * (lower + upper), height)
        axis.annotate(text, middle, xytext=(0, 6), textcoords="offset points", ha="center", color=color)
    axis.plot(marginal.precision, 0.0, "o", color="C0")
    axis.set_xlim(-8.0, 100.0)
    axis.set_ylim(-0.2, 7.0)
    axis.set_xlabel("precision s")
    axis.set_ylabel("fall of twice the log-likelihood")
    axis.set_title("Precision: two intervals of 95 %")


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(
        description="Ten trial arms: estimates of rates, and the profile of the precision."
    )
    default = Path(__file__).parents[1] / "images" / "trial_arms.png"
    parser.add_argument("--figure", type=Path, default=default, help="where to write the figure")
    options = parser.parse_args()
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    marginal, joint, glmm = fits()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=(1.25, 1), layout="constrained")
    draw_rates(left, marginal, joint, glmm)
    draw_precision(right, marginal)
    figure.savefig(options.figure, dpi=130)


if __name__ == "__main__":
    main()
