"""Labels of levels that are the same although their types are not: 308, 308.0 and "308"; a date and its text.

A file that is read anew, or one missing value, changes the type of a column. Labels of two types are compared by their
texts, so that "308.0" is 308 but "0308" is not. What is no text of the other type at all is an error, not a new level.
"""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["match"]

_KINDS = {
    "boolean": "truth values",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "decimal": "numbers",
    "string": "text",
    "datetime64": "dates",
    "datetime": "dates",
    "date": "dates",
    "empty": "nothing",
}
# Labels that an error lists before it breaks off.
_LISTED = 5
# An integer beyond it has no float of its own.
_LARGEST_INTEGER = 2**53


def match(values: pd.Series, levels: pd.Index, name: str) -> NDArray[np.intp]:
    """Code of each value among `levels`, -1 where it is missing or not among them.

    Parameters
    ----------
    values : Series, shape (m,)
    levels : pandas.Index, shape (q,)
        Of the fit.
    name : str
        Of the column, for errors.

    Returns
    -------
    ndarray of intp, shape (m,)

    Raises
    ------
    DataError
        For labels of another type than the levels, whose texts are none of that type.

    Examples
    --------
    >>> match(pd.Series(["308", "309", None, "400"]), pd.Index([308, 309]), "Subject").tolist()
    [0, 1, -1, -1]
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, found = values.array.codes.astype(np.intp), values.dtype.categories
        used = np.bincount(codes[codes >= 0], minlength=len(found)) > 0
        # A category that no row has is no label of the data.
        places = np.full(len(found), -1, dtype=np.intp)
        places[used] = _places(levels, found[used], name)
    else:
        raw, unique = pd.factorize(values)
        codes, found = np.asarray(raw, dtype=np.intp), pd.Index(unique)
        places = _places(levels, found, name)
    return np.append(places, np.intp(-1))[codes]


def _places(levels: pd.Index, found: pd.Index, name: str) -> NDArray[np.intp]:
    kind, new = _kind(levels), _kind(found)
    if kind == new or not len(found):
        if kind == "dates":
            levels, found = pd.DatetimeIndex(levels), pd.DatetimeIndex(found)
        places = levels.get_indexer(found).astype(np.intp)
        if kind == "text" and (places < 0).any():
            # Numbers that a missing value had made floats before they became text: "308.0" for "308".
            alike = _by_text(_texts(levels, kind, "numbers"), _texts(found, kind, "numbers"))
            places = np.where(places < 0, alike, places)
        return places
    mine, theirs = _texts(levels, kind, new), _texts(found, new, kind)
    readable = any(text is not None for text in mine)
    strange = [label for label, text in zip(found, theirs, strict=True) if text is None or not readable]
    if strange:
        listed = ", ".join(map(repr, strange[:_LISTED])) + (", ..." if len(strange) > _LISTED else "")
        raise DataError(
            f"Grouping factor {name!r} holds {new} here ({listed}), but {kind} in the fit "
            f"(such as {levels.tolist()[0]!r}): give it labels like those of the fit."
        )
    return _by_text(mine, theirs)


def _by_text(mine: Sequence[str | None], theirs: Sequence[str | None]) -> NDArray[np.intp]:
    """Place of each of their texts among mine, -1 where there is none, or where two levels have it."""
    counts = Counter(mine)
    place = {text: j for j, text in enumerate(mine) if text is not None and counts[text] == 1}
    return np.array([-1 if text is None else place.get(text, -1) for text in theirs], dtype=np.intp)


def _kind(labels: pd.Index) -> str:
    inferred = labels.inferred_type
    if isinstance(labels, pd.DatetimeIndex) and labels.tz is not None:
        return "times in a zone"
    return _KINDS.get(inferred, inferred)


def _texts(labels: pd.Index, own: str, other: str) -> list[str | None]:
    """How labels would be written as those of another kind; None where they cannot be."""
    write = _WRITERS.get((own, other))
    return [None if write is None else write(label) for label in labels]


def _number(label: object) -> str | None:
    value = float(label)  # type: ignore[arg-type]
    return str(int(value)) if value == np.trunc(value) and abs(value) <= _LARGEST_INTEGER else str(label)


def _number_in_text(label: object) -> str | None:
    text = str(label)
    try:
        value = float(text)
    except ValueError:
        return None
    written = _number(value)
    return written if text in (written, str(value)) else None


def _date(label: object) -> str | None:
    stamp = pd.Timestamp(label)  # type: ignore[arg-type]
    return str(stamp.date()) if stamp.tzinfo is None and stamp == stamp.normalize() else str(stamp)


def _date_in_text(label: object) -> str | None:
    try:
        return _date(datetime.datetime.fromisoformat(str(label)))
    except ValueError:
        return None


def _truth_in_text(label: object) -> str | None:
    return str(label) if str(label) in ("False", "True") else None


_WRITERS: dict[tuple[str, str], Callable[[object], str | None]] = {
    ("text", "numbers"): _number_in_text,
    ("numbers", "text"): _number,
    ("dates", "text"): _date,
    ("text", "dates"): _date_in_text,
    ("times in a zone", "text"): _date,
    ("text", "times in a zone"): _date_in_text,
    ("truth values", "text"): str,
    ("text", "truth values"): _truth_in_text,
}
