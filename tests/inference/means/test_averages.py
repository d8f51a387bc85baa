"""Average predictions, comparisons and slopes: against sums by hand, and marginaleffects where it is installed."""

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import DataError, FitError

RNG = np.random.default_rng(11)
N = 120
DATA = pd.DataFrame(
    {
        "a": RNG.choice(["p", "q", "r"], N),
        "flag": RNG.choice([0, 1], N),
        "x": RNG.normal(size=N),
        "w": RNG.uniform(1.0, 4.0, N),
        "e": RNG.uniform(1.0, 3.0, N),
        "g": np.repeat(np.arange(12), 10),
    }
)
GROUP = np.repeat(RNG.normal(0.0, 0.5, 12), 10)
ETA = 0.3 * DATA["x"] + 0.4 * (DATA["a"] == "q") + GROUP
DATA["n"] = RNG.poisson(DATA["e"] * np.exp(ETA)) * RNG.binomial(1, 0.8, N)
DATA["s"] = RNG.binomial(1, 1 / (1 + np.exp(-ETA)))
DATA["y"] = ETA + RNG.normal(size=N)


@pytest.fixture(scope="module")
def linear():
    return mixfit.mixed("y ~ a * x + np.log(w) + (1 | g)", DATA).fit()


@pytest.fixture(scope="module")
def binary():
    return mixfit.mixed("s ~ a + x * flag + np.log(w) + (x | g)", DATA, family="binomial").fit()


@pytest.fixture(scope="module")
def counts():
    return mixfit.mixed("n ~ a + x + offset(np.log(e)) + (1 | g)", DATA, family="poisson", zi="~ x").fit()


def by_differences(fit, function):
    """Derivatives of a function of the coefficients of the mean, by central differences."""
    beta = fit.params.to_numpy()
    out = np.zeros(len(beta))
    for j in range(len(beta)):
        step = np.zeros(len(beta))
        step[j] = 1e-6
        out[j] = (function(beta + step) - function(beta - step)) / 2e-6
    return out


def columns(fit, data):
    return fit.model.design.reader.read_fixed(data)[:, fit.model.kept]


def expit(eta):
    return 1 / (1 + np.exp(-eta))


def test_average_predictions_are_averages_of_predictions(binary, linear):
    for fit in (binary, linear):
        found = fit.avg_predictions(by="a")
        expected = fit.predict(DATA, re_form="population").groupby(DATA["a"]).mean()
        np.testing.assert_allclose(found["estimate"], expected, rtol=1e-10)
        assert found["a"].tolist() == ["p", "q", "r"]
    X = columns(binary, DATA)
    J = by_differences(binary, lambda beta: expit(X @ beta).mean())
    error = np.sqrt(J @ binary.cov_params().to_numpy() @ J)
    assert binary.avg_predictions()["SE"][0] == pytest.approx(error, rel=1e-7)


def test_slopes_of_a_linear_model_are_contrasts_with_its_degrees_of_freedom(linear):
    found = linear.avg_slopes("x", by="a")
    trends = linear.emtrends("a", var="x")
    for ours, theirs in (("estimate", "x.trend"), ("SE", "SE"), ("df", "df"), ("lower.CL", "lower.CL")):
        np.testing.assert_allclose(found[ours], trends[theirs], rtol=1e-9)
    curved = linear.avg_slopes("w")["estimate"][0]
    assert curved == pytest.approx(linear.params["np.log(w)"] * (1 / DATA["w"]).mean(), rel=1e-10)
    assert (linear.avg_slopes("x", ddf="z")["df"] == np.inf).all()


def test_slopes_of_probabilities_are_derivatives_with_errors_by_the_delta_method(binary):
    def slope(beta):
        step = 1e-5
        high, low = (columns(binary, DATA.assign(x=DATA["x"] + s)) for s in (step, -step))
        return ((expit(high @ beta) - expit(low @ beta)) / (2 * step)).mean()

    found = binary.avg_slopes("x")
    assert found["estimate"][0] == pytest.approx(slope(binary.params.to_numpy()), rel=1e-7)
    J = by_differences(binary, slope)
    assert found["SE"][0] == pytest.approx(np.sqrt(J @ binary.cov_params().to_numpy() @ J), rel=1e-4)
    everything = binary.avg_slopes()
    assert everything["term"].tolist() == ["a", "a", "x", "flag", "w"]
    assert everything["contrast"].tolist() == ["q - p", "r - p", "dY/dX", "1 - 0", "dY/dX"]


