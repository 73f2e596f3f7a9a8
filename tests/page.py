"""What a report page is made of, read with the standard library's parser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

_VOID = {"meta", "br", "link", "img", "input", "hr"}
# May stand in a page that does nothing and loads nothing.
_HARMLESS = {
    "html", "head", "meta", "title", "style", "body", "div", "header", "main", "section", "nav", "footer", "h1", "h2",
    "h3", "p", "a", "b", "br", "ul", "li", "dl", "dt", "dd", "span", "small", "bdi", "mark", "table", "caption",
    "thead", "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption", "svg", "g", "path", "text",
    "use", "defs", "clippath", "rect",
}  # fmt: skip
_BLOCKS = {"td", "th", "tr", "li", "p", "div", "dt", "dd", "h1", "h2", "h3", "caption", "summary", "section"}


class Page(HTMLParser):
    """Elements and attributes of a page; `faults` says what is not well-formed."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.faults: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if len({name for name, _ in attrs}) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1:]} at {self.getpos()}")
        else:
            self._open.pop()
        if tag in _BLOCKS:
            self.texts.append(" ")

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All words that a reader sees, blanks collapsed."""
        return re.sub(r"\s+", " ", "".join(self.texts))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def check(self) -> None:
        """Well-formed, inert, complete in itself, and usable without eyes."""
        assert self.faults == []
        names = {tag for tag, _ in self.tags}
        assert names <= _HARMLESS, names - _HARMLESS
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        for tag, attributes in self.tags:
            for name, value in attributes.items():
                assert not name.startswith("on"), (tag, name)
                if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                    assert value.startswith("#"), (tag, value)
                    assert value[1:] in ids, value
                for link in re.findall(r"url\(([^)]*)\)", value):
                    assert link.startswith("#"), value
                    assert link[1:] in ids, value
        (style,) = re.findall(r"<style>(.*?)</style>", self.source, re.S)
        assert not re.search(r"url\(|@import|@font-face|expression", style)
        policies = [meta["content"] for meta in self.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
        assert len(policies) == 1
        assert "default-src 'none'" in policies[0]
        # nothing that a terminal, an editor or a browser would act upon instead of showing it
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", self.source)
        assert all(cell.get("scope") in ("col", "row") for cell in self.all("th"))
        assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in self.all("svg"))
        levels = [int(tag[1]) for tag, _ in self.tags if re.fullmatch(r"h\d", tag)]
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert self.all("html")[0]["lang"] == "en"
        assert len(self.source.encode()) < 1_500_000
