import numpy as np
import pandas as pd

from mixfit.tables.table import Table

FRAME = pd.DataFrame(
    {"npar": [3, 4], "AIC": [23.7319, 22.5199], "Chisq": [np.nan, 2.568361], "Pr(>Chisq)": [np.nan, 0.0035]},
    index=["m0", "m1"],
)


def test_prints_as_r_prints_a_likelihood_ratio_table():
    table = Table(FRAME, heading=("Models:",), p_column="Pr(>Chisq)", notes=("refitted by ML",))
    assert str(table).splitlines() == [
        "Models:",
        "   npar    AIC  Chisq Pr(>Chisq)",
        "m0    3 23.732",
        "m1    4 22.520 2.5684     0.0035 **",
        "---",
        "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        "refitted by ML",
    ]


def test_codes_and_index_can_be_left_out():
    table = Table(FRAME, p_column="Pr(>Chisq)", significance=False, show_index=False, decimals={"AIC": 1})
    assert str(table).splitlines() == [" npar  AIC  Chisq Pr(>Chisq)", "    3 23.7", "    4 22.5 2.5684     0.0035"]


def test_html_escapes_and_carries_notes():
    html = Table(FRAME, p_column="Pr(>Chisq)", notes=("a < b",))._repr_html_()
    assert "Pr(&gt;Chisq)" in html
    assert "<p>a &lt; b</p>" in html
    assert '<td style="text-align:right">2.5684</td>' in html


def test_words_stand_as_they_are_and_the_frame_is_a_copy():
    table = Table(pd.DataFrame({"term": ["a", "b"], "x": [1.0, 2.0]}), show_index=False)
    frame = table.to_frame()
    frame.loc[0, "x"] = 9.0
    assert table["x"].tolist() == [1.0, 2.0]
    assert len(table) == 2
    assert "   a" in str(table)


def test_more_p_values_and_what_is_nothing_beside_the_rest():
    frame = pd.DataFrame(
        {"LRT": [42.795792, 7e-9], "mix": [3.04e-11, 0.4999], "p": [6.08e-11, 0.9999]}, index=["a", "b"]
    )
    assert str(Table(frame, p_column="p", more_p_columns=("mix",))).splitlines()[:3] == [
        "     LRT      mix        p",
        "a 42.796 3.04e-11 6.08e-11 ***",
        "b  0.000   0.4999   0.9999",
    ]
