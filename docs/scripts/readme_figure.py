"""The figure of README.md: reaction times of a subject a panel, and the lines of the mixed model.

Run from a checkout: ``python docs/scripts/readme_figure.py``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

import mixfit

PICTURE = Path(__file__).resolve().parent.parent / "images" / "fitted_lines.png"


def main() -> None:
    """Draw it."""
    mpl.use("Agg")
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    axes = fit.plot.fitted_lines("Days", sort=True, within=True)
    figure = axes.flat[0].figure
    figure.set_size_inches(9.0, 4.5)
    figure.supxlabel("days with little sleep", fontsize="medium")
    figure.supylabel("reaction time (ms)", fontsize="medium")
    figure.savefig(PICTURE, dpi=90)


if __name__ == "__main__":
    main()
