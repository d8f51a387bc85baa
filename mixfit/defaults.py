"""What is taken where an argument is not given: `mixfit.options`, for a session or for a block of code."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from mixfit.arguments import SMALLEST_LEVEL, check_level
from mixfit.errors import FitError, UnknownNameError
from mixfit.spellings import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

__all__ = ["DDF", "PLAIN", "Block", "Ddf", "Options", "coverage", "options", "read_ddf"]

Ddf = Literal[
    "auto",
    "satterthwaite",
    "kenward-roger",
    "kenward-roger-second-order",
    "kenward-roger-observed",
    "kenward-roger-expected",
    "residual",
    "z",
]
#: Ways to find denominator degrees of freedom, by the names that ``ddf=`` takes.
DDF: tuple[str, ...] = get_args(Ddf)
# What other programs and shorthand call them: each is refused, with the name that it has here.
_OTHER_NAMES = {
    "kr": "kenward-roger",
    "kenward": "kenward-roger",
    "kenward-roger-linear": "kenward-roger",
    "kenward-roger-second": "kenward-roger-second-order",
    "satt": "satterthwaite",
    "sat": "satterthwaite",
    "asymp": "z",
    "asymptotic": "z",
    "normal": "z",
    "wald": "z",
    "inf": "z",
    "t": "auto",
    "default": "auto",
}
#: No degrees of freedom and no tests of their own: lme4's table, under lmerTest's name for it as well.
PLAIN = ("none", "lme4")


def read_ddf(value: object, others: tuple[str, ...] = ()) -> str:
    """The name of a method for degrees of freedom, whatever its case and with ``_``, ``–`` or a blank for ``-``.

    Parameters
    ----------
    value : str
    others : tuple of str
        Names that are taken here beside those of `DDF`.

    Raises
    ------
    FitError
        For another name; the message has the right one.

    Examples
    --------
    >>> read_ddf("Kenward_Roger"), read_ddf("Satterthwaite")
    ('kenward-roger', 'satterthwaite')
    >>> read_ddf("KR")
    Traceback (most recent call last):
    mixfit.errors.FitError: ddf='KR' is written ddf='kenward-roger'.
    """
    name = str(value).lower()
    for dash in ("_", " ", "\u2013"):
        name = name.replace(dash, "-")
    if name in DDF or name in others:
        return name
    if name in _OTHER_NAMES:
        raise FitError(f"ddf={value!r} is written ddf={_OTHER_NAMES[name]!r}.")
    if name in PLAIN:
        raise FitError(
            f"ddf={value!r} leaves no test, and is for summary and tidy, which then have lme4's table; tests by the "
            "normal distribution are ddf='z'."
        )
    known = (*DDF, *others)
    raise FitError(f"ddf is one of {', '.join(map(repr, known))}, not {value!r}.{nearest(name, known)}")


def _read_level(value: object) -> float:
    check_level(value)
    return float(value)  # type: ignore[arg-type]


_READERS: Mapping[str, Callable[[object], object]] = {"ddf": read_ddf, "level": _read_level}
_FIRST: Mapping[str, object] = MappingProxyType({"ddf": "auto", "level": 0.95})
# What the blocks around the running code ask for: each thread, and each task, has its own.
_HERE: ContextVar[Mapping[str, object]] = ContextVar("mixfit_options", default=MappingProxyType({}))


class Block:
    """What a call of `mixfit.options` returns: entered by ``with``, it makes its values those of the block alone.

    Parameters
    ----------
    session : Options
        Whose values the call changes.
    values : mapping
        Those of the call.
    """

    def __init__(self, session: Options, values: Mapping[str, object]) -> None:
        self._session, self._values = session, values
        self._before = session._take(values, self)
        self._tokens: list[Token[Mapping[str, object]]] = []

    def __enter__(self) -> None:
        # Given back once, and only what is still the call's: what the session took later is not its to undo.
        self._session._give_back(self._before, self)
        self._before = {}
        self._tokens.append(_HERE.set({**_HERE.get(), **self._values}))

    def __exit__(self, *error: object) -> None:
        _HERE.reset(self._tokens.pop())

    def __repr__(self) -> str:
        return repr(options)


class Options:
    """Arguments that are not given take their values from here.

    Attributes
    ----------
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}
        Denominator degrees of freedom of linear models wherever there is an argument ``ddf=``. ``"auto"`` at first.
        ``"kenward-roger"`` goes by the observed information of the variance parameters where ``residual=`` or
        ``dispersion=`` is given (SAS, mmrm), else by the expected one (pbkrtest), and without second derivatives of
        the covariance; ``"kenward-roger-observed"``, ``"kenward-roger-expected"`` and ``"kenward-roger-second-order"``
        say otherwise.
    level : float
        Coverage of intervals wherever there is an argument ``level=``. 0.95 at first.

    Examples
    --------
    For a block, as pandas' ``option_context``:

    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> with mixfit.options(ddf="z", level=0.9):
    ...     fit.conf_int().loc["Days"].round(3).tolist()
    [7.925, 13.01]
    >>> fit.conf_int(level=0.9).loc["Days"].round(3).tolist()
    [7.778, 13.156]

    Without ``with``, for all that follows, as ``set_option``; ``mixfit.options.ddf = "z"`` does the same. A block goes
    before the session, and an argument before both.

    >>> mixfit.options(ddf="z")
    <mixfit.options: ddf='z', level=0.95>
    >>> mixfit.options.reset()
    >>> mixfit.options
    <mixfit.options: ddf='auto', level=0.95>
    """

    __slots__ = ("_takers", "_values")

    ddf: str
    level: float
    _values: dict[str, object]
    # Which call each value is of; none of those that were assigned.
    _takers: dict[str, Block]

    def __init__(self) -> None:
        object.__setattr__(self, "_values", dict(_FIRST))
        object.__setattr__(self, "_takers", {})

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        _known(name)
        return _HERE.get().get(name, self._values[name])

    def __setattr__(self, name: str, value: object) -> None:
        self._values[name] = _READERS[_known(name)](value)
        self._takers.pop(name, None)

    def __call__(self, **values: object) -> Block:
        """Take other values for all that follows, or, in a ``with`` statement, for its block alone."""
        read = {name: _READERS[_known(name)](value) for name, value in values.items()}
        return Block(self, read)

    def _take(self, values: Mapping[str, object], block: Block) -> dict[str, object]:
        """Let the values of a call be those of the session; what these were."""
        before = {name: self._values[name] for name in values}
        self._values.update(values)
        self._takers.update(dict.fromkeys(values, block))
        return before

    def _give_back(self, before: Mapping[str, object], block: Block) -> None:
        """Go back to these values where those of the session are still of that call."""
        for name, value in before.items():
            if self._takers.get(name) is block:
                self._values[name] = value
                del self._takers[name]

    def reset(self) -> None:
        """Go back to the values of a new session."""
        self._values.update(_FIRST)
        self._takers.clear()

    def __dir__(self) -> list[str]:
        return [*_FIRST, "reset"]

    def __repr__(self) -> str:
        return f"<mixfit.options: {', '.join(f'{name}={getattr(self, name)!r}' for name in _FIRST)}>"


def _known(name: str) -> str:
    if name not in _FIRST:
        raise UnknownNameError(f"mixfit.options has {' and '.join(_FIRST)}, and no {name!r}.", name)
    return name


#: `mixfit.options`.
options = Options()


def coverage(level: object) -> float:
    """The coverage that is asked for, or that of `mixfit.options`.

    Raises
    ------
    ArgumentError, FitError
        For what is no coverage.

    Examples
    --------
    >>> coverage(0.9), coverage(None)
    (0.9, 0.95)
    """
    if level is None:
        return options.level
    if isinstance(level, float) and level < SMALLEST_LEVEL and _caller().startswith("statsmodels."):
        # Its tables of several results call conf_int(alpha) of whatever they are given.
        return 1.0 - level
    return _read_level(level)


def _caller() -> str:
    """Name of the module that called mixfit."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("mixfit."):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))
