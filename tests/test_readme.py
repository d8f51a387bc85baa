"""README.md keeps its word: two commands, ten lines, and the checks run what it says."""

import re
import subprocess
from pathlib import Path

import pytest

import mixfit

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_two_commands_do_everything():
    start = README.split("## Start\n")[1].split("\n## ")[0]
    commands = re.findall(r"^```sh\n(.*?)^```$", start, flags=re.MULTILINE | re.DOTALL)
    assert commands == blocks("sh")[:2]
    first, second = commands
    assert first.count("\n") == second.count("\n") == 1, "one line each"
    assert "python -m mixfit 'bright ~ 1 + (1|operator)' pulp" in first
    assert "pip install -e '.[test]'" in second
    assert second.endswith("python -m pytest\n")


@pytest.mark.parametrize(("name", "number"), [("test_command", 2), ("docs_command", 4)])
def test_the_checks_run_what_it_promises(name, number):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    function = re.search(r"^readme_command\(\) \{\n.*?^\}\n", script, flags=re.MULTILINE | re.DOTALL)[0]
    assert f"{name}=$(readme_command {number})\n" in script
    run = subprocess.run(
        ["bash", "-c", f"{function}readme_command {number}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout == blocks("sh")[number - 1]
    assert f'bash -euo pipefail -c "${name}"' in script


def test_one_command_builds_the_pages_and_takes_warnings_for_errors():
    command = blocks("sh")[3]
    assert command.count("\n") == 1
    assert "pip install '.[docs]'" in command
    assert " -m sphinx -W " in command


def test_the_tour_is_ten_lines_that_run(capsys):
    (tour,) = blocks("python")
    assert len([line for line in tour.splitlines() if line]) <= 10
    if not hasattr(mixfit, "mixed"):
        pytest.skip("mixfit.mixed is not there yet")
    exec(compile(tour, "README.md", "exec"), {})
    assert "Reaction ~ Days + (Days" in capsys.readouterr().out


def test_what_it_prints_is_what_is_printed():
    fit = mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy")).fit()
    (shown,) = blocks("text")
    assert shown == f"{fit.summary()}\n"


def test_links_lead_somewhere():
    for link in re.findall(r"\]\((docs/[^)#]+)", README):
        assert (ROOT / link).exists(), link


def test_its_times_are_those_of_the_page_of_benchmarks():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in README.splitlines() if line.startswith("| ") and "---" not in line]
    assert rows[0] == "| case | rows | mixfit s | glmm s | lme4 s | glmmTMB s |"
    assert len(rows) > 5
    assert all(any(line.startswith(row) for line in page) for row in rows)
