"""What is computed from fits, and how fast mixfit has to be at it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TASKS", "Task"]


@dataclass(frozen=True)
class Task:
    """One computation on one data set: a function of ``tasks_mixfit.py`` and one of ``tasks.R``.

    Attributes
    ----------
    name : str
        As ``--case`` takes it, and the name of both functions.
    title : str
        As the table shows it.
    data : str
        The name of its data in ``data.SOURCES``.
    rival : str
        The R package that does the same, or ``fit`` for mixfit's own fit of the model.
    demand : float
        The largest allowed ratio of mixfit's median time to the rival's.
    repeats, rival_repeats : int
    compared : str
        What the numbers are that both are asked for.
    tolerance : float
        Their largest relative difference; simulations agree within their error only.
    """

    name: str
    title: str
    data: str
    rival: str
    demand: float
    repeats: int
    rival_repeats: int
    compared: str
    tolerance: float


TASKS = (
    Task(
        "pb_modcomp",
        "`pb_modcomp`, 1,000 replicates, penicillin",
        "penicillin",
        "pbkrtest",
        0.01,
        repeats=15,
        rival_repeats=1,
        compared="LRT, p",
        tolerance=0.2,
    ),
    Task(
        "bootstrap_intervals",
        "bootstrap intervals, 1,000 replicates, sleepstudy slopes",
        "sleepstudy",
        "lme4",
        0.05,
        repeats=5,
        rival_repeats=1,
        compared="limits of the slope",
        tolerance=0.1,
    ),
    Task(
        "power",
        "power, 1,000 simulated experiments, sleepstudy slopes",
        "sleepstudy",
        "lme4",
        0.01,
        repeats=15,
        rival_repeats=1,
        compared="share of z tests that reject",
        tolerance=0.15,
    ),
    Task(
        "profile_intervals",
        "profile intervals, sleepstudy slopes",
        "sleepstudy",
        "lme4",
        0.02,
        repeats=15,
        rival_repeats=3,
        compared="all limits",
        tolerance=1e-3,
    ),
    Task(
        "exact_rlrt",
        "exact RLRT, 10,000 simulations, pulp",
        "pulp",
        "RLRsim",
        1.0,
        repeats=15,
        rival_repeats=15,
        compared="RLRT",
        tolerance=1e-6,
    ),
    Task(
        "kr_exam",
        "Kenward–Roger F, 4,059 rows in 65 groups, random slopes",
        "exam",
        "pbkrtest",
        0.05,
        repeats=15,
        rival_repeats=3,
        compared="F, ddf",
        tolerance=1e-4,
    ),
    Task(
        "kr_insteval",
        "Kenward–Roger F, InstEval, against the fit itself",
        "insteval",
        "fit",
        5.0,
        repeats=5,
        rival_repeats=5,
        compared="",
        tolerance=0.0,
    ),
    Task(
        "growth_laplace",
        "fit of logistic curves, 500 groups, Laplace, against nlmer",
        "growth",
        "lme4",
        0.1,
        repeats=15,
        rival_repeats=1,
        compared="fixed effects",
        tolerance=1e-2,
    ),
    Task(
        "growth_lb",
        "the same by Lindstrom and Bates, against nlme",
        "growth",
        "nlme",
        0.3,
        repeats=15,
        rival_repeats=5,
        compared="fixed effects",
        tolerance=1e-3,
    ),
    Task(
        "orange_laplace",
        "fit of logistic curves, 5 orange trees, Laplace, against nlmer",
        "orange",
        "lme4",
        0.1,
        repeats=30,
        rival_repeats=5,
        compared="fixed effects",
        tolerance=1e-2,
    ),
    Task(
        "orange_lb",
        "the same by Lindstrom and Bates, against nlme",
        "orange",
        "nlme",
        0.3,
        repeats=30,
        rival_repeats=15,
        compared="fixed effects",
        tolerance=1e-3,
    ),
)
