"""``python -m tests.simulation.sizes``: how often tests at 5 % reject true hypotheses, by the number of groups.

Intercepts and slopes vary between groups of unequal sizes; half of the groups have ``arm`` 1, the others 0:

    y_ij = 1 + 0 arm_j + 0 x_ij + b_j + c_j x_ij + e_ij,    b_j ~ N(0, 1), c_j ~ N(0, 0.25), e_ij ~ N(0, 1).

It is the table of docs/p_values.md.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import mixfit
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.wald import t_tails
from tests.simulation.study import LEVEL, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["EFFECTS", "GROUPS", "METHODS", "design", "sizes"]

METHODS = ("z", "residual", "satterthwaite", "kenward-roger", "auto")
GROUPS = (5, 10, 20)
EFFECTS = ("arm", "x")
ROWS = (3, 5, 7, 9, 11)


def design(groups: int) -> pd.DataFrame:
    """Rows of `groups` groups, of 3, 5, 7, 9, 11, 3, ... rows."""
    rows = np.resize(ROWS, groups)
    g = np.repeat(np.arange(groups), rows)
    x = np.concatenate([np.linspace(-1.0, 1.0, m) for m in rows])
    return pd.DataFrame({"g": g.astype(str), "arm": (g % 2).astype(float), "x": x, "code": g})


def responses(frame: pd.DataFrame, n: int, rng: np.random.Generator) -> Array:
    """Responses of `n` data sets under the hypotheses, shape (n, rows)."""
    groups, code, x = frame["code"].max() + 1, frame["code"].to_numpy(), frame["x"].to_numpy()
    b, c = rng.normal(size=(n, groups)), 0.5 * rng.normal(size=(n, groups))
    return 1.0 + b[:, code] + c[:, code] * x + rng.normal(size=(n, len(frame)))


def sizes(groups: int, n: int, seed: int) -> dict[str, dict[str, Share]]:
    """How often each method rejects at 5 %, by method and effect."""
    frame, rng = design(groups), np.random.default_rng(seed)
    y = responses(frame, n, rng)
    model = mixfit.mixed("y ~ arm + x + (x | g)", frame.assign(y=y[0]))
    L = np.eye(3)[1:]
    rejected = {method: np.zeros(len(EFFECTS), dtype=int) for method in METHODS}
    for one in y:
        fit = model.with_response(one).fit()
        for method in METHODS:
            tests = contrast_tests(fit, L, method)
            rejected[method] += t_tails(tests.estimate / tests.se, tests.df) <= LEVEL
    return {
        method: {effect: Share(int(count), n) for effect, count in zip(EFFECTS, counts, strict=True)}
        for method, counts in rejected.items()
    }


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.sizes", description=__doc__)
    parser.add_argument("--n", type=int, default=2000, help="data sets of each number of groups")
    options = parser.parse_args()
    print("| groups | effect |", " | ".join(METHODS), "|")
    print("| --: | --- |", " --: |" * len(METHODS))
    for groups in GROUPS:
        shares = sizes(groups, options.n, seed=groups)
        for effect in EFFECTS:
            cells = " | ".join(str(shares[method][effect]) for method in METHODS)
            print(f"| {groups} | `{effect}` |", cells, "|", flush=True)


if __name__ == "__main__":
    main()
