"""Fits in files: a line that says which version of mixfit wrote it, and the fit as it pickles."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixfit.arguments import check_folder
from mixfit.errors import MissingFileError, SavedFitError
from mixfit.helped import helped
from mixfit.version import __version__

if TYPE_CHECKING:
    import os

__all__ = ["load", "save"]

# What every file begins with. The version follows, up to the end of the line.
_SIGNATURE = b"mixfit fit, version "
# Longer than any version: a file of something else need not have lines.
_LONGEST_VERSION = 100


def save(fit: object, path: str | os.PathLike[str]) -> None:
    """Write the fit to a file, for `mixfit.load`.

    The file holds the model and its estimates, not the data frame that they were made of: what a fit can do without it
    the one that is loaded can do too, but not ``update`` without ``data=``.

    Parameters
    ----------
    path : str or path
        As in ``"growth.mixfit"``. A file of that name is replaced.

    Raises
    ------
    SavedFitError
        Where the model holds what cannot be pickled, such as a function without a name in the formula's context.
    MissingFileError
        Where there is no such folder.

    Examples
    --------
    >>> import mixfit, tempfile, pathlib
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "pulp.mixfit"
    ...     fit.save(path)
    ...     print(mixfit.load(path))
    <LinearResults: bright ~ 1 + (1 | operator), REML, 20 observations>
    """
    check_folder(path)
    try:
        content = pickle.dumps(fit)
    # The three that pickle raises, by what it is that has no name.
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SavedFitError(
            f"This fit cannot be saved, because something in it cannot be pickled: {error}. Functions of a formula can "
            "be where they are defined in a module."
        ) from error
    Path(path).write_bytes(_SIGNATURE + __version__.encode() + b"\n" + content)


@helped
def load(path: str | os.PathLike[str]) -> Any:
    """Read a fit that ``fit.save(path)`` wrote.

    Parameters
    ----------
    path : str or path
        Load only what you trust: as every pickle, such a file can hold code that runs when it is read.

    Returns
    -------
    LinearResults, GeneralizedResults, OrdinalResults, MultinomialResults or NonlinearResults

    Raises
    ------
    SavedFitError
        Where the file is no saved fit, is damaged, or was written by another version of mixfit: what is inside a fit
        changes between versions. The estimates alone last longer as ``fit.to_json()``.
    MissingFileError
        Where there is no such file.

    Examples
    --------
    >>> import mixfit, tempfile, pathlib
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "pulp.mixfit"
    ...     fit.save(path)
    ...     mixfit.load(path).llf == fit.llf
    True
    """
    name = str(path)
    if not Path(path).exists():
        raise MissingFileError(f"There is no file {name!r}: give the path that fit.save() wrote to.")
    with Path(path).open("rb") as file:
        first = file.readline(len(_SIGNATURE) + _LONGEST_VERSION)
        if not (first.startswith(_SIGNATURE) and first.endswith(b"\n")):
            raise SavedFitError(f"{name!r} was not written by fit.save().")
        version = first.removeprefix(_SIGNATURE).decode(errors="replace").strip()
        if version != __version__:
            raise SavedFitError(
                f"{name!r} was saved by mixfit {version}, and this is {__version__}: load it with that version, or fit "
                "the model again."
            )
        content = file.read()
    try:
        return pickle.loads(content)
    # What a pickle raises that is cut off or changed, or whose classes other packages have moved, is anything.
    except Exception as error:
        raise SavedFitError(
            f"{name!r} cannot be read: it is damaged, or was saved with other versions of numpy, pandas or formulaic "
            f"({type(error).__name__}: {error})."
        ) from error
