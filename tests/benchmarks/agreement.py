"""Whether the rivals found the same optimum: a fast wrong answer wins nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Agreement", "compare"]

# Log-likelihoods of rivals that stop on a tolerance of their own; the second for the rounding of large sums.
LOGLIK_ABSOLUTE, LOGLIK_RELATIVE = 1e-3, 1e-9


@dataclass(frozen=True)
class Agreement:
    """The largest differences from mixfit's answer.

    Attributes
    ----------
    rival : str
    loglik : float
        The rival's log-likelihood less mixfit's.
    estimates : float
        Coefficients and their standard errors, in standard errors.
    ok : bool
        Whether both are negligible.
    """

    rival: str
    loglik: float
    estimates: float
    ok: bool

    def __str__(self) -> str:
        verdict = "agrees" if self.ok else "**DIFFERS**"
        return (
            f"{self.rival} {verdict} (log-likelihood {self.loglik:+.1e}, "
            f"estimates within {self.estimates:.1e} standard errors)"
        )


def compare(answers: Mapping[str, Mapping[str, Any]], tolerance: float = 1e-3) -> list[Agreement]:
    """Compare each rival's last answer with mixfit's.

    Parameters
    ----------
    answers : mapping
    tolerance : float
        For coefficients and for standard errors themselves, in standard errors.
    """
    ours = answers["mixfit"]
    agreements = []
    for rival, theirs in answers.items():
        if rival == "mixfit":
            continue
        loglik = theirs["loglik"] - ours["loglik"]
        same_length = len(theirs["beta"]) == len(ours["beta"])
        estimates = (
            max(
                max(abs(b - a), abs(t - s)) / s
                for a, s, b, t in zip(ours["beta"], ours["se"], theirs["beta"], theirs["se"], strict=True)
            )
            if same_length
            else float("inf")
        )
        ok = abs(loglik) <= LOGLIK_ABSOLUTE + LOGLIK_RELATIVE * abs(ours["loglik"]) and estimates <= tolerance
        agreements.append(Agreement(rival, loglik, estimates, ok))
    return agreements
