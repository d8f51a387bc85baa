"""Check the links of the built pages.

    python docs/scripts/check_links.py docs/_build/html

names every link, image, style sheet or script whose file or anchor does not exist, and fails if there is one.
``--external`` also asks the web for every address outside.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = {"a": "href", "img": "src", "link": "href", "script": "src"}
# What the theme makes for the page's own scripts.
NO_TARGETS = {"", "#"}


@dataclass
class Page(HTMLParser):
    """Addresses that a page names, and anchors that it has."""

    links: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag's address and anchors."""
        found = dict(attrs)
        self.anchors |= {name for name in (found.get("id"), found.get("name")) if name}
        address = found.get(ADDRESSES.get(tag, ""))
        if address and address not in NO_TARGETS:
            self.links.add(address)


def read(site: Path) -> dict[Path, Page]:
    """All pages of a site, parsed; what a theme keeps under _static are its templates."""
    pages = {}
    for path in sorted(path for path in site.rglob("*.html") if "_static" not in path.parts):
        pages[path.resolve()] = page = Page()
        page.feed(path.read_text(encoding="utf-8"))
    return pages


def broken(pages: dict[Path, Page]) -> Iterator[str]:
    """Links between the pages that lead nowhere."""
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                yield f"{path}: no file {link}"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{path}: no anchor {link}"


def unreachable(pages: dict[Path, Page]) -> Iterator[str]:
    """Addresses outside that do not answer."""
    links = {link for page in pages.values() for link in page.links if urlsplit(link).scheme in {"http", "https"}}
    for link in sorted(links):
        try:
            urlopen(Request(link, headers={"User-Agent": "mixfit-docs"}), timeout=20).close()
        except (URLError, TimeoutError) as error:
            yield f"{link}: {error}"


def main() -> None:
    """Print what is broken."""
    parser = argparse.ArgumentParser(description="Check the links of the built pages.")
    parser.add_argument("site", type=Path, help="directory of the built pages")
    parser.add_argument("--external", action="store_true", help="also ask the web for addresses outside")
    options = parser.parse_args()
    pages = read(options.site)
    if not pages:
        sys.exit(f"{options.site} has no pages")
    found = [*broken(pages), *(unreachable(pages) if options.external else [])]
    print("\n".join(found) or f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links: all good")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
