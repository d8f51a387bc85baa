"""What is said of a response that the fixed effects separate: which level, and what it is compared with."""

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError

N = 200
RNG = np.random.default_rng(0)
DATA = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "g": np.arange(N) % 10,
        "f": np.array(list("abc"))[np.arange(N) % 3],
        "h": np.array(list("pq"))[(np.arange(N) // 3) % 2],
    }
)
Y = (RNG.uniform(size=N) < 0.5).astype(int)


@pytest.mark.parametrize(
    ("fixed", "where", "message"),
    [
        ("x + f", DATA.f == "c", r"level 'c' of 'f' \(the baseline is 'a'\)\.$"),
        ("x + f", DATA.f == "a", r"level 'a' of 'f' \(the baseline is 'a'\)\.$"),
        ("0 + f", DATA.f == "c", r"level 'c' of 'f'\.$"),
        ("f", DATA.f != "a", r"levels 'b', 'c' of 'f' \(the baseline is 'a'\)\.$"),
        ("C(f, contr.sum) + x", DATA.f == "c", r"level 'c' of 'C\(f, contr\.sum\)'\.$"),
        ("C(f, contr.treatment('b'))", DATA.f == "c", r"level 'c' of .* \(the baseline is 'b'\)\.$"),
        ("f*h + x", (DATA.f == "c") & (DATA.h == "q"), r"cell 'c':'q' of 'f:h' \(the baseline is 'a':'p'\)\.$"),
        ("f*h + x", (DATA.f == "a") & (DATA.h == "p"), r"cell 'a':'p' of 'f:h' \(the baseline is 'a':'p'\)\.$"),
        ("f:h", (DATA.f == "c") & (DATA.h == "q"), r"cell 'c':'q' of 'f:h'"),
        ("f*h", DATA.f == "c", r"level 'c' of 'f' \(the baseline is 'a'\)\.$"),
        ("I(x > 0)", DATA.x > 0, r"level True of 'I\(x > 0\)' \(the baseline is False\)\.$"),
    ],
)
@pytest.mark.parametrize("end", [0, 1])
def test_separation_names_the_level_and_the_baseline(fixed, where, message, end):
    model = mixfit.mixed(f"y ~ {fixed} + (1|g)", DATA.assign(y=np.where(where, end, Y)), family="binomial")
    with pytest.raises(FitError, match=r"separates the response 'y'.* One outcome only: " + message):
        model.fit()


def test_counts_that_are_zero_in_a_level():
    data = DATA.assign(y=np.where(DATA.f == "b", 0, RNG.poisson(3.0, N)))
    with pytest.raises(FitError, match=r"One outcome only: level 'b' of 'f' \(the baseline is 'a'\)"):
        mixfit.mixed("y ~ f + x + (1|g)", data, family="poisson").fit()


def test_a_covariate_has_no_levels():
    with pytest.raises(FitError, match=r"'x' separates the response 'y'.*rows that overlap\.$"):
        mixfit.mixed("y ~ x + f + (1|g)", DATA.assign(y=(DATA.x > 0).astype(int)), family="binomial").fit()
