"""docs/scripts/check_links.py finds links that lead nowhere."""

import subprocess
import sys

import pytest

from tests.docs.pages import DOCS

SCRIPT = DOCS / "scripts" / "check_links.py"


def check(site):
    return subprocess.run([sys.executable, SCRIPT, site], capture_output=True, text=True, check=False)


@pytest.fixture
def site(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "other.html").write_text('<h2 id="here">x</h2><a href="../index.html">up</a>', encoding="utf-8")
    (tmp_path / "figure one.png").write_bytes(b"")
    return tmp_path


def test_good_links_pass(site):
    links = (
        '<a href="b/other.html#here">x</a><img src="figure%20one.png"><a href="#">t</a><a href="https://x.org">w</a>'
    )
    (site / "index.html").write_text(links, encoding="utf-8")
    run = check(site)
    assert run.returncode == 0, run.stdout
    assert "2 pages, 4 links: all good" in run.stdout


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ('<a href="c.html">x</a>', "no file c.html"),
        ('<img src="figure.png">', "no file figure.png"),
        ('<a href="b/other.html#there">x</a>', "no anchor b/other.html#there"),
        ('<a href="#nowhere">x</a>', "no anchor #nowhere"),
    ],
)
def test_broken_links_are_named(site, link, message):
    (site / "index.html").write_text(link, encoding="utf-8")
    run = check(site)
    assert run.returncode == 1
    assert message in run.stdout


def test_an_empty_site_is_an_error(tmp_path):
    assert "has no pages" in check(tmp_path).stderr
