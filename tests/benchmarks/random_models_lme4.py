"""Random linear models fitted here and by lme4: ``python -m tests.benchmarks.random_models_lme4 200``.

One R process fits all of them. Both thetas are judged by the criterion of the model here: printed are the models in
which lme4's is lower, and how many there are of either kind.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import mixfit
from mixfit.errors import MixfitError
from mixfit.model.linear import LinearMixedModel
from tests.benchmarks.random_models import WORSE
from tests.random_models import RandomModel, random_model

__all__ = ["excess", "lme4_thetas"]


def lme4_thetas(models: list[RandomModel], directory: Path) -> list[np.ndarray]:
    """Theta of every model in lme4's order; empty where lme4 refuses."""
    rows = []
    for m in models:
        m.data.to_csv(directory / f"{m.seed}.csv", index=False, float_format="%.17g")
        options = {name: m.options.get(name, "") for name in ("weights", "offset")}
        rows.append({"seed": m.seed, "formula": m.formula, "reml": m.reml, **options})
    pd.DataFrame(rows).to_csv(directory / "models.csv", index=False)
    script = Path(__file__).with_name("random_models.R")
    subprocess.run(["Rscript", str(script), str(directory)], check=True)
    found = pd.read_csv(directory / "theta.csv", keep_default_na=False)["theta"]
    return [np.array(text.split(), dtype=float) for text in found.astype(str)]


def excess(drawn: RandomModel, theta: np.ndarray) -> float:
    """The criterion of the fit here less that of `theta`."""
    model = mixfit.mixed(drawn.formula, drawn.data, **drawn.options)
    assert isinstance(model, LinearMixedModel)
    fit = model.fit(reml=drawn.reml)
    return model.criterion(fit.theta, reml=drawn.reml) - model.criterion(theta, reml=drawn.reml)


def main(argv: list[str] | None = None) -> int:
    """Compare as many models as asked for; 1 where lme4 has a lower criterion in any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first model")
    asked = parser.parse_args(argv)
    if shutil.which("Rscript") is None:
        raise SystemExit("Rscript is not installed.")
    models = [random_model(seed) for seed in range(asked.first, asked.first + asked.count)]
    with tempfile.TemporaryDirectory() as directory:
        thetas = lme4_thetas(models, Path(directory))
    differences = []
    for drawn, theta in zip(models, thetas, strict=True):
        if not len(theta):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                differences.append(excess(drawn, theta))
        except MixfitError:
            continue
        if differences[-1] > WORSE:
            print(f"{drawn}: {differences[-1]:+.3g}")
    found = np.array(differences)
    print(
        f"{len(found)} models fitted by both: lme4 lower by more than {WORSE} in {(found > WORSE).sum()}, "
        f"higher in {(found < -WORSE).sum()}"
    )
    return int((found > WORSE).any())


if __name__ == "__main__":
    raise SystemExit(main())
