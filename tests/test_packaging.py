"""What is built from the repository, and that the datasets are found however mixfit is installed."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP_LEVEL = {
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "datasets",
    "docs",
    "mixfit",
    "pyproject.toml",
    "tests",
}
N_DATASETS = 21

LOAD_ALL = """
from mixfit import datasets
print(datasets.__file__)
print(*(len(datasets.load(name)) == rows for name, rows in datasets.list()[["name", "rows"]].to_numpy()))
"""


def files_below(directory, suffixes):
    return {
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and path.name.endswith(suffixes)
    }


def python(*arguments, cwd, **environment):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment
    run = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    python("-m", "build", "--sdist", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel, built from the unpacked sdist: what the sdist lacks, the wheel lacks too."""
    out = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(out / "source", filter="data")
    (source,) = (out / "source").iterdir()
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source), cwd=out)
    (archive,) = out.glob("*.whl")
    return archive


def test_the_sdist_holds_the_repository(sdist):
    with tarfile.open(sdist) as archive:
        members = {member.name.split("/", 1)[1]: member for member in archive.getmembers()}
    # The build adds its metadata and, to keep out what git ignores, the list of it.
    assert {name.split("/")[0] for name in members} - {"PKG-INFO", ".gitignore"} == TOP_LEVEL | {".ci"}
    assert members[".ci/run"].mode & 0o100, "the script stays executable"
    expected = {f"datasets/{name}" for name in files_below(ROOT / "datasets", (".json", ".csv", ".csv.gz"))}
    for directory in ("mixfit", "tests"):
        expected |= {f"{directory}/{name}" for name in files_below(ROOT / directory, (".py", ".typed", ".json"))}
    expected |= {f"docs/{name}" for name in files_below(ROOT / "docs", (".md",))}
    assert expected <= set(members)


def test_the_wheel_holds_the_package_the_datasets_and_the_license(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    (information,) = {name.split("/")[0] for name in names} - {"mixfit"}
    assert information.endswith(".dist-info")
    assert f"{information}/licenses/LICENSE" in names
    package = {f"mixfit/{name}" for name in files_below(ROOT / "mixfit", (".py", "py.typed"))}
    data = {f"mixfit/_datasets/{name}" for name in files_below(ROOT / "datasets", (".json", ".csv", ".csv.gz"))}
    assert "mixfit/py.typed" in package
    assert len(data) == 2 * N_DATASETS
    assert package | data <= names
    assert "License-Expression: BSD-3-Clause" in metadata
    assert "Requires-Python: >=3.11" in metadata


def test_the_wheel_needs_only_what_the_readme_names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra" not in line]
    names = {line.split()[1].split(">=")[0] for line in required}
    assert names == {"numpy", "scipy", "pandas", "formulaic", "statsmodels", "joblib", "tqdm"}


def test_an_installed_wheel_finds_the_datasets(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    place, loaded = python("-c", LOAD_ALL, cwd=tmp_path, PYTHONPATH=str(site)).splitlines()
    assert Path(place).is_relative_to(site)
    assert loaded.split() == ["True"] * N_DATASETS


def test_an_editable_install_finds_the_datasets(tmp_path):
    build = "import sys, hatchling.build; print(hatchling.build.build_editable(sys.argv[1]))"
    name = python("-c", build, str(tmp_path), cwd=ROOT).split()[-1]
    site = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / name) as archive:
        archive.extractall(site)
    # As pip leaves it: a site directory whose .pth file points back here. What it adds goes first, before
    # any mixfit that is installed already.
    add = "import site, sys; old = sys.path[:]; site.addsitedir(sys.argv[1])"
    first = "sys.path[:] = [path for path in sys.path if path not in old] + old"
    program = f"{add}; {first}\n{LOAD_ALL}"
    place, loaded = python("-c", program, str(site), cwd=tmp_path).splitlines()
    assert Path(place) == ROOT / "mixfit" / "datasets.py"
    assert loaded.split() == ["True"] * N_DATASETS


def test_the_repository_holds_nothing_else_at_the_top():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    run = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {name.split("/")[0] for name in run.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} == TOP_LEVEL
