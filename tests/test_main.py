"""The command line: what reaches the model, and what reaches the user when something is wrong."""

import doctest
import importlib
import io
import json
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import mixfit
from mixfit import __main__ as command
from mixfit import datasets
from mixfit.errors import BiasWarning, FormulaError

FORMULA = "bright ~ 1 + (1|operator)"


@pytest.fixture
def calls(monkeypatch):
    """Every call of ``mixfit.mixed`` and ``fit`` instead of a fit."""
    made = []

    def mixed(formula, data, family=None, weights=None):
        def fit(reml=True):
            made.append(SimpleNamespace(formula=formula, data=data, weights=weights, reml=reml))
            return SimpleNamespace(summary=lambda ddf: f"the summary, {ddf}" if ddf else "the summary")

        return SimpleNamespace(fit=fit)

    monkeypatch.setattr(mixfit, "mixed", mixed, raising=False)
    return made


def failure(capsys, *argv):
    """Run a command that must fail and return its one line of complaint."""
    assert command.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mixfit: ")
    assert err.count("\n") == 1
    return err.removeprefix("mixfit: ").rstrip("\n")


def test_a_bundled_dataset_by_reml(calls, capsys):
    assert command.main([FORMULA, "pulp"]) == 0
    assert capsys.readouterr() == ("the summary\n", "")
    (call,) = calls
    assert (call.formula, call.weights, call.reml) == (FORMULA, None, True)
    assert call.data.equals(datasets.load("pulp"))


def test_ml_and_weights(calls):
    assert command.main([FORMULA, "pulp", "--ml", "--weights", "bright"]) == 0
    assert (calls[0].reml, calls[0].weights) == (False, "bright")


@pytest.mark.parametrize(("ddf", "said"), [("residual", "residual degrees of freedom"), ("Z", "z-tests")])
def test_degrees_of_freedom(capsys, ddf, said):
    assert command.main([FORMULA, "pulp", "--ddf", ddf]) == 0
    assert said in capsys.readouterr().out
    assert "t-tests" not in run_quietly(capsys, "--ddf", "none")
    assert "'kenward-roger'" in failure(capsys, FORMULA, "pulp", "--ddf", "KR")


def run_quietly(capsys, *options):
    assert command.main([FORMULA, "pulp", *options]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["pulp.csv", "pulp.csv.gz", "pulp.parquet", "odd name", "with.dots.csv"])
