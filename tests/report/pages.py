"""A page as a browser reads it."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

LAYERWISE = {"sweeps", "batches", "seconds", "endings", "gaps", "confusion", "weights", "mistakes"}


class Page(HTMLParser):
    """Tags that are open, addresses, images, and the text of tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.images: list[tuple[str, bytes]] = []
        self.rows: list[list[str]] = []
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)
        self.addresses += [
            value for name, value in found.items() if name in ("src", "href") and value
        ]
        if tag == "img":
            assert found["alt"]
            self.images.append(
                (str(found["alt"]), base64.b64decode(str(found["src"]).partition("base64,")[2]))
            )
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def page_of(folder: Path) -> Page:
    page = Page(folder / "report.html")
    assert not page.open
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    return page
