"""What users of other programs type, and how it is written here: one table, from which errors are made.

Names are looked up without case, dots and underscores, so that ``re.form``, ``reForm`` and ``RE_FORM`` are one entry.
"""

from __future__ import annotations

from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["argument", "key", "nearest", "of_argument", "of_attribute", "of_module"]

_FORMULA = "groups are terms of the formula: 'y ~ x + (1 | g)'"
_NO_SETTINGS = "the optimizer has no settings, and fit.certificate says how good its optimum is"
_SAMPLE = "mixfit.mixed(formula, data).fit().sample(), or fit(priors=...)"
_METHOD = "it is a method of a fit: mixfit.mixed(formula, data).fit().{}"

# Keyword arguments: the name here, or a sentence.
_ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "reml": "reml= is an argument of fit() of linear models; others are fitted by maximum likelihood",
        "nagq": "n_agq",
        "control": _NO_SETTINGS,
        "optimizer": _NO_SETTINGS,
        "maxiter": _NO_SETTINGS,
        "tol": _NO_SETTINGS,
        "verbose": "the logger 'mixfit' has evaluations at level DEBUG, and fit.certificate says how the fit ended",
        "ziformula": "zi",
        "dispformula": "dispersion",
        "rcorr": "residual",
        "correlation": "residual",
        "naaction": "na_action",
        "missing": "na_action",
        "groups": _FORMULA,
        "group": _FORMULA,
        "random": _FORMULA,
        "reformula": _FORMULA,
        "vcformula": _FORMULA,
        "alpha": "level",
        "conflevel": "level",
        "confidence": "level",
        "ci": "level",
        "prob": "level",
        "newdata": "newdata",
        "data": "newdata",
        "exog": "newdata",
        "reform": "re_form",
        "includere": "re_form",
        "allownewlevels": "allow_new_levels",
        "sefit": "se",
        "nsim": "n",
        "nboot": "n",
        "n": "n_sim",
        "reps": "n",
        "df": "ddf",
        "lmerdf": "ddf",
        "uset": "ddf",
        "vcov": "robust covariances are fit.robust('CR2'), which has the tests and intervals too",
        "covtype": "robust covariances are fit.robust('CR2'), which has the tests and intervals too",
        "parm": "which",
        "term": "which",
        "condvar": "condsd",
        "postvar": "condsd",
        "component": "predictor",
        "prior": "priors",
        "iter": "draws",
        "randomstate": "seed",
        "type": "type",
        "infer": "intervals are conf_int(), and tests are test()",
        "ref": "the reference is the first level in 'trt.vs.ctrl1', the last in 'trt.vs.ctrlk'; coefficients have any",
        "power": "target",
        "cv": "by",
        "folds": "by",
        "nfolds": "by",
        "nsplits": "by",
        "params": "parameters are stated by fixed=, sd=, cor= and sigma=",
    }
)

# Where an argument is one, for the functions that do not have it.
_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "n_agq": "n_agq= is an argument of fit() of generalized models",
        "zi": "zi= is an argument of mixed() with a family",
        "dispersion": "dispersion= is an argument of mixed()",
        "residual": "residual= is an argument of mixed()",
        "na_action": "na_action= is an argument of mixed()",
        "newdata": "data are given to mixed(), and new ones to predict() as newdata=",
        "priors": "priors= is an argument of fit() and of sample()",
        "level": "level=, the coverage, is an argument of what gives intervals",
        "ddf": "ddf= is an argument of what tests fixed effects or gives intervals of them",
        "type": "type= is an argument of emmeans() and predict(), and contrasts are on the scale of their means",
        "target": "target= is an argument of sample_size() and smallest_effect()",
        "by": "by= is an argument of cross_validate()",
        "n_sim": "n= is an argument of simulate() and bootstrap(), and n_sim= of power()",
    }
)

