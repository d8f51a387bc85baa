"""Parameters as a user states them, by the names of columns and groups, as the values of a model's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixfit.arguments import same_name
from mixfit.errors import ArgumentError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mixfit.fitted.stated import Slot

__all__ = ["read_parameters"]

# What `params` and lme4 call the constant.
_CONSTANT = {"(Intercept)": "Intercept"}


def read_parameters(
    known: Sequence[Slot],
    fixed: Mapping[str, float] | None = None,
    sd: Mapping[str, Any] | None = None,
    cor: Mapping[str, Any] | None = None,
    sigma: float | None = None,
    dispersion: float | Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The values that are given, by the names of the parameters.

    Parameters
    ----------
    known : sequence of Slot
        The parameters of the model.
    fixed : mapping of str to float, optional
        By the names of ``params``; ``"(Intercept)"`` is ``"Intercept"`` too.
    sd, cor : mapping, optional
        By the name of the parameter, ``"sd(Days|Subject)"``; or by group: a number where it has one such parameter, or
        a mapping of columns, and of pairs of columns, to numbers.
    sigma : float, optional
    dispersion : float or mapping of str to float, optional
        phi, or that and other parameters of the family by name.

    Returns
    -------
    dict of str to float

    Raises
    ------
    ParameterError
        For a name that the model does not have, with those that it has.
    ArgumentError
        For what is no mapping.

    Examples
    --------
    >>> import mixfit
    >>> from mixfit.fitted.stated import slots
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> known = slots(mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep))
    >>> read_parameters(known, sd={"Subject": {"(Intercept)": 25, "Days": 6}}, cor={"Subject": 0.1})
    {'sd((Intercept)|Subject)': 25, 'sd(Days|Subject)': 6, 'cor((Intercept),Days|Subject)': 0.1}
    """
    out: dict[str, float] = {}
    names = {slot.name for slot in known if slot.kind == "fixed"}
    for name, value in _mapping("fixed", fixed).items():
        own = name if name in names else same_name(_constant(str(name)), names)
        _require(own, names, "fixed", "effects of the mean and, with their predictor before them, of others")
        out[own] = value
    for kind, given in (("sd", sd), ("cor", cor)):
        own_kind = [slot for slot in known if slot.kind == kind]
        for key, value in _mapping(kind, given).items():
            for name, number in _random(own_kind, kind, key, value):
                if name in out:
                    raise ParameterError(f"{kind}= gives {name} twice.")
                out[name] = number
    if sigma is not None:
        out[_only(known, "sigma", "sigma")] = sigma
    if isinstance(dispersion, Mapping):
        shapes = {slot.name for slot in known if slot.kind in ("phi", "shape")}
        for name, value in dispersion.items():
            _require(name, shapes, "dispersion", "parameters of the family")
            out[name] = value
    elif dispersion is not None:
        out[_only(known, "phi", "dispersion")] = dispersion
    return out


def _mapping(argument: str, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{argument}= takes values by name, such as {{'x': 0.5}}, not {given!r}.")
    return given


def _constant(name: str) -> str:
    """A name with the constant as `params` has it, behind the name of a predictor too."""
    before, colon, last = name.rpartition(":")
    return before + colon + _CONSTANT.get(last, last)


def _require(name: str, names: Iterable[str], argument: str, what: str) -> None:
    if name not in names:
        listed = ", ".join(map(repr, sorted(names))) or "none"
        raise ParameterError(f"{argument}= names {name!r}, and takes {what}: {listed}.")


def _only(known: Sequence[Slot], kind: str, argument: str) -> str:
    found = next((slot.name for slot in known if slot.kind == kind), None)
    if found is None:
        has = ", ".join(repr(slot.name) for slot in known)
        raise ParameterError(f"{argument}= is given, and the model has no such parameter. It has {has}.")
    return found


def _random(own: Sequence[Slot], kind: str, key: str, value: Any) -> list[tuple[str, float]]:
    """Parameters of random terms that a key stands for, with their values."""
    if any(slot.name == key for slot in own):
        return [(key, value)]
    group = [slot for slot in own if slot.group == key]
    listed = ", ".join(repr(slot.name) for slot in own) or "none"
    if not group:
        raise ParameterError(f"{kind}= names {key!r}, and takes groups or the parameters {listed}.")
    if not isinstance(value, Mapping):
        if len(group) > 1:
            several = ", ".join(repr(slot.name) for slot in group)
            raise ParameterError(f"{kind}= gives {key!r} one number, and it has {several}: give each by its name.")
        return [(group[0].name, value)]
    by_columns = {frozenset(map(_column, slot.columns)): slot.name for slot in group}
    out = []
    for columns, number in value.items():
        pair = [columns] if isinstance(columns, str) else list(columns)
        found = by_columns.get(frozenset(_column(c) for c in pair))
        if found is None:
            several = ", ".join(repr(slot.name) for slot in group)
            raise ParameterError(f"{kind}= names {columns!r} of {key!r}, which has {several}.")
        out.append((found, number))
    return out


def _column(name: str) -> str:
    return _CONSTANT.get(name, name)
