"""Bars that show how far something is."""

from __future__ import annotations

import warnings
from typing import Any

__all__ = ["progress_bar"]

# Seconds that a computation runs before a bar appears.
_PATIENCE = 2.0


def progress_bar(n: int | None, *, progress: bool, unit: str = "refit", **options: Any) -> Any:
    """Open a bar that shows itself to those who have waited for a while.

    Parameters
    ----------
    n : int, or None
        How many there are, where that is known.
    progress : bool
        Whether there is a bar.
    unit : str
        Of what.
    **options
        Others of tqdm's.
    """
    if not progress:
        # tqdm.auto warns in notebooks without ipywidgets, which concerns nobody who wants no bar.
        from tqdm.std import tqdm as no_bar

        return no_bar(disable=True)
    from tqdm.std import TqdmWarning

    with warnings.catch_warnings():
        # That a notebook lacks widgets is no trouble: the bar is text there.
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm
    return tqdm(total=n, delay=_PATIENCE, unit=unit, **options)