def test_files(calls, monkeypatch, tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    frame = datasets.load("pulp").astype({"operator": str})
    monkeypatch.chdir(tmp_path)
    frame.to_parquet(name) if name.endswith("parquet") else frame.to_csv(name, index=False)
    # Without an extension a bare word is a dataset's name, and a path says that it is a file.
    assert command.main([FORMULA, name if "." in name else f"./{name}"]) == 0
    data = calls[0].data
    assert data["bright"].to_list() == frame["bright"].to_list()
    assert data["operator"].to_list() == frame["operator"].to_list()


def test_an_unknown_dataset(capsys):
    assert "did you mean 'pulp'?" in failure(capsys, FORMULA, "plup")


def test_a_missing_file(capsys, tmp_path):
    assert failure(capsys, FORMULA, f"{tmp_path}/none.csv") == f"There is no file '{tmp_path}/none.csv'."


@pytest.mark.parametrize("name", ["empty.csv", "ragged.csv", "binary.csv", "broken.parquet", "directory.csv"])
def test_a_file_that_cannot_be_read(capsys, tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    if name == "directory.csv":
        path.mkdir()
    else:
        contents = {
            "empty": b"",
            "ragged": b"a,b\n1,2\n1,2,3\n",
            "binary": b"\xff\xfe\x00",
            "broken": b"PAR1",
        }
        path.write_bytes(contents[path.stem])
    complaint = failure(capsys, FORMULA, str(path))
    assert complaint.startswith(f"Cannot read '{path}': ")


HERDS = "cbind(incidence, size - incidence) ~ period + (1|herd)"


def test_a_family_by_the_laplace_approximation(capsys):
    assert command.main([HERDS, "cbpp", "--family", "binomial(probit)"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("Generalized linear mixed model fit by maximum likelihood (Laplace Approximation)\n")
    assert " Family: binomial  ( probit )\n" in out


def test_quadrature_points_reach_the_fit(capsys):
    assert command.main([HERDS, "cbpp", "--family", "binomial", "--n-agq", "5"]) == 0
    assert "nAGQ = 5)" in capsys.readouterr().out


def test_the_fast_approximation_and_penalized_quasi_likelihood(capsys):
    assert command.main([HERDS, "cbpp", "--family", "binomial", "--n-agq", "0"]) == 0
    assert "nAGQ = 0)" in capsys.readouterr().out
    assert command.main([HERDS, "cbpp", "--family", "binomial", "--method", "pql"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Generalized linear mixed model fit by penalized quasi-likelihood (PQL)\n")
    assert err.startswith("mixfit: warning: Penalized quasi-likelihood is biased for binomial data")
    assert err.count("\n") == 1


def test_options_that_contradict_each_other(capsys):
    assert failure(capsys, FORMULA, "pulp", "--n-agq", "5").startswith("--n-agq needs a --family")
    assert failure(capsys, HERDS, "cbpp", "--family", "binomial", "--ml").startswith("--ml is for Gaussian models")
    assert failure(capsys, FORMULA, "pulp", "--method", "pql").startswith("--method needs a --family")
    herds = (HERDS, "cbpp", "--family", "binomial")
    assert "n_agq is 0 or a positive whole number" in failure(capsys, *herds, "--n-agq", "-1")
    assert "n_agq is for method='ml'" in failure(capsys, *herds, "--n-agq", "0", "--method", "pql")


def test_an_unknown_family(capsys):
    assert failure(capsys, HERDS, "cbpp", "--family", "binomal").startswith("There is no family 'binomal'; mixfit has ")
    assert "binomial has the links" in failure(capsys, HERDS, "cbpp", "--family", "binomial(sine)")


def test_an_error_of_the_model_is_one_line(monkeypatch, capsys):
    def mixed(formula, data, family=None, weights=None):
        raise FormulaError("No random term in\n    bright ~ 1\nadd one.")

    monkeypatch.setattr(mixfit, "mixed", mixed, raising=False)
    assert failure(capsys, "bright ~ 1", "pulp") == "No random term in bright ~ 1 add one."


def test_a_warning_of_the_model_is_one_line(monkeypatch, capsys):
    def mixed(formula, data, family=None, weights=None):
        warnings.warn("dropped\nx2", BiasWarning, stacklevel=2)
        return SimpleNamespace(fit=lambda reml: SimpleNamespace(summary=lambda ddf: "the summary"))

    monkeypatch.setattr(mixfit, "mixed", mixed, raising=False)
    shown = warnings.showwarning
    # Every warning of a command is shown, whatever filters the caller has set for errors.
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert command.main([FORMULA, "pulp"]) == 0
    assert capsys.readouterr() == ("the summary\n", "mixfit: warning: dropped x2\n")
    assert warnings.showwarning is shown


def test_a_bug_keeps_its_traceback(monkeypatch):
    def mixed(formula, data, family=None, weights=None):
        raise ZeroDivisionError

    monkeypatch.setattr(mixfit, "mixed", mixed, raising=False)
    with pytest.raises(ZeroDivisionError):
        command.main([FORMULA, "pulp"])


def test_as_a_process(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "mixfit", FORMULA, "plup"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(mixfit.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("mixfit: There is no bundled dataset 'plup'")


def test_usage_names_the_command_and_its_arguments(capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main(["--help"])
    assert exit_.value.code == 0
    usage = capsys.readouterr().out
    for word in ("python -m mixfit", "FORMULA", "DATA", "--ml", "--family", "--n-agq", "--method", "--weights"):
        assert word in usage
    for word in ("--version", "--json", "--out", "--predict"):
        assert word in usage


def test_the_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"mixfit {mixfit.__version__}\n"


def test_the_command_is_declared():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["mixfit"].partition(":")
    assert getattr(importlib.import_module(module), function) is command.main


def test_estimates_as_json(capsys):
    told = json.loads(run_quietly(capsys, "--json", "--ddf", "z"))
    assert told["formula"] == FORMULA
    fixed = told["estimates"][0]
    assert fixed["estimate"] == mixfit.mixed(FORMULA, datasets.load("pulp")).fit().params.iloc[0]
    assert "p.value" in fixed
    with pytest.raises(SystemExit):
        command.main([FORMULA, "pulp", "--json", "--predict", "pulp"])


@pytest.mark.parametrize(("name", "begins"), [("t.tex", "\\begin{"), ("t.md", "|"), ("t.txt", "-"), ("t.html", "<")])
def test_a_table_in_a_file(capsys, tmp_path, name, begins):
    summary = run_quietly(capsys, "--out", str(tmp_path / name))
    assert summary.startswith("Linear mixed model")
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_a_table_that_cannot_be_written(capsys, tmp_path):
    assert "ends in none of" in failure(capsys, FORMULA, "pulp", "--out", str(tmp_path / "t.pdf"))
    assert failure(capsys, FORMULA, "pulp", "--out", str(tmp_path / "none" / "t.tex")).startswith("Cannot write ")


def test_predictions_of_new_rows(capsys, tmp_path):
    new = pd.DataFrame({"operator": ["a", "z"], "comment": ["known", "new, and with a comma"]})
    new.to_csv(tmp_path / "new.csv", index=False)
    told = pd.read_csv(io.StringIO(run_quietly(capsys, "--predict", str(tmp_path / "new.csv"))))
    assert told[["operator", "comment"]].equals(new)
    fit = mixfit.mixed(FORMULA, datasets.load("pulp")).fit()
    assert told["fitted"].to_list() == fit.predict(new, allow_new_levels=True).to_list()
    assert told["fitted"][1] == fit.params.iloc[0]
    told.to_csv(tmp_path / "twice.csv", index=False)
    assert "a column 'fitted' already" in failure(capsys, FORMULA, "pulp", "--predict", str(tmp_path / "twice.csv"))
    assert "did you mean 'pulp'?" in failure(capsys, FORMULA, "pulp", "--predict", "plup")


def test_predictions_are_of_the_response(capsys):
    assert command.main([HERDS, "cbpp", "--family", "binomial", "--predict", "cbpp"]) == 0
    told = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert told["fitted"].between(0.0, 1.0).all()
    assert command.main(["rating ~ temp + (1|judge)", "wine", "--family", "cumulative", "--predict", "wine"]) == 0
    told = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert told.filter(like="fitted.").sum(axis=1).to_numpy() == pytest.approx(1.0)


def test_a_reader_that_has_had_enough(tmp_path):
    run = subprocess.run(
        f"{sys.executable} -m mixfit '{FORMULA}' pulp --json | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(mixfit.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (1, "")


def test_examples_in_the_docstrings():
    result = doctest.testmod(command)
    assert result.attempted > 1
    assert result.failed == 0
