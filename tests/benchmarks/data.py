"""The data of the cases: bundled sets, and large ones drawn from fixed seeds.

``python -m tests.benchmarks.data NAME DIRECTORY`` writes them for the rivals, in a process of its own so that
the runner stays small.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit import datasets
from tests.benchmarks.data_families import FAMILY_SOURCES, labels

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SOURCES", "make", "write"]


def sleepstudy(quick: bool) -> pd.DataFrame:
    """Bundled; small as it is."""
    return datasets.load("sleepstudy")


def insteval(quick: bool) -> pd.DataFrame:
    """Bundled; the first rows of it when quick."""
    frame = datasets.load("insteval")
    if not quick:
        return frame
    frame = frame.head(2000).copy()
    for column in frame.select_dtypes("category"):
        frame[column] = frame[column].cat.remove_unused_categories()
    return frame


def slopes(quick: bool) -> pd.DataFrame:
    """Draw correlated intercepts and slopes of many small groups, in no order."""
    n, n_groups = (2_000, 100) if quick else (1_000_000, 50_000)
    random = np.random.default_rng(1)
    g = random.integers(0, n_groups, n)
    x = random.normal(size=n)
    b = random.normal(size=(n_groups, 2)) @ np.array([[1.0, 0.3], [0.0, 0.5]])
    y = 1 + 2 * x + b[g, 0] + b[g, 1] * x + random.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": labels("g", g)})


def ratings(quick: bool) -> pd.DataFrame:
    """Draw ratings of items by users, a few of whom (and of which) have most of them."""
    n, n_users, n_items = (2_000, 100, 60) if quick else (1_000_000, 6_000, 3_700)
    random = np.random.default_rng(2)
    activity, popularity = random.pareto(1.2, n_users) + 0.1, random.pareto(1.2, n_items) + 0.1
    u = random.choice(n_users, n, p=activity / activity.sum())
    m = random.choice(n_items, n, p=popularity / popularity.sum())
    y = 3.5 + 0.4 * random.normal(size=n_users)[u] + 0.5 * random.normal(size=n_items)[m]
    y += 0.9 * random.normal(size=n)
    return pd.DataFrame({"y": y, "u": labels("u", u), "m": labels("m", m)})


def nested(quick: bool) -> pd.DataFrame:
    """Draw three levels of nesting; every label is unique, so that nothing but the data tells the nesting."""
    n, n_a, n_b, n_c = (4_000, 800, 40, 8) if quick else (1_000_000, 200_000, 10_000, 500)
    random = np.random.default_rng(3)
    a = random.integers(0, n_a, n)
    b = a // (n_a // n_b)
    c = b // (n_b // n_c)
    y = 1 + 0.6 * random.normal(size=n_a)[a] + 0.5 * random.normal(size=n_b)[b]
    y += 0.7 * random.normal(size=n_c)[c] + random.normal(size=n)
    return pd.DataFrame({"y": y, "a": labels("a", a), "b": labels("b", b), "c": labels("c", c)})


def schools(quick: bool) -> pd.DataFrame:
    """Draw pupils crossed with teachers inside of schools."""
    n_schools = 30 if quick else 300
    random = np.random.default_rng(4)
    pupil = np.repeat(np.arange(n_schools * 30), 5)
    teacher = pupil // 30 * 10 + random.integers(0, 10, len(pupil))
    x = random.normal(size=len(pupil))
    y = x + random.normal(size=n_schools * 30)[pupil] + random.normal(size=n_schools * 10)[teacher]
    y += random.normal(size=len(pupil))
    return pd.DataFrame({"y": y, "x": x, "pupil": labels("p", pupil), "teacher": labels("t", teacher)})


def pulp(quick: bool) -> pd.DataFrame:
    """Bundled; small as it is."""
    return datasets.load("pulp")


def penicillin(quick: bool) -> pd.DataFrame:
    """Bundled; small as it is."""
    return datasets.load("penicillin")


def exam(quick: bool) -> pd.DataFrame:
    """Draw scores of pupils in schools of uneven size, by intake and sex."""
    n, n_schools = (400, 20) if quick else (4059, 65)
    random = np.random.default_rng(6)
    size = random.gamma(4.0, size=n_schools)
    school = np.sort(random.choice(n_schools, n, p=size / size.sum()))
    intake, girl = random.normal(size=n), random.random(n) < 0.6
    b = random.normal(size=(n_schools, 2)) @ np.array([[0.3, 0.06], [0.0, 0.1]])
    score = 0.55 * intake + 0.17 * girl + b[school, 0] + b[school, 1] * intake + 0.74 * random.normal(size=n)
    sex = np.where(girl, "F", "M").astype(object)
    return pd.DataFrame({"score": score, "intake": intake, "sex": sex, "school": labels("s", school)})


def cbpp(quick: bool) -> pd.DataFrame:
    """Bundled, with the number of healthy animals as a column."""
    frame = datasets.load("cbpp")
    return frame.assign(healthy=frame["size"] - frame["incidence"])


def contraception(quick: bool) -> pd.DataFrame:
    """Bundled, with the response as 0 and 1 and the square of age as a column."""
    frame = datasets.load("contraception")
    return frame.assign(y=(frame["use"] == "Y").astype(float), age2=frame["age"] ** 2)


def verbagg(quick: bool) -> pd.DataFrame:
    """Bundled, with the response as 0 and 1; the first persons of it when quick."""
    frame = datasets.load("verbagg")
    frame["y"] = (frame["r2"] == "Y").astype(float)
    if not quick:
        return frame
    frame = frame[frame["id"].isin(frame["id"].cat.categories[:60])].copy()
    frame["id"] = frame["id"].cat.remove_unused_categories()
    return frame


def binary(quick: bool) -> pd.DataFrame:
    """Draw 0/1 responses in many groups."""
    n, n_groups = (2_000, 100) if quick else (1_000_000, 20_000)
    random = np.random.default_rng(4)
    g = random.integers(0, n_groups, n)
    x = random.normal(size=(n, 2))
    eta = -0.5 + 0.5 * x[:, 0] - 0.3 * x[:, 1] + 0.8 * random.normal(size=n_groups)[g]
    y = (random.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    return pd.DataFrame({"y": y, "x1": x[:, 0], "x2": x[:, 1], "g": labels("g", g)})


def counts(quick: bool) -> pd.DataFrame:
    """Draw counts with two crossed factors."""
    n, n_a, n_b = (2_000, 100, 40) if quick else (200_000, 5_000, 800)
    random = np.random.default_rng(5)
    a, b, x = random.integers(0, n_a, n), random.integers(0, n_b, n), random.normal(size=n)
    eta = 0.2 + 0.3 * x + 0.5 * random.normal(size=n_a)[a] + 0.3 * random.normal(size=n_b)[b]
    y = random.poisson(np.exp(eta)).astype(float)
    return pd.DataFrame({"y": y, "x": x, "a": labels("a", a), "b": labels("b", b)})


def growth(quick: bool) -> pd.DataFrame:
    """Draw logistic growth curves of many groups."""
    n_groups = 20 if quick else 500
    random = np.random.default_rng(6)
    g, t = np.repeat(np.arange(n_groups), 10), np.tile(np.linspace(0.0, 8.0, 10), n_groups)
    asymptote, middle = 100.0 + random.normal(0.0, 12.0, n_groups)[g], 4.0 + random.normal(0.0, 0.5, n_groups)[g]
    y = asymptote / (1.0 + np.exp((middle - t) / 0.9)) + random.normal(0.0, 3.0, len(t))
    return pd.DataFrame({"y": y, "t": t, "g": labels("g", g)})


def orange(quick: bool) -> pd.DataFrame:
    """Trunks of five trees on seven days (Draper & Smith 1998, exercise 24.N); small as it is."""
    ages = [118.0, 484.0, 664.0, 1004.0, 1231.0, 1372.0, 1582.0]
    trunks = [
        [30.0, 58.0, 87.0, 115.0, 120.0, 142.0, 145.0],
        [33.0, 69.0, 111.0, 156.0, 172.0, 203.0, 203.0],
        [30.0, 51.0, 75.0, 108.0, 115.0, 139.0, 140.0],
        [32.0, 62.0, 112.0, 167.0, 179.0, 209.0, 214.0],
        [30.0, 49.0, 81.0, 125.0, 142.0, 174.0, 177.0],
    ]
    g = labels("tree", np.repeat(np.arange(5), 7))
    return pd.DataFrame({"y": np.ravel(trunks), "t": ages * 5, "g": g})


SOURCES: dict[str, Callable[[bool], pd.DataFrame]] = {
    "sleepstudy": sleepstudy,
    "insteval": insteval,
    "slopes": slopes,
    "ratings": ratings,
    "nested": nested,
    "schools": schools,
    "pulp": pulp,
    "penicillin": penicillin,
    "exam": exam,
    "cbpp": cbpp,
    "verbagg": verbagg,
    "binary": binary,
    "counts": counts,
    "contraception": contraception,
    **FAMILY_SOURCES,
    "growth": growth,
    "orange": orange,
}


def make(name: str, quick: bool = False) -> pd.DataFrame:
    """Return the data of a case."""
    return SOURCES[name](quick)


def write(frame: pd.DataFrame, directory: Path, csv: bool) -> None:
    """Write ``data.parquet`` and, for R, ``data.csv`` with the order of levels in ``levels.csv``."""
    frame.to_parquet(directory / "data.parquet")
    if not csv:
        return
    frame.to_csv(directory / "data.csv", index=False, float_format="%.17g")
    factors = frame.select_dtypes("category")
    levels = [(column, level) for column in factors for level in frame[column].cat.categories]
    pd.DataFrame(levels, columns=["column", "level"]).to_csv(directory / "levels.csv", index=False)


def main() -> None:
    """Write the data of one case and print the number of rows as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.data")
    parser.add_argument("name", choices=SOURCES)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--csv", action="store_true")
    options = parser.parse_args()
    frame = make(options.name, options.quick)
    write(frame, options.directory, options.csv)
    print(json.dumps({"rows": len(frame)}))


if __name__ == "__main__":
    main()
