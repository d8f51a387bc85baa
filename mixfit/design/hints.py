"""What to write for names that R's formulas know and Python's do not."""

from __future__ import annotations

import re

import numpy as np

__all__ = ["hint_for"]

_INSTEAD = {
    "FALSE": "Python writes False.",
    "TRUE": "Python writes True.",
    "c": "Python writes a list: [a, b].",
    "ifelse": "Write np.where(condition, a, b).",
    "ns": "A natural cubic spline is cr(x, df=3, constraints='center').",
    "ordered": "Write C(x, contr.poly), of a categorical column whose categories stand in order.",
    "pd": "Pass pandas by context={'pd': pandas}.",
    "relevel": "Write C(x, contr.treatment('level')), which makes 'level' the baseline.",
    "weights": "Weights are an argument: mixed(formula, data, weights='column').",
}


def hint_for(name: str, formula: str) -> str | None:
    """Say what to write for `name`, which nothing provides and `formula` asks for; None where nothing comes to mind."""
    if name in _INSTEAD:
        return _INSTEAD[name]
    if not re.search(rf"(?<![\w.`]){re.escape(name)}\s*\(", formula):
        return None
    if callable(getattr(np, name, None)):
        return f"numpy's function is np.{name}(...)."
    return f"There is no such function either; one of your own is passed by context={{{name!r}: {name}}}."
