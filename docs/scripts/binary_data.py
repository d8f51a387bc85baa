"""How far four approximations are off on binary data in small clusters: the table and the figure of binary_data.md.

    python docs/scripts/binary_data.py

from the root of a checkout prints the table and writes docs/images/binary_data.png (which needs matplotlib). The
design is that of Rodriguez and Goldman (1995), with two levels instead of three: one covariate varies within
clusters, another between them, both with a coefficient of 1 on the logit scale.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import mixfit
from mixfit.errors import BiasWarning

SIZES = (2, 3, 5, 10, 20)
CLUSTERS = 200
SD = 2.0
REPLICATES = 50
SEED = 1995
METHODS = {
    "PQL": {"method": "pql"},
    "n_agq=0": {"n_agq": 0},
    "Laplace": {"n_agq": 1},
    "n_agq=20": {"n_agq": 20},
}
# The true value of every estimate that the study looks at.
TRUTH = {"SD": SD, "within": 1.0, "between": 1.0}


def simulate(size: int, rng: np.random.Generator) -> pd.DataFrame:
    """Binary responses of CLUSTERS clusters of one size: logit P(y = 1) = within + between + SD u."""
    cluster = np.repeat(np.arange(CLUSTERS), size)
    within = rng.normal(size=len(cluster))
    between = rng.normal(size=CLUSTERS)[cluster]
    eta = within + between + SD * rng.normal(size=CLUSTERS)[cluster]
    y = (rng.random(len(cluster)) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"y": y, "within": within, "between": between, "cluster": cluster})


def estimates(data: pd.DataFrame) -> list[dict[str, object]]:
    """Estimates over their true values, a row a method."""
    model = mixfit.mixed("y ~ within + between + (1|cluster)", data, family="binomial")
    out = []
    for name, options in METHODS.items():
        with warnings.catch_warnings():
            # The bias of PQL is what this is about.
            warnings.simplefilter("ignore", BiasWarning)
            fit = model.fit(**options)
        if not fit.converged:
            raise RuntimeError(f"{name} did not converge: {fit.certificate.message}")
        found = {"SD": fit.theta[0], "within": fit.params["within"], "between": fit.params["between"]}
        out.append({"method": name, **{key: found[key] / true for key, true in TRUTH.items()}})
    return out


def study(sizes: tuple[int, ...] = SIZES, replicates: int = REPLICATES) -> pd.DataFrame:
    """Every method's estimates of every data set, over their true values."""
    seeds = np.random.SeedSequence(SEED).spawn(len(sizes) * replicates)
    rows = []
    for number, seed in enumerate(seeds):
        size = sizes[number // replicates]
        rows += [{"size": size, **row} for row in estimates(simulate(size, np.random.default_rng(seed)))]
    return pd.DataFrame(rows)


def averages(rows: pd.DataFrame) -> pd.DataFrame:
    """Means of the ratios, and the simulation's standard errors of these means, by size and method."""
    groups = rows.groupby(["size", "method"], sort=False)
    return pd.concat({"mean": groups.mean(), "error": groups.sem()}, axis=1)


def table(rows: pd.DataFrame) -> str:
    """The averages as a Markdown table: mean ± standard error."""
    lines = [f"| cluster size | method | {' | '.join(TRUTH)} |", f"| --: | :-- | {' | '.join(['--:'] * len(TRUTH))} |"]
    for (size, method), row in averages(rows).iterrows():
        cells = [f"{row['mean', key]:.2f} ± {row['error', key]:.2f}" for key in TRUTH]
        lines.append(f"| {size} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def marginal_slope() -> float:
    """Slope of the average over clusters, over that within one: Zeger, Liang and Albert (1988, Biometrics 44)."""
    return float(1.0 / np.sqrt(1.0 + (16.0 * np.sqrt(3.0) / (15.0 * np.pi) * SD) ** 2))


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Ratios of estimates to their true values against the size of the clusters, a panel each."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    means = averages(rows)
    titles = {
        "SD": f"SD of the clusters (true: {SD:g})",
        "within": "slope within clusters (true: 1)",
        "between": "slope between clusters (true: 1)",
    }
    styles = dict(zip(METHODS, [("o", "#D55E00"), ("v", "#E69F00"), ("s", "#0072B2"), ("D", "#009E73")], strict=True))
    sizes = rows["size"].unique()
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True, layout="constrained")
    for axis, (key, title) in zip(axes, titles.items(), strict=True):
        axis.axhline(1.0, color="0.4", linewidth=1)
        for place, (method, (marker, color)) in enumerate(styles.items()):
            own = means.xs(method, level="method")
            # Side by side, so that no error bar hides another.
            at = np.arange(len(sizes)) + 0.12 * (place - 1.5)
            axis.errorbar(
                at, own["mean", key], 2.0 * own["error", key], label=method, marker=marker, color=color, capsize=2
            )
        axis.set_xticks(np.arange(len(sizes)), [str(size) for size in sizes])
        axis.set_title(title)
        axis.set_xlabel("observations a cluster")
        axis.grid(axis="y", alpha=0.3)
    axes[0].set_ylabel("mean estimate / true value")
    axes[0].legend(loc="lower right", title="method")
    figure.savefig(path, dpi=130)


def main() -> None:
    """Print the table, then draw the figure."""
    parser = argparse.ArgumentParser(description="Four approximations on binary data in small clusters.")
    parser.add_argument("--replicates", type=int, default=REPLICATES, help=f"data sets a size (default {REPLICATES})")
    default = Path(__file__).parents[1] / "images" / "binary_data.png"
    parser.add_argument("--figure", type=Path, default=default, help="where to write the figure")
    options = parser.parse_args()
    rows = study(replicates=options.replicates)
    print(table(rows))
    print(f"\nA slope of 1 within clusters is one of {marginal_slope():.2f} in the average over clusters.")
    draw(rows, options.figure)


if __name__ == "__main__":
    main()
