"""The chapters of a run as its report tells them: words and numbers, no markup."""

from __future__ import annotations

from typing import Any

from sophia.store.chapters import SIGNIFICANT
from sophia.stream.mask import excerpt
from sophia.stream.summary import Summary

__all__ = ["story_of"]

_SHOWN = 40
_SMALL = 100
_TITLE = 100
_QUOTE = 240
_GONE = 3


def story_of(summary: Summary) -> dict[str, Any] | None:
    """What the report tells of chapters; None where there is none."""
    if not summary.chapters:
        return None
    significant = summary.significant
    small = [one for one in summary.chapters if one["significance"] < SIGNIFICANT]
    return {
        "told": len(summary.chapters),
        "shown": [_chapter(one) for one in significant[:_SHOWN]],
        "more": max(0, len(significant) - _SHOWN),
        "small": [_chapter(one) for one in small[:_SMALL]],
        "unwoven": summary.unwoven,
    }


def _chapter(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": _plain(one["title"], _TITLE),
        "significance": f"{one['significance']:.2f}",
        "inputs": one["inputs"],
        "from": _place(one["from"]),
        "to": _place(one["to"]),
        "routes": list(one["routes"].items()),
        "hits": one["hits"],
        "alarms": one["alarms"],
        "answered": one["answered"],
        "summary": [_quote(line) for line in one["summary"]],
        "more": _plain(", ".join(one["terms"]), _QUOTE),
        "less": _plain(", ".join(one["fewer"]), _QUOTE),
        "new": one["new_patterns"],
        "vanished": [_plain(line, _QUOTE) for line in one["vanished"][:_GONE]],
        "again": one["again"] is not None,
    }


def _quote(line: str) -> tuple[str, str]:
    """The place of a quoted input, and its words."""
    source, _, words = line.partition(": ")
    return _place(source), _plain(words, _QUOTE)


def _place(place: str) -> str:
    source, _, line = place.rpartition(":")
    name = "standard input" if source == "-" else source.rsplit("/", 1)[-1] or source
    return f"{_plain(name, _TITLE)}:{line}"


def _plain(text: str, length: int) -> str:
    return "".join([part.text for part in excerpt(text[: 4 * length], width=length)])