def test_comparisons_set_all_rows_to_two_values(binary):
    beta, V = binary.params.to_numpy(), binary.cov_params().to_numpy()
    high, low = (columns(binary, DATA.assign(a=level)) for level in ("q", "p"))

    def means(b):
        return expit(high @ b).mean(), expit(low @ b).mean()

    functions = {
        "difference": lambda b: means(b)[0] - means(b)[1],
        "lnratio": lambda b: np.log(means(b)[0] / means(b)[1]),
        "lnor": lambda b: np.diff([np.log(m / (1 - m)) for m in means(b)[::-1]])[0],
    }
    for comparison, function in functions.items():
        found = binary.avg_comparisons({"a": ("p", "q")}, comparison=comparison)
        J = by_differences(binary, function)
        assert found["estimate"][0] == pytest.approx(function(beta), rel=1e-10)
        assert found["SE"][0] == pytest.approx(np.sqrt(J @ V @ J), rel=1e-6)
    ratio = binary.avg_comparisons({"a": ("p", "q")}, comparison="ratio")
    logs = binary.avg_comparisons({"a": ("p", "q")}, comparison="lnratio")
    np.testing.assert_allclose(np.log(ratio["lower.CL"]), logs["lower.CL"])
    assert ratio["p.value"][0] == pytest.approx(logs["p.value"][0])
    assert ratio["contrast"].tolist() == ["mean(q) / mean(p)"]


def test_kinds_of_comparisons(linear):
    def named(spec, name="a"):
        return linear.avg_comparisons({name: spec})["contrast"].tolist()

    assert named("pairwise") == ["q - p", "r - p", "r - q"]
    assert named("revpairwise") == ["p - q", "p - r", "q - r"]
    assert named("sequential") == ["q - p", "r - q"]
    slope = linear.avg_slopes("x")["estimate"][0]
    for spec, size in ((2, 2.0), ("sd", DATA["x"].std()), ("2sd", 2 * DATA["x"].std()), ((-1, 2), 3.0)):
        assert linear.avg_comparisons({"x": spec})["estimate"][0] == pytest.approx(size * slope, rel=1e-9)
    assert named("minmax", "x") == ["Max - Min"]
    assert named(0.5, "x") == ["+0.5"]
    for spec, words in (("each", "compared by one of"), (("p", "z"), "two of its values")):
        with pytest.raises(FitError, match=words):
            named(spec)
    with pytest.raises(FitError, match="a number, two values"):
        named("q1", "x")
    with pytest.raises(FitError, match="'z' is no variable"):
        linear.avg_comparisons("z")
    with pytest.raises(FitError, match="comparison is one of"):
        linear.avg_comparisons("a", comparison="lift")
    with pytest.raises(FitError, match="Odds ratios are of probabilities"):
        linear.avg_comparisons("a", comparison="lnor")


def test_counterfactual_predictions_have_the_comparisons_as_differences(binary):
    found = binary.avg_predictions(variables={"a": ["p", "r"]})
    expected = binary.avg_comparisons({"a": ("p", "r")})
    assert found["estimate"][1] - found["estimate"][0] == pytest.approx(expected["estimate"][0], rel=1e-10)
    d = np.array([-1.0, 1.0])
    assert d @ found.cov @ d == pytest.approx(expected["SE"][0] ** 2, rel=1e-9)
    assert len(binary.avg_predictions(variables="a", by="flag")) == 6


def test_averages_over_the_population_of_groups(binary):
    found = binary.avg_predictions(re_form="marginal")
    assert found["estimate"][0] == pytest.approx(binary.predict(DATA, re_form="marginal").mean(), rel=1e-10)
    step = 1e-4
    high, low = (binary.predict(DATA.assign(x=DATA["x"] + s), re_form="marginal").mean() for s in (step, -step))
    # the random slope makes the spread of groups depend on x too
    slope = binary.avg_slopes("x", re_form="marginal")
    assert slope["estimate"][0] == pytest.approx((high - low) / (2 * step), rel=1e-6)
    assert slope["estimate"][0] != pytest.approx(binary.avg_slopes("x")["estimate"][0], rel=1e-3)
    assert "Means are averaged over the random effects." in slope.notes