# Attributes of fits and models: an expression in their place.
_ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "feparams": "params",
        "fixedeffects": "params",
        "coefficients": "params (coef() has those of every level)",
        "beta": "params",
        "reparams": "theta, or varcorr() for standard deviations and correlations",
        "randomeffects": "ranef()",
        "randomeffectscov": "ranef(condsd=True)",
        "getranef": "ranef()",
        "blup": "ranef()",
        "covre": "varcorr()",
        "vcomp": "varcorr()",
        "se": "bse",
        "bsefe": "bse",
        "bsere": "conf_int(which='random')",
        "stderr": "bse",
        "stderrors": "bse",
        "standarderrors": "bse",
        "loglik": "llf",
        "loglike": "llf",
        "vcov": "cov_params()",
        "covfe": "cov_params()",
        "fitted": "fittedvalues",
        "fevalues": "predict(re_form='population')",
        "formula": "model.formula",
        "formulatext": "model.formula",
        "getme": "theta, Lambda, u, and model.exog, model.exog_re, model.endog",
        "bootmer": "bootstrap()",
        "profilere": "profile(which='random')",
        "isreml": "reml",
        "toword": "save('table.docx')",
        "asword": "save('table.docx')",
        "todocx": "save('table.docx')",
        "ngrps": "summary().groups",
        "ngroups": "summary().groups",
        "groups": "model.groups",
        "dfresidual": "df_resid",
        "dfres": "df_resid",
        "lsmeans": "emmeans()",
        "means": "emmeans()",
        "ftest": "contest(), or anova() for terms",
        "waldtestterms": "anova()",
        "contrast": "contest(), or emmeans(...).contrast()",
        "predictinterval": "get_prediction(...).conf_int(obs=True)",
        "rsquared": "r2()",
        "zvalues": "tvalues",
        "pvals": "pvalues",
        "lrt": "mixfit.anova(fit, other)",
        "comparelrtest": "mixfit.anova(fit, other)",
        "krmodcomp": "mixfit.kr_modcomp(fit, other)",
        "pbmodcomp": "mixfit.pb_modcomp(fit, other)",
        "fitregularized": "fit(priors=...)",
        "params": "coef(), or estimates of many fits",
        "vif": "collinearity()",
        "checkcollinearity": "collinearity()",
        "checkoverdispersion": "residual_tests(), and of generalized models overdispersion()",
        "performance": "check_model(), or mixfit.compare(fit, other)",
        "modelperformance": "check_model(), or mixfit.compare(fit, other)",
        "power": "with_params().power(test)",
        "powersim": "with_params().power(test)",
        "samplesize": "with_params().sample_size(test, along)",
        "crossvalidate": "mixfit.cross_validate(fit)",
        "allsubsets": "mixfit.all_subsets(fit)",
        "dredge": "mixfit.all_subsets(fit)",
        "compare": "mixfit.compare(fit, other)",
        "table": "mixfit.table([fit, other])",
    }
)

# What only some kinds of fits have, by the kind.
_LINEAR = "caic cohens_d epsilon_squared eta_squared omega_squared ranova reml_fit variogram vcov_kr"
_GENERALIZED = "binned_residuals bse_theta dispersion dispersion_se frequencies overdispersion shapes zvalues"
_NOT_NONLINEAR = (
    "anova avg_comparisons avg_predictions avg_slopes bse_of check_model collinearity compare_families drop1 effects "
    "emmeans emtrends heritability icc icc_interval joint_tests loadings params_of r2 robust sample standardize step "
    "with_params"
)
# What every kind of fit has, and who looks for it in the package.
_METHODS = (
    "bootstrap cooks_distance dfbeta get_prediction hatvalues plot quantile_residuals re_pca residual_tests t_test "
    "test to_json ttest wald_test"
)
_KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(_LINEAR.split(), "linear"),
        **dict.fromkeys(_GENERALIZED.split(), "generalized"),
        **dict.fromkeys(_NOT_NONLINEAR.split(), "linear, generalized and ordinal"),
    }
)

# Names of the package: an expression in their place.
_MODULE: Mapping[str, str] = MappingProxyType(
    {
        "lmer": "mixfit.mixed(formula, data).fit()",
        "lme": "mixfit.mixed('y ~ x + (x | g)', data).fit()",
        "gls": "mixfit.mixed(formula, data, residual=...).fit()",
        "mixedlm": "mixfit.mixed('y ~ x + (x | g)', data).fit()",
        "mixedlmresults": "mixfit.mixed('y ~ x + (x | g)', data).fit()",
        "glmer": "mixfit.mixed(formula, data, family=...).fit()",
        "glmernb": "mixfit.mixed(formula, data, family='nbinom2').fit()",
        "glmmtmb": "mixfit.mixed(formula, data, family=..., zi=..., dispersion=...).fit()",
        "glmmpql": "mixfit.mixed(formula, data, family=...).fit(method='pql')",
        "binomialbayesmixedglm": _SAMPLE,
        "clmm": "mixfit.mixed(formula, data, family='cumulative').fit()",
        "clm": "mixfit.mixed(formula, data, family='cumulative').fit()",
        "mmrm": "mixfit.mixed(formula, data, residual='us(visit | subject)').fit()",
        "nlmer": "mixfit.nonlinear(formula, data).fit()",
        "nlme": "mixfit.nonlinear(formula, data).fit()",
        "brm": _SAMPLE,
        "stanlmer": _SAMPLE,
        "stanglmer": _SAMPLE,
        "loaddata": "mixfit.datasets.load(name)",
        "loaddataset": "mixfit.datasets.load(name)",
        "load": "mixfit.datasets.load(name)",
        "lsmeans": "mixfit.emmeans(fit, specs)",
        "lrt": "mixfit.anova(fit, other)",
        "dredge": "mixfit.all_subsets(fit)",
        "compareperformance": "mixfit.compare(fit, other)",
        "power": "mixfit.design(...).power(test), or fit.with_params().power(test)",
        "powersim": "mixfit.design(...).power(test), or fit.with_params().power(test)",
        "samplesize": "mixfit.design(...).sample_size(test, along), or fit.with_params().sample_size(test, along)",
        "modelsummary": "mixfit.table([fit, other])",
        "stargazer": "mixfit.table([fit, other])",
        "makelmer": "mixfit.design(formula, mixfit.grid(...), fixed=..., sd=..., sigma=...)",
        **{
            name: _METHOD.format(here)
            for name, here in {
                "summary": "summary()",
                "fixef": "fixef",
                "ranef": "ranef()",
                "varcorr": "varcorr()",
                "coef": "coef()",
                "predict": "predict(newdata)",
                "simulate": "simulate(n)",
                "vcov": "cov_params()",
                "loglik": "llf",
                "residuals": "residuals(kind)",
                "fitted": "fittedvalues",
                "profile": "profile()",
                "bootmer": "bootstrap(n)",
                "ranova": "ranova()",
                "drop1": "drop1()",
                "contest": "contest(L)",
                "tidy": "tidy()",
                "glance": "glance()",
                "augment": "augment()",
                "icc": "icc()",
                "r2": "r2()",
                "issingular": "is_singular",
                "influence": "influence()",
                "getme": "theta, fit.Lambda, fit.u",
            }.items()
        },
    }
)

