"""A posterior as other packages hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import MissingPackageError

if TYPE_CHECKING:
    from mixfit.bayes.draws import PosteriorDraws

__all__ = ["to_arviz"]


def to_arviz(posterior: PosteriorDraws) -> Any:
    """Return the draws as ArviZ holds them, a DataTree, which saves itself as netCDF or zarr.

    Returns
    -------
    xarray.DataTree
        Group ``posterior``: every parameter by its name, with dimensions ``chain`` and ``draw``, and ``ranef(g)`` with
        the levels and columns of a grouping factor; group ``observed_data``: the response, and of
        ``censored(time, event)`` the times and ``event``; of Hamiltonian Monte Carlo ``sample_stats`` with ``energy``.
        A slash in a name, which would be a path in the tree, is written as a division sign.

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
    >>> tree.to_netcdf("dyestuff.nc")  # doctest: +SKIP
    >>> tree.to_zarr("dyestuff.zarr")  # doctest: +SKIP
    """
    try:
        from arviz_base import from_dict
    except ImportError as error:
        raise MissingPackageError("to_arviz needs arviz-base: pip install 'mixfit[bayes]'.") from error
    names, x = posterior.named(ranef=False)
    values: dict[str, Any] = {_path_free(name): x[:, :, j] for j, name in enumerate(names)}
    coords: dict[str, Any] = {}
    dims: dict[str, list[str]] = {}
    design = posterior.fit.model.design
    for name, effects, r in zip(posterior.effect_groups, posterior.kept.effects, design.random, strict=True):
        key = _path_free(name)
        values[key] = effects
        dims[key] = [f"{key} level", f"{key} column"]
        coords |= {f"{key} level": [str(level) for level in r.grouping.levels], f"{key} column": list(r.columns)}
    response = _path_free(design.endog_name)
    observed = {response: design.y}
    if getattr(design, "censored", False):
        observed = {response: np.abs(design.y), "event": design.y > 0.0}
    groups: dict[str, dict[str, Any]] = {"posterior": values, "observed_data": observed}
    if posterior.sampler.energy is not None:
        groups["sample_stats"] = {"energy": posterior.sampler.energy}
    return from_dict(groups, coords=coords, dims=dims)


def _path_free(name: str) -> str:
    return name.replace("/", "÷")