def test_several_predictors_enter_a_response(counts):
    response = counts.avg_slopes("x")
    step = 1e-5
    high, low = (counts.predict(DATA.assign(x=DATA["x"] + s), re_form="population").mean() for s in (step, -step))
    assert response["estimate"][0] == pytest.approx((high - low) / (2 * step), rel=1e-7)
    zero = counts.avg_slopes("x", what="zero")
    p = counts.predict(DATA, what="zero", re_form="population")
    assert zero["estimate"][0] == pytest.approx(counts.params_of("zi")["x"] * (p * (1 - p)).mean(), rel=1e-9)
    one = counts.avg_predictions(newdata=DATA.head(1))
    expected = counts.predict(DATA.head(1), re_form="population", se=True)
    assert one["SE"][0] == pytest.approx(expected["mean_se"].iloc[0], rel=1e-10)
    assert one["estimate"][0] == pytest.approx(expected["mean"].iloc[0], rel=1e-12)
    assert counts.avg_slopes("x", what="link")["estimate"][0] == pytest.approx(counts.params["x"], rel=1e-10)


def test_offsets_of_the_rows_count():
    given = mixfit.mixed("n ~ x + (1 | g)", DATA, family="poisson", offset=np.log(DATA["e"]).to_numpy()).fit()
    written = mixfit.mixed("n ~ x + offset(np.log(e)) + (1 | g)", DATA, family="poisson").fit()
    assert given.avg_predictions()["estimate"][0] == pytest.approx(written.avg_predictions()["estimate"][0], rel=1e-6)
    with pytest.raises(DataError, match="offset= as an array"):
        given.avg_slopes("x")


def test_what_averages_refuse(binary, linear):
    with pytest.raises(DataError, match="no column 'h' to average by"):
        binary.avg_predictions(by="h")
    with pytest.raises(DataError, match="no rows"):
        binary.avg_predictions(newdata=DATA.head(0))
    with pytest.raises(FitError, match="no probability of a further zero"):
        binary.avg_predictions(what="zero")
    with pytest.raises(FitError, match="what is one of"):
        binary.avg_predictions(what="mean")
    with pytest.raises(FitError, match="what is 'response'"):
        linear.avg_predictions(what="zero")
    with pytest.raises(FitError, match="re_form is"):
        linear.avg_predictions(re_form="all")


def test_new_rows_may_be_of_another_library(linear):
    pl = pytest.importorskip("polars")
    rows = DATA.head(7)
    found = linear.avg_predictions(newdata=pl.from_pandas(rows), by="a")
    pd.testing.assert_frame_equal(found.frame, linear.avg_predictions(newdata=rows, by="a").frame)


def test_transformed_responses_are_named():
    fit = mixfit.mixed("np.log(w) ~ x + (1 | g)", DATA).fit()
    assert fit.avg_slopes().notes[0] == "Averages over rows, of np.log(w)"
    constant = mixfit.mixed("y ~ 1 + (1 | g)", DATA).fit()
    assert constant.avg_predictions()["estimate"][0] == pytest.approx(constant.params["Intercept"])
    with pytest.raises(FitError, match="no variables in its fixed effects"):
        constant.avg_slopes()


def test_averages_print_as_a_table(binary):
    text = str(binary.avg_slopes("x", by="a"))
    assert text.splitlines()[0].split() == [
        "term", "contrast", "a", "estimate", "SE", "df", "z.ratio", "p.value", "asymp.LCL", "asymp.UCL",
    ]  # fmt: skip
    assert "Averages over rows, of mean responses" in text
    assert "<table" in binary.avg_slopes("x")._repr_html_()


@pytest.mark.parametrize("which", ["linear", "binary"])
def test_agrees_with_marginaleffects(which, request):
    me = pytest.importorskip("marginaleffects")
    fit = request.getfixturevalue(which)
    adapter = mixfit.marginaleffects_adapter(fit)
    options = {"ddf": "z"} if which == "linear" else {}
    for ours, theirs, rtol in (
        (fit.avg_predictions(by="a", **options), me.avg_predictions(adapter, by="a"), 1e-6),
        (fit.avg_slopes("x", by="a", **options), me.slopes(adapter, variables="x", by="a", eps_vcov=1e-4), 1e-4),
        (fit.avg_comparisons("x", **options), me.avg_comparisons(adapter, variables="x"), 1e-6),
        (fit.avg_comparisons("a", **options), me.avg_comparisons(adapter, variables="a"), 1e-6),
    ):
        np.testing.assert_allclose(ours["estimate"], theirs["estimate"].to_numpy(), rtol=1e-6)
        np.testing.assert_allclose(ours["SE"], theirs["std_error"].to_numpy(), rtol=rtol)