# Values of arguments, whatever the argument: the value here.
_VALUES: Mapping[str, str] = MappingProxyType(
    {
        "bonf": "bonferroni",
        "zprob": "zero",
        "zlink": "link",
        "disp": "dispersion",
        "cond": "conditional",
        "mu": "conditional",
        "lp": "link",
        "linear": "link",
        "boot": "bootstrap",
        "percentile": "bootstrap",
        "quantile": "bootstrap",
        "raw": "response",
        "standardized": "scaled",
        "std": "scaled",
    }
)


def key(name: str) -> str:
    """A name without case, dots and underscores.

    Examples
    --------
    >>> key("re.form"), key("VarCorr"), key("fe_params")
    ('reform', 'varcorr', 'feparams')
    """
    return name.lower().replace(".", "").replace("_", "").replace("-", "")


def nearest(value: object, known: Iterable[str]) -> str:
    """What was probably meant, as the end of a message; nothing where that cannot be told.

    Parameters
    ----------
    value : str
    known : iterable of str

    Examples
    --------
    >>> nearest("bonf", ["none", "holm", "bonferroni"]), nearest("x", ["none"])
    (" Did you mean 'bonferroni'?", '')
    """
    names = list(known)
    here = _VALUES.get(key(str(value)))
    if here in names:
        return f" Did you mean {here!r}?"
    found = _like(str(value), names)
    return f" Did you mean {found!r}?" if found else ""


def argument(name: str) -> str | None:
    """The name here of an argument that other programs call otherwise; None where there is none.

    Examples
    --------
    >>> argument("conf.level"), argument("level")
    ('level', None)
    """
    here = _ARGUMENTS.get(key(name))
    return here if here is not None and here.isidentifier() and here != name else None


def of_argument(name: str, known: Iterable[str]) -> str:
    """How an argument is written that a function does not have; `known` are those that it has."""
    names = list(known)
    same = {key(other): other for other in names}
    here = _ARGUMENTS.get(key(name))
    if key(name) in same:
        return f"it is written {same[key(name)]}="
    if here not in names:
        # What repeats something is n= here, and n_sim= where it is a power that is simulated.
        here = _ARGUMENTS.get(key(here or ""), here)
    if here is not None and here.isidentifier():
        return f"it is written {here}=" if here in names else _ELSEWHERE.get(here, f"{here}= is not an argument of it")
    if here is not None:
        return here
    found = _like(name, names)
    if found:
        return f"did you mean {found}=?"
    return f"it takes {', '.join(f'{other}=' for other in names)}" if names else "it takes no arguments by name"


def of_attribute(name: str, known: Iterable[str]) -> str:
    """How an attribute is written that an object does not have; `known` are those that it has."""
    names = [other for other in known if not other.startswith("_")]
    same = {key(other): other for other in names}
    if key(name) in same:
        return f"it is written {same[key(name)]!r}"
    if key(name) in _ATTRIBUTES:
        return f"it is {_ATTRIBUTES[key(name)]}"
    if name in _KINDS:
        # A view of a fit has that as `plain`.
        return f"it is plain.{name}, of the fit itself" if "plain" in names else f"only {_KINDS[name]} fits have it"
    found = _like(name, names)
    return f"did you mean {found!r}?" if found else "dir() lists what there is"


def of_module(name: str, known: Iterable[str]) -> str:
    """How a name of the package is written that it does not have; `known` are those that it has."""
    names = list(known)
    same = {key(other): other for other in names}
    if key(name) in same:
        return f"it is written mixfit.{same[key(name)]}"
    if key(name) in _MODULE:
        here = _MODULE[key(name)]
        return here if here.startswith("it is") else f"it is {here}"
    if name in _KINDS or name in _METHODS.split():
        return _METHOD.format(f"{name}()")
    found = _like(name, names)
    return f"did you mean mixfit.{found}?" if found else "dir(mixfit) lists what there is"


def _like(name: str, names: list[str]) -> str | None:
    """The one name that begins so, or the nearest."""
    begun = [other for other in names if key(other).startswith(key(name))]
    if len(begun) == 1 and len(name) > 1:
        return begun[0]
    near = get_close_matches(name, names, 1)
    return near[0] if near else None
