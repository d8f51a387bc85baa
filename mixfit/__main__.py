"""The command line: ``mixfit FORMULA DATA`` fits a model and prints its summary, its estimates or its predictions."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import mixfit
from mixfit import datasets
from mixfit.errors import DataError, MixfitError
from mixfit.families.resolve import resolve_family

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mixfit.families.base import Family
    from mixfit.results import GeneralizedResults, LinearResults

__all__ = ["main"]

# The column of predictions; those of ordered categories are named after it and the category.
_PREDICTED = "fitted"


def main(argv: Sequence[str] | None = None) -> int:
    """Fit the model that the arguments describe and print what they ask for.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        The exit status: 0, or 2 when the arguments, the data or the model are at fault. The fault is then
        one line on the standard error stream.

    Examples
    --------
    >>> from mixfit.__main__ import main
    >>> main(["bright ~ 1 + (1|operator)", "no/such/file.csv"])
    2
    """
    options = _parser().parse_args(argv)
    if options.family is None and options.n_agq is not None:
        return _fail("--n-agq needs a --family: a Gaussian model's likelihood has no integral to approximate.")
    if options.family is None and options.method is not None:
        return _fail("--method needs a --family: --ml chooses between the methods for Gaussian models.")
    if options.family is not None and options.ml:
        return _fail("--ml is for Gaussian models: with a --family every fit is by maximum likelihood.")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            new = None if options.predict is None else _read(options.predict)
            fit = _fit(options)
            if options.out is not None:
                _write_table(fit, options)
            print(_answer(fit, new, options), flush=True)
        except BrokenPipeError:
            # Whoever reads has had enough, as in `| head`: what Python would still write at its end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except MixfitError as error:
            return _fail(str(error))
    return 0


def _answer(fit: LinearResults | GeneralizedResults, new: pd.DataFrame | None, options: argparse.Namespace) -> str:
    """What is printed of a fit: its summary, its estimates as JSON, or predictions of new rows as CSV."""
    if options.json:
        return fit.to_json(ddf=options.ddf)
    if new is None:
        return str(fit.summary(ddf=options.ddf))
    return _predicted(fit, new).to_csv(index=False).rstrip("\n")


def _predicted(fit: LinearResults | GeneralizedResults, new: pd.DataFrame) -> pd.DataFrame:
    """The new rows with the mean response beside them, or with the probability of every category."""
    import pandas as pd

    values = fit.predict(new, allow_new_levels=True, type="response")
    if isinstance(values, pd.DataFrame):
        columns = values.add_prefix(f"{_PREDICTED}.")
    else:
        columns = pd.DataFrame({_PREDICTED: values})
    taken = [name for name in columns if name in new]
    if taken:
        raise DataError(f"The new rows have a column {taken[0]!r} already: rename it.")
    return pd.concat([new, columns], axis="columns")


def _write_table(fit: LinearResults | GeneralizedResults, options: argparse.Namespace) -> None:
    table = mixfit.table(fit, ddf=options.ddf)
    try:
        table.save(options.out)
    except OSError as error:
        raise DataError(f"Cannot write {options.out!r}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mixfit",
        description="Fit a mixed-effects model and print its summary. 'python -m mixfit' is the same command.",
        epilog="examples: mixfit 'bright ~ 1 + (1|operator)' pulp; "
        "mixfit 'use ~ age + (1|district)' contraception --family binomial",
    )
    parser.add_argument("--version", action="version", version=f"mixfit {mixfit.__version__}")
    parser.add_argument("formula", metavar="FORMULA", help="the model, as in 'y ~ x + (x|group)'")
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a bundled dataset's name, or a CSV or Parquet file (./NAME for one without an extension)",
    )
    parser.add_argument("--ml", action="store_true", help="maximum likelihood instead of REML")
    parser.add_argument("--family", metavar="F", help="response family: binomial, poisson, gamma(log), nbinom2, ...")
    parser.add_argument(
        "--n-agq",
        metavar="K",
        type=int,
        help="quadrature points a random column, with --family (default 1: Laplace; 0: its fast version)",
    )
    parser.add_argument(
        "--method",
        choices=("ml", "pql"),
        help="with --family, maximum likelihood (the default) or penalized quasi-likelihood",
    )
    parser.add_argument(
        "--ddf",
        metavar="D",
        help="degrees of freedom of the t tests of a Gaussian model: auto (the default), satterthwaite, kenward-roger, "
        "residual, z, or none for lme4's table without p-values",
    )
    parser.add_argument("--weights", metavar="W", help="prior weights: a column, or an expression of columns")
    parser.add_argument(
        "--out", metavar="FILE", help="also write a table of the model, to a .tex, .html, .md or .txt file"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--json", action="store_true", help="print the estimates as JSON instead of the summary")
    instead.add_argument(
        "--predict",
        metavar="NEW",
        help="print the rows of NEW (a file or a dataset, as DATA) with predictions, as CSV, instead of the summary",
    )
    return parser


def _fit(options: argparse.Namespace) -> LinearResults | GeneralizedResults:
    family = None if options.family is None else _family(options.family)
    model = mixfit.mixed(options.formula, _read(options.data), family=family, weights=options.weights)
    if isinstance(model, mixfit.GeneralizedMixedModel):
        return model.fit(n_agq=1 if options.n_agq is None else options.n_agq, method=options.method or "ml")
    return model.fit(reml=not options.ml)


def _family(text: str) -> Family:
    try:
        return resolve_family(text)
    except ValueError as error:
        raise DataError(str(error)) from error


def _read(data: str) -> pd.DataFrame:
    path = Path(data)
    # Names of datasets have neither a dot nor a slash.
    if not path.suffix and path.name == data:
        return datasets.load(data)
    import pandas as pd

    read = pd.read_parquet if path.suffix.lower() in {".parquet", ".pq"} else pd.read_csv
    try:
        return read(path)
    except FileNotFoundError:
        raise DataError(f"There is no file {data!r}.") from None
    # Kinds of ValueError: a file that cannot be parsed; ImportError: no reader of Parquet is installed.
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"Cannot read {data!r}: {error}") from error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as one line: where the code stands that issued it means nothing on a command line."""
    _say(f"warning: {message}")


def _fail(message: str) -> int:
    _say(message)
    return 2


def _say(message: str) -> None:
    print("mixfit:", " ".join(message.split()), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
