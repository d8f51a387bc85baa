from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixfit.covariance.unstructured import Unstructured
from mixfit.errors import FormulaError
from mixfit.fitted.re_form import select
from mixfit.matrices.types import Grouping, RandomDesign

G = Grouping("g", np.array([0, 1]), pd.Index(["a", "b"]))
GH = Grouping("g:h", np.array([0, 1]), pd.Index(["a:c", "b:c"]))


def random(group: Grouping, *columns: str, text: str = "") -> RandomDesign:
    return RandomDesign(group, columns, np.ones((2, len(columns))), Unstructured(len(columns)), text)


MODEL = (
    random(G, "Intercept", "x", "f[T.b]", "f[T.c]", text="(x + f | g)"),
    random(GH, "Intercept", text="(1 | g:h)"),
    random(G, "np.log(z)", "x:f[T.b]", text="(0 + np.log(z) + x:f | g)"),
)
ALL, NONE = "1111 1 11", "0000 0 00"


def kept(re_form: object) -> str:
    return " ".join("".join(str(int(k)) for k in keep) for keep in select(re_form, MODEL))


@pytest.mark.parametrize(
    ("re_form", "wanted"),
    [
        (None, ALL),
        ("population", NONE),
        (False, NONE),
        ("~0", NONE),
        ("~ 0", NONE),
        (" NA ", NONE),
        (float("nan"), NONE),
        (pd.NA, NONE),
        ([], NONE),
        ("g", "1111 0 11"),
        (["g"], "1111 0 11"),
        (["g:h"], "0000 1 00"),
        (("h:g",), "0000 1 00"),
        (["g", "g:h"], ALL),
        ("(1|g)", "1000 0 00"),
        ("1 | g", "1000 0 00"),
        ("~(1 | g)", "1000 0 00"),
        ("~ (x|g)", "1100 0 00"),
        ("(0 + x | g)", "0100 0 00"),
        ("(x - 1 | g)", "0100 0 00"),
        ("(f || g)", "1011 0 00"),
        ("(0 + f:x | g)", "0000 0 01"),
        ("(0 + np.log(z) | g)", "0000 0 10"),
        ("~(x+f|g)", "1111 0 00"),
        ("(1 | g/h)", "1000 1 00"),
        ("~ (1 | g) + (1 | g:h)", "1000 1 00"),
        ("0 + (1 | g:h)", "0000 1 00"),
        (["(0 + x | g)", "g:h"], "0100 1 00"),
    ],
)
def test_what_is_kept(re_form: object, wanted: str) -> None:
    assert kept(re_form) == wanted


@pytest.mark.parametrize(
    ("re_form", "message"),
    [
        ("(1 | k)", r"\(1 \| k\).*does not have.*\(Intercept \| g:h\)"),
        ("(w | g)", r"\(w \| g\)"),
        (["k"], "asks for k"),
        ("(x | g:h)", r"\(x \| g:h\)"),
        ("(1 | g", "parenthesis"),
        ("(1 | g) + x", "'x' is not a random term"),
        ("(x +* 2 | g)", "cannot read"),
        (3, "must be None"),
        (True, "must be None"),
    ],
)
def test_what_the_model_does_not_have(re_form: object, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        select(re_form, MODEL)
