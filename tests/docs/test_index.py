"""docs/index.md: the tour's numbers."""

import pytest

from tests.docs.pages import DOCS, run


@pytest.fixture(scope="module")
def page():
    return run("index.md")


def test_numbers_of_the_tour(page):
    fit = page.names["fit"]
    slopes = fit.params["Days"] + fit.ranef()["Subject"]["Days"]
    sd = fit.varcorr().to_frame().set_index("var1").loc["Days", "sdcor"]
    page.says(
        f"A day costs {fit.params['Days']:.1f} ms on average.",
        f"with a standard deviation of {sd:.1f} ms a day",
        "for some of them it is nearly 20, for one or two nothing at all",
        "Eighteen people",
    )
    assert len(slopes) == 18
    assert (slopes.sort_values().tail(2) > 19).all()
    assert slopes.max() < 20
    assert slopes.min() < 0 < slopes.sort_values().iloc[1] < 2


def test_what_the_tour_shows(page):
    summary, anova, kenward_roger = page.printed, page.cells[-2].value, page.cells[-4].value
    assert "REML criterion at convergence: 1743.6" in summary
    assert round(anova["Chisq"].iloc[1], 3) == 42.837
    assert kenward_roger["DenDF"].round(6).tolist() == [17.0]
    shares = page.cells[-1].value.frame["prob"]
    assert (shares.diff().dropna() < 0).all(), "less and less of them"
    assert page.names["cows"]["herd"].nunique() == 15


def test_every_page_is_in_a_section():
    """Each page of the directory stands in the table of contents of a section."""
    sections = "".join((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("stories", "guides", "computing"))
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index", "stories", "guides", "computing"}
    for name in pages:
        assert f"({name}.md)" in sections, name
        assert f"\n{name}\n" in sections, name
