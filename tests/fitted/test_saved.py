"""Fits in files: what is loaded is what was saved, and what is no such file says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import MissingFileError, SavedFitError
from mixfit.fitted import saved


@pytest.fixture
def fit():
    return mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()


MODELS = {
    "linear": lambda: mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit(reml=False),
    "robust": lambda: mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit().robust("CR2"),
    "residual": lambda: mixfit.mixed(
        "distance ~ age", mixfit.datasets.load("orthodont"), residual="ar1(age | Subject)"
    ).fit(),
    "generalized": lambda: mixfit.mixed(
        "count ~ mined + (1 | site)", mixfit.datasets.load("salamanders"), family="nbinom2", zi="~ mined"
    ).fit(),
    "ordinal": lambda: mixfit.mixed(
        "rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative"
    ).fit(),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_loaded_is_what_was_saved(name, tmp_path) -> None:
    made = MODELS[name]()
    path = tmp_path / "fit.mixfit"
    made.save(path)
    again = mixfit.load(path)
    assert type(again) is type(made)
    assert again.params.equals(made.params)
    assert again.llf == made.llf
    np.testing.assert_allclose(again.bse, made.bse, rtol=1e-12)
    assert str(again.summary()) == str(made.summary())
    again.save(str(path))
    assert mixfit.load(str(path)).params.equals(made.params)


def test_rows_that_were_left_out_stay_padded(tmp_path) -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    sleep.loc[3, "Reaction"] = np.nan
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep, na_action="exclude").fit()
    fit.save(tmp_path / "fit.mixfit")
    again = mixfit.load(tmp_path / "fit.mixfit")
    assert again.fittedvalues.equals(fit.fittedvalues)
    assert np.isnan(again.fittedvalues[3])
    assert len(again.residuals()) == 180


def test_a_curve(tmp_path) -> None:
    rng = np.random.default_rng(1)
    t, g = np.tile(np.arange(1.0, 9.0), 6), np.repeat(list("abcdef"), 8)
    rate = 0.5 + np.repeat(rng.normal(0.0, 0.1, 6), 8)
    data = pd.DataFrame({"t": t, "g": g, "y": 5.0 * np.exp(-rate * t) + rng.normal(0.0, 0.05, 48)})
    fit = mixfit.nonlinear("y ~ a * exp(-k * t) ~ k | g", data, start={"a": 4.0, "k": 0.4}).fit()
    fit.save(tmp_path / "fit.mixfit")
    again = mixfit.load(tmp_path / "fit.mixfit")
    np.testing.assert_allclose(again.predict(data.head(3)), fit.predict(data.head(3)), rtol=1e-12)


def test_a_file_of_another_version(fit, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(saved, "__version__", "9.9.9")
    fit.save(tmp_path / "later.mixfit")
    monkeypatch.undo()
    with pytest.raises(SavedFitError, match=r"'.*later\.mixfit' was saved by mixfit 9\.9\.9, and this is"):
        mixfit.load(tmp_path / "later.mixfit")


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x80\x04K\x01.", b"mixfit fit, version " + b"1" * 200])
def test_a_file_of_something_else(content, tmp_path) -> None:
    path = tmp_path / "other.mixfit"
    path.write_bytes(content)
    with pytest.raises(SavedFitError, match=r"was not written by fit\.save"):
        mixfit.load(path)


def test_a_damaged_file(fit, tmp_path) -> None:
    path = tmp_path / "fit.mixfit"
    fit.save(path)
    whole = path.read_bytes()
    for length in (whole.index(b"\n") + 1, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(SavedFitError, match="is damaged"):
            mixfit.load(path)
    for missing in (MissingFileError, FileNotFoundError):
        with pytest.raises(missing, match=r"no file '.*none\.mixfit'"):
            mixfit.load(tmp_path / "none.mixfit")
        with pytest.raises(missing, match=r"no folder '.*none' to write 'a\.mixfit'"):
            fit.save(tmp_path / "none" / "a.mixfit")


def test_what_cannot_be_pickled_leaves_no_file(tmp_path) -> None:
    pulp = mixfit.datasets.load("pulp")
    fit = mixfit.mixed("f(bright) ~ 1 + (1 | operator)", pulp, context={"f": lambda y: 2 * y}).fit()
    with pytest.raises(SavedFitError, match="cannot be pickled"):
        fit.save(tmp_path / "fit.mixfit")
    assert not list(tmp_path.iterdir())
