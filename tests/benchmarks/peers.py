"""Random models of applied work fitted here, by lme4 and by glmmTMB: ``python -m tests.benchmarks.peers 2000``.

One R process fits all of them. Printed are the fits here that are worse than a peer's, not converged, or stopped by an
error that is not typed, and how many evaluations the fits took. Linear fits are compared by the criterion here at
lme4's theta; all by glmmTMB's log-likelihood, where it says that it is at an optimum.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import mixfit
from mixfit.errors import MixfitError
from mixfit.model.linear import LinearMixedModel
from tests.peer_models import PeerModel, peer_model

__all__ = ["Found", "Verdict", "judge", "peers_of"]

# Of -2 log-likelihood: at one criterion, and between two programs' inner optimizations.
WORSE = 1e-5
WORSE_LIKELIHOOD = 1e-4


@dataclass(frozen=True)
class Found:
    """What the peers found; nothing where they found nothing.

    Attributes
    ----------
    theta : ndarray
        lme4's.
    loglik : float
        glmmTMB's.
    """

    theta: np.ndarray
    loglik: float


@dataclass(frozen=True)
class Verdict:
    """How a fit compares.

    Attributes
    ----------
    model : PeerModel
    over_lme4, over_glmmtmb : float
        -2 log-likelihood of the fit here less the peer's; NaN where there is nothing to compare with.
    converged : bool
    n_evaluations : int
    """

    model: PeerModel
    over_lme4: float
    over_glmmtmb: float
    converged: bool
    n_evaluations: int

    @property
    def is_worse(self) -> bool:
        """Than any peer's."""
        return self.over_lme4 > WORSE or self.over_glmmtmb > WORSE_LIKELIHOOD

    def __str__(self) -> str:
        state = "" if self.converged else ", not converged"
        return (
            f"{self.model}: {self.over_lme4:+.3g} over lme4, {self.over_glmmtmb:+.3g} over glmmTMB in "
            f"{self.n_evaluations} evaluations{state}"
        )


def peers_of(models: list[PeerModel], directory: Path) -> list[Found]:
    """What lme4 and glmmTMB make of every model."""
    for m in models:
        m.data.to_csv(directory / f"{m.seed}.csv", index=False, float_format="%.17g")
    rows = [(m.seed, m.formula, m.family, m.zi, m.reml) for m in models]
    pd.DataFrame(rows, columns=["seed", "formula", "family", "zi", "reml"]).to_csv(
        directory / "models.csv", index=False
    )
    subprocess.run(["Rscript", str(Path(__file__).with_name("peers.R")), str(directory)], check=True)
    found = pd.read_csv(
        directory / "found.csv", dtype={"theta": str}, keep_default_na=False, na_values={"loglik": "NA"}
    )
    return [
        Found(np.array(theta.split(), dtype=float), float(loglik))
        for theta, loglik in zip(found["theta"], found["loglik"], strict=True)
    ]


def judge(drawn: PeerModel, found: Found) -> Verdict:
    """Fit a model and compare."""
    if drawn.family != "gaussian":
        zi = {"zi": drawn.zi} if drawn.zi else {}
        general = mixfit.mixed(drawn.formula, drawn.data, drawn.family, **zi).fit()
        certificate = general.certificate
        over = -2.0 * (general.llf - found.loglik)
        return Verdict(drawn, np.nan, over, certificate.converged, certificate.n_evaluations)
    model = mixfit.mixed(drawn.formula, drawn.data)
    assert isinstance(model, LinearMixedModel)
    fit = model.fit(reml=drawn.reml)
    over_lme4 = np.nan
    if len(found.theta):
        over_lme4 = model.criterion(fit.theta, reml=drawn.reml) - model.criterion(found.theta, reml=drawn.reml)
    over_glmmtmb = -2.0 * (fit.llf - found.loglik)
    return Verdict(drawn, over_lme4, over_glmmtmb, fit.converged, fit.certificate.n_evaluations)


def main(argv: list[str] | None = None) -> int:
    """Compare as many models as asked for; 1 where any fit is worse, not converged or stopped by an untyped error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=2000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    asked = parser.parse_args(argv)
    if shutil.which("Rscript") is None:
        raise SystemExit("Rscript is not installed.")
    models = [peer_model(seed) for seed in range(asked.first, asked.first + asked.count)]
    with tempfile.TemporaryDirectory() as directory:
        peers = peers_of(models, Path(directory))
    verdicts: list[Verdict] = []
    refused: Counter[str] = Counter()
    untyped = 0
    for drawn, found in zip(models, peers, strict=True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verdicts.append(judge(drawn, found))
        except MixfitError as error:
            refused[type(error).__name__] += 1
        # Whatever else is raised is what is counted.
        except Exception as error:
            untyped += 1
            print(f"{drawn}: {type(error).__name__}: {error}")
    wrong = [v for v in verdicts if v.is_worse or not v.converged]
    for verdict in wrong:
        print(verdict)
    n_worse, n_stopped = sum(v.is_worse for v in verdicts), sum(not v.converged for v in verdicts)
    evaluations = [v.n_evaluations for v in verdicts]
    print(
        f"{len(verdicts)} models: {n_worse} worse, {n_stopped} not converged, {untyped} untyped errors; lme4 worse in "
        f"{sum(v.over_lme4 < -WORSE for v in verdicts)}, glmmTMB in "
        f"{sum(v.over_glmmtmb < -WORSE_LIKELIHOOD for v in verdicts)}; evaluations median {np.median(evaluations):g}, "
        f"largest {max(evaluations)}; refused {dict(refused)}"
    )
    return int(bool(wrong or untyped))


if __name__ == "__main__":
    raise SystemExit(main())
