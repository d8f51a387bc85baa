"""The models behind the golden files, their designs made by hand with R's column names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.matrices.new_rows import NewDesign
from mixfit.matrices.types import Design, Grouping, RandomDesign
from mixfit.results import LinearResults
from tests import dense
from tests.dense import DenseModel
from tests.structures import structure_named

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Reader:
    """Reads new data whose fixed columns are an intercept and Days, each a random column too."""

    groups: tuple[Grouping, ...]
    columns: tuple[tuple[str, ...], ...]
    copies: int = 1

    def read(self, newdata: pd.DataFrame, terms: tuple[bool, ...]) -> NewDesign:
        days = newdata["Days"].to_numpy(dtype=float)
        ones = np.where(np.isnan(days), np.nan, 1.0)
        source = {"Intercept": ones, "Days": days}
        return NewDesign(
            X=np.column_stack([ones, days]),
            Z=tuple(
                np.column_stack([source[c] for c in columns]) if wanted else None
                for columns, wanted in zip(self.columns, terms, strict=True)
            ),
            codes=tuple(
                group.levels.get_indexer(newdata[group.name]) if wanted else None
                for group, wanted in zip(self.groups, terms, strict=True)
            ),
            offset=np.zeros(len(newdata)),
            index=newdata.index,
        )


def grouping(name: str, labels: pd.Series) -> Grouping:
    codes, levels = pd.factorize(labels.astype(str), sort=True)
    return Grouping(name, codes.astype(np.intp), pd.Index(levels))


def term(group: Grouping, structure: str = "us", text: str = "", **columns: object) -> RandomDesign:
    n = len(group.codes)
    Z = np.column_stack([np.broadcast_to(np.asarray(c, dtype=float), n) for c in columns.values()])
    return RandomDesign(group, tuple(columns), Z, structure_named(structure, tuple(columns)), text)


def design(y: pd.Series, fixed: dict[str, object], random: tuple[RandomDesign, ...], **extra: object) -> Design:
    n = len(y)
    X = np.column_stack([np.broadcast_to(np.asarray(c, dtype=float), n) for c in fixed.values()])
    reader = Reader(tuple(t.grouping for t in random), tuple(t.columns for t in random))
    values = {"weights": None, "offset": None, "n_dropped": 0, **extra}
    return Design(y.to_numpy(dtype=float), X, tuple(fixed), str(y.name), random, index=y.index, reader=reader, **values)


def _sleep() -> tuple[pd.DataFrame, np.ndarray, Grouping]:
    data = pd.read_csv(DATA / "sleepstudy.csv")
    return data, data["Days"].to_numpy(dtype=float), grouping("Subject", data["Subject"])


def pulp() -> DenseModel:
    data = pd.read_csv(DATA / "pulp.csv")
    random = (term(grouping("operator", data["operator"]), Intercept=1),)
    return DenseModel(design(data["bright"], {"Intercept": 1}, random), "bright ~ 1 + (1 | operator)", "pulp")


def sleepstudy() -> DenseModel:
    data, days, subject = _sleep()
    random = (term(subject, text="(Days | Subject)", Intercept=1, Days=days),)
    made = design(data["Reaction"], {"Intercept": 1, "Days": days}, random)
    return DenseModel(made, "Reaction ~ Days + (Days | Subject)", "sleepstudy")


def sleepstudy_zerocorr() -> DenseModel:
    data, days, subject = _sleep()
    random = (term(subject, Intercept=1), term(subject, Days=days))
    made = design(data["Reaction"], {"Intercept": 1, "Days": days}, random)
    return DenseModel(made, "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "sleepstudy")


def sleepstudy_diag() -> DenseModel:
    data, days, subject = _sleep()
    random = (term(subject, "diag", "(Days || Subject)", Intercept=1, Days=days),)
    made = design(data["Reaction"], {"Intercept": 1, "Days": days}, random)
    return DenseModel(made, "Reaction ~ Days + (Days || Subject)", "sleepstudy")


def sleepstudy_square() -> DenseModel:
    data, days, subject = _sleep()
    random = (term(subject, **{"Intercept": 1, "Days": days, "I(Days^2)": days**2}),)
    made = design(data["Reaction"], {"Intercept": 1, "Days": days}, random)
    return DenseModel(made, "Reaction ~ Days + (Days + I(Days^2) | Subject)", "sleepstudy")


def sleepstudy_weights() -> DenseModel:
    data, days, subject = _sleep()
    random = (term(subject, Intercept=1, Days=days),)
    fixed = {"Intercept": 1, "Days": days}
    made = design(data["Reaction"], fixed, random, weights=1 + days % 3, offset=5 * days)
    return DenseModel(made, "Reaction ~ Days + (Days | Subject)", "sleep_w")


def sleepstudy_deficient() -> DenseModel:
    data = pd.read_csv(DATA / "sleepstudy.csv").drop(index=[2, 49])
    days = data["Days"].to_numpy(dtype=float)
    random = (term(grouping("Subject", data["Subject"]), Intercept=1),)
    made = design(data["Reaction"], {"Intercept": 1, "Days": days, "D2": 2 * days}, random, n_dropped=2)
    return DenseModel(made, "Reaction ~ Days + D2 + (1 | Subject)", "sleep_na")


def penicillin_plates() -> DenseModel:
    data = pd.read_csv(DATA / "Penicillin_plates.csv")
    random = (
        term(grouping("plate", data["plate"]), Intercept=1),
        term(grouping("sample", data["sample"]), Intercept=1),
    )
    made = design(data["diameter"], {"Intercept": 1}, random)
    return DenseModel(made, "diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin_plates")


def dyestuff2() -> DenseModel:
    data = pd.read_csv(DATA / "Dyestuff2.csv")
    random = (term(grouping("Batch", data["Batch"]), Intercept=1),)
    return DenseModel(design(data["Yield"], {"Intercept": 1}, random), "Yield ~ 1 + (1 | Batch)", "dyestuff2")


def pastes() -> DenseModel:
    data = pd.read_csv(DATA / "Pastes.csv")
    random = (
        term(grouping("batch", data["batch"]), text="(1 | batch)", Intercept=1),
        term(grouping("batch:cask", data["batch"] + ":" + data["cask"]), text="(1 | batch:cask)", Intercept=1),
    )
    made = design(data["strength"], {"Intercept": 1}, random)
    return DenseModel(made, "strength ~ 1 + (1 | batch) + (1 | batch:cask)", "pastes")


def _cake() -> tuple[pd.DataFrame, tuple[RandomDesign, ...], dict[str, object]]:
    data = pd.read_csv(DATA / "cake.csv")
    random = (term(grouping("recipe:replicate", data["recipe"] + ":" + data["replicate"].astype(str)), Intercept=1),)
    recipes = {f"recipe{r}": data["recipe"].eq(r) for r in "BC"}
    return data, random, recipes


def cake() -> DenseModel:
    data, random, recipes = _cake()
    made = design(data["angle"], {"Intercept": 1, **recipes, "temp": data["temp"]}, random)
    return DenseModel(made, "angle ~ recipe + temp + (1 | recipe:replicate)", "cake")


def cake_interaction() -> DenseModel:
    data, random, recipes = _cake()
    heats = {f"temperature{t}": data["temperature"].eq(t) for t in (185, 195, 205, 215, 225)}
    products = {f"{r}:{t}": recipes[r] & heats[t] for t in heats for r in recipes}
    made = design(data["angle"], {"Intercept": 1, **recipes, **heats, **products}, random)
    return DenseModel(made, "angle ~ recipe * temperature + (1 | recipe:replicate)", "cake_f")


MODELS: dict[str, tuple[Callable[[], DenseModel], bool]] = {
    "pulp_reml": (pulp, True),
    "sleepstudy_reml": (sleepstudy, True),
    "sleepstudy_ml": (sleepstudy, False),
    "sleepstudy_zerocorr": (sleepstudy_zerocorr, True),
    "sleepstudy_square": (sleepstudy_square, True),
    "sleepstudy_weights": (sleepstudy_weights, True),
    "sleepstudy_deficient": (sleepstudy_deficient, True),
    "penicillin_plates_reml": (penicillin_plates, True),
    "dyestuff2_reml": (dyestuff2, True),
    "pastes_ml": (pastes, False),
    "cake_reml": (cake, True),
    "cake_interaction_ml": (cake_interaction, False),
}


@cache
def numbers() -> dict[tuple[str, str], pd.Series]:
    """lme4's numbers, by fit and quantity."""
    table = pd.read_csv(Path(__file__).parent / "golden" / "lme4" / "numbers.csv", dtype={"name": str})
    return {key: part.set_index("name")["value"] for key, part in table.groupby(["fit", "quantity"])}


@cache
def fitted(name: str) -> LinearResults:
    """The results of one model of the golden files at lme4's own theta.

    lme4's optimizer leaves theta uncertain in the fifth digit; at the same theta everything else
    must agree to rounding.
    """
    build, reml = MODELS[name]
    model = build()
    theta = numbers()[name, "theta"].to_numpy()
    # lme4 orders its terms by decreasing number of levels
    order = sorted(range(len(model.design.random)), key=lambda t: -model.design.random[t].grouping.n_levels)
    sorted_design = replace(model.design, random=tuple(model.design.random[t] for t in order))
    sorted_templates = dense.templates_of(sorted_design, theta)
    templates = [sorted_templates[order.index(t)] for t in range(len(order))]
    return LinearResults(model, dense.estimate(model.design, templates, reml))
