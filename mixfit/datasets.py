"""The bundled data: classic experiments for mixed models, with every column described.

A set is one CSV file (gzipped where large) and one JSON file of the same name. The JSON file holds the title,
a description, the published source, the number of rows and, for each column, its type, unit and description.
A factor also declares its levels in order: as a list, or as ``"numeric"`` for labels to be sorted as numbers.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import pandas as pd

from mixfit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, NotRequired

__all__ = ["describe", "list", "load"]


def __dir__() -> Sequence[str]:
    """What is public."""
    return sorted(__all__)


class _Column(TypedDict):
    type: Literal["factor", "integer", "float"]
    # Not ``list[str]``: in this module ``list`` is the public function.
    levels: NotRequired[Sequence[str] | Literal["numeric"]]
    ordered: NotRequired[bool]
    unit: str
    description: str


class _Meta(TypedDict):
    title: str
    description: str
    source: str
    file: str
    rows: int
    columns: dict[str, _Column]


def load(name: str) -> pd.DataFrame:
    """Load a bundled dataset.

    Parameters
    ----------
    name : str
        Name of the dataset, as :func:`list` shows it.

    Returns
    -------
    pandas.DataFrame
        Factors are categoricals with their levels in R's order, ordered where they are ratings; all other columns are
        ``int64`` or ``float64``. Every call reads the files anew, so a change to one frame reaches no other.

    Raises
    ------
    DataError
        If no dataset has that name.

    See Also
    --------
    describe : What the columns of a dataset mean.

    Examples
    --------
    >>> from mixfit import datasets
    >>> pulp = datasets.load("pulp")
    >>> pulp.shape
    (20, 2)
    >>> pulp["operator"].cat.categories.to_list()
    ['a', 'b', 'c', 'd']
    """
    meta = _meta(name)
    dtypes = {"factor": "str", "integer": "int64", "float": "float64"}
    columns = meta["columns"]
    frame = pd.read_csv(
        _directory() / meta["file"],
        dtype={column: dtypes[about["type"]] for column, about in columns.items()},
        # No set has missing values, and a level spelled "NA" must stay a level.
        na_filter=False,
    )
    for column, about in columns.items():
        if "levels" in about:
            declared = about["levels"]
            levels = sorted(frame[column].unique(), key=int) if declared == "numeric" else [*declared]
            frame[column] = frame[column].astype(pd.CategoricalDtype(levels, ordered=about.get("ordered", False)))
    return frame


def list() -> pd.DataFrame:  # noqa: A001 - read as ``datasets.list()``
    """List the bundled datasets.

    Returns
    -------
    pandas.DataFrame
        One row for each dataset, sorted by name, with the columns ``name``, ``rows``, ``columns`` (how many
        of each), ``title`` and ``source`` (the publication).

    Examples
    --------
    >>> from mixfit import datasets
    >>> datasets.list().set_index("name").loc["sleepstudy", ["rows", "columns"]].to_list()
    [180, 3]
    """
    sets = {name: _meta(name) for name in _names()}
    return pd.DataFrame(
        {
            "name": sets.keys(),
            "rows": [meta["rows"] for meta in sets.values()],
            "columns": [len(meta["columns"]) for meta in sets.values()],
            "title": [meta["title"] for meta in sets.values()],
            "source": [meta["source"] for meta in sets.values()],
        }
    )


def describe(name: str) -> pd.DataFrame:
    """Describe the columns of a bundled dataset.

    Parameters
    ----------
    name : str
        Name of the dataset, as :func:`list` shows it.

    Returns
    -------
    pandas.DataFrame
        One row for each column of the dataset, with the columns ``column``, ``type`` (``"factor"``,
        ``"integer"`` or ``"float"``), ``unit`` and ``description``. The dataset's own description and source
        are in ``attrs``.

    Raises
    ------
    DataError
        If no dataset has that name.

    Examples
    --------
    >>> from mixfit import datasets
    >>> datasets.describe("sleepstudy").set_index("column").loc["Reaction", "unit"]
    'ms'
    """
    meta = _meta(name)
    about = pd.DataFrame.from_dict(meta["columns"], orient="index")
    frame = about[["type", "unit", "description"]].rename_axis("column").reset_index()
    frame.attrs = {"title": meta["title"], "description": meta["description"], "source": meta["source"]}
    return frame


def _directory() -> Path:
    """Where the files are: inside an installed package, or beside the package in a source tree."""
    package = Path(__file__).resolve().parent
    installed = package / "_datasets"
    return installed if installed.is_dir() else package.parent / "datasets"


def _names() -> Sequence[str]:
    return sorted(path.stem for path in _directory().glob("*.json"))


def _meta(name: str) -> _Meta:
    # Looked up among the names rather than opened as a path, so that no name reaches another directory.
    names = _names()
    if name not in names:
        close = difflib.get_close_matches(str(name).lower(), names)
        hint = f"; did you mean {' or '.join(repr(match) for match in close)}?" if close else "."
        raise DataError(f"There is no bundled dataset {name!r}{hint} mixfit.datasets.list() shows them all.")
    text = (_directory() / f"{name}.json").read_text(encoding="utf-8")
    return cast("_Meta", json.loads(text))
