"""A posterior as other packages hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import MissingPackageError

if TYPE_CHECKING:
    from mixfit.bayes.draws import PosteriorDraws

__all__ = ["to_arviz"]


def to_arviz(posterior: PosteriorDraws) -> Any:
    """Return the draws as ArviZ holds them, a DataTree.

    Returns
    -------
    xarray.DataTree
        Group ``posterior``: every parameter by its name, with dimensions ``chain`` and ``draw``, and ``ranef(g)`` with
        the levels and columns of a grouping factor; group ``observed_data``: the response, and of
        ``censored(time, event)`` the times and ``event``.

    Raises
    ------
    MissingPackageError
        Without arviz-base: ``pip install 'mixfit[bayes]'``.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    >>> tree = fit.sample(seed=1).to_arviz()  # doctest: +SKIP
    >>> tree.posterior["sigma"].sizes  # doctest: +SKIP
    Frozen({'chain': 4, 'draw': 1000})
    """
    try:
        from arviz_base import from_dict
    except ImportError as error:
        raise MissingPackageError("to_arviz needs arviz-base: pip install 'mixfit[bayes]'.") from error
    names, x = posterior.named(ranef=False)
    values: dict[str, Any] = {name: x[:, :, j] for j, name in enumerate(names)}
    coords: dict[str, Any] = {}
    dims: dict[str, list[str]] = {}
    design = posterior.fit.model.design
    for name, effects, r in zip(posterior.effect_groups, posterior.kept.effects, design.random, strict=True):
        values[name] = effects
        dims[name] = [f"{name} level", f"{name} column"]
        coords |= {f"{name} level": [str(level) for level in r.grouping.levels], f"{name} column": list(r.columns)}
    observed = {design.endog_name: design.y}
    if getattr(design, "censored", False):
        observed = {design.endog_name: np.abs(design.y), "event": design.y > 0.0}
    return from_dict({"posterior": values, "observed_data": observed}, coords=coords, dims=dims)
