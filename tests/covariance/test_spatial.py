"""Fields: fits reach their optimum, at the ends of ranges and smoothness too, and say so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixfit import mixed


def field(correlation: object, *, n_groups: int = 20, seed: int = 2) -> pd.DataFrame:
    """Eight places, two rows each, a field of deviation 1 in every group and noise of deviation 0.5."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.0, 5.0, (8, 2))
    distance = np.linalg.norm(places[:, None] - places, axis=2)
    sigma = correlation(distance) + 1e-9 * np.eye(8)  # type: ignore[operator]
    effects = np.linalg.cholesky(sigma) @ rng.standard_normal((8, n_groups))
    frame = pd.DataFrame(np.tile(places, (2 * n_groups, 1)), columns=["x", "y"])
    frame["g"] = np.tile(np.repeat(np.arange(n_groups), 8), 2)
    frame["z"] = np.tile(effects.T.ravel(), 2) + rng.normal(0.0, 0.5, 16 * n_groups)
    return frame


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
@pytest.mark.parametrize(
    ("name", "correlation"),
    [
        ("mat", lambda d: np.exp(-d / 6.0) * (1.0 + d / 6.0)),
        ("gau", lambda d: np.exp(-((d / 2.0) ** 2))),
        ("exp", lambda d: np.exp(-d / 6.0)),
    ],
)
def test_an_infinite_range_is_no_optimum_where_a_start_elsewhere_is_better(
    name: str, correlation: object, scale: float
) -> None:
    frame = field(correlation)
    frame[["x", "y"]] *= scale
    model = mixed(f"z ~ 1 + {name}(0 + x + y|g)", frame)
    fit = model.fit(reml=False)
    shape = [0.3 / scale, *([1.0] if name == "mat" else [])]
    from_elsewhere = model.fit(reml=False, start=[np.array([2.0, *shape])])
    assert fit.converged
    assert fit.llf >= from_elsewhere.llf - 1e-6
    assert fit.theta[1] > 0.0


EVALUATIONS = 60


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("reach", [0.7, 6.0])
def test_a_gaussian_field_is_the_limit_of_matern(seed: int, reach: float) -> None:
    frame = field(lambda d: np.exp(-((d / reach) ** 2)), seed=seed)
    fit = mixed("z ~ 1 + mat(0 + x + y|g)", frame).fit(reml=False)
    gaussian = mixed("z ~ 1 + gau(0 + x + y|g)", frame).fit(reml=False)
    assert fit.converged
    assert fit.certificate.n_evaluations <= EVALUATIONS
    assert fit.llf >= gaussian.llf - 1e-4
    if fit.theta[2] == 1e6:
        (edge,) = [b for b in fit.certificate.boundary if b.parameter == 2]
        assert edge.derivative > 0.0
        assert fit.llf == pytest.approx(gaussian.llf, abs=1e-4)
        assert fit.theta[1] / (2.0 * np.sqrt(fit.theta[2])) == pytest.approx(gaussian.theta[1], rel=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_common_effect_and_independent_ones_are_the_other_limit(seed: int) -> None:
    frame = field(lambda d: 0.9 + 0.1 * (d == 0.0), seed=seed)
    frame["place"] = frame.groupby(["x", "y"]).ngroup()
    fit = mixed("z ~ 1 + mat(0 + x + y|g)", frame).fit(reml=False)
    symmetric = mixed("z ~ 1 + homcs(0 + C(place)|g)", frame).fit(reml=False)
    assert fit.converged
    assert fit.certificate.n_evaluations <= EVALUATIONS
    # At its lower bound the smoothness still tells near places from far ones a little.
    assert fit.llf >= symmetric.llf - 0.2


@pytest.mark.parametrize("family", [None, "poisson"])
@pytest.mark.parametrize("name", ["exp", "gau", "mat"])
def test_one_effect_for_all_places_is_an_infinite_range_that_is_certified(name: str, family: str | None) -> None:
    frame = field(np.ones_like, seed=1)
    frame["n"] = np.random.default_rng(1).poisson(np.exp(0.5 * frame["z"]))
    response = "z" if family is None else "n"
    fit = mixed(f"{response} ~ 1 + {name}(0 + x + y|g)", frame, **({"family": family} if family else {})).fit()
    plain = mixed(f"{response} ~ 1 + (1|g)", frame, **({"family": family} if family else {})).fit()
    assert fit.converged
    assert fit.certificate.n_evaluations <= EVALUATIONS
    assert fit.llf >= plain.llf - 1e-6
    if fit.theta[1] == 0.0:
        assert fit.llf == pytest.approx(plain.llf, abs=1e-6)
        assert next(b.derivative for b in fit.certificate.boundary if b.parameter == 1) >= 0.0


def test_an_infinite_range_is_left_where_its_derivative_says_so() -> None:
    frame = field(lambda d: np.exp(-((d / 2.0) ** 2)))
    for name, tail in (("exp", []), ("gau", []), ("mat", [0.5])):
        model = mixed(f"z ~ 1 + {name}(0 + x + y|g)", frame)
        stuck = model.fit(reml=False, start=[np.array([1.0, 0.0, *tail])])
        assert stuck.theta[1] > 0.0
        assert stuck.llf == pytest.approx(model.fit(reml=False).llf, abs=1e-5)


def test_effects_that_share_nothing_have_a_decay_without_end() -> None:
    frame = field(lambda d: np.eye(len(d)))
    frame["n"] = np.random.default_rng(1).poisson(np.exp(0.5 * frame["z"]))
    for name in ("exp", "gau", "mat"):
        fit = mixed(f"n ~ 1 + {name}(0 + x + y|g)", frame, family="poisson").fit()
        assert fit.converged
        assert fit.certificate.n_evaluations <= EVALUATIONS


def test_a_gaussian_field_of_many_close_places_is_fitted() -> None:
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(0.0, 6.0, 80))
    smooth = 2.0 * np.sin(x) + np.cos(1.7 * x)
    frame = pd.DataFrame({"x": np.tile(x, 2), "one": "one", "z": np.tile(smooth, 2) + rng.normal(0.0, 0.5, 160)})
    model = mixed("z ~ 1 + gau(0 + x|one)", frame)
    fit = model.fit(reml=False)
    assert fit.converged
    assert fit.certificate.n_evaluations <= EVALUATIONS
    for decay in (0.2, 0.5, 1.5):
        assert fit.llf >= model.fit(reml=False, start=[np.array([3.0, decay])]).llf - 1e-5
