"""Chapters as people read them: by day, in plain text or Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from sophia.cli.rows import printable
from sophia.store.chapters import SIGNIFICANT

__all__ = ["told"]

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ROUTES = {"reflex": "reflex", "cortical": "cortical", "deep_thought": "deep thought"}
_FOREMOST = 3


def told(chapters: list[tuple[int, dict[str, Any]]], *, markdown: bool = False) -> Iterator[str]:
    """Lines, without their ends: weeks, where there are several, then days with their chapters, the latest first."""
    chapters = sorted(chapters, key=lambda one: _day(one[1]))  # a clock may have been set back between two
    by_day = [(day, list(some)) for day, some in groupby(chapters, key=lambda one: _day(one[1]))]
    weeks = [(week, list(days)) for week, days in groupby(by_day, key=lambda one: _week(one[0]))]
    heading = "## " if markdown else ""
    if len(weeks) > 1:
        for week, days in reversed(weeks):
            inside = [one for _, some in days for one in some]
            yield f"{heading}Week of {week}: {_summed(inside)}"
            if foremost := _foremost(inside):
                yield f"{'' if markdown else '  '}foremost: {_plain('; '.join(foremost), markdown)}"
            yield ""
    for day, some in reversed(by_day):
        yield f"{heading}{day}{_weekday(day)}: {_summed(some)}"
        yield ""
        small = [one for one in some if one[1].get("significance", 1.0) < SIGNIFICANT]
        for number, chapter in some:
            if chapter.get("significance", 1.0) >= SIGNIFICANT:
                yield from _chapter(number, chapter, markdown)
                yield ""
        if small:
            yield "Besides:" if markdown else "  besides:"
            if markdown:
                yield ""
            for number, chapter in small:
                again = ", again" if chapter.get("again") else ""
                where = f"{_inputs(chapter)}, {_span(chapter, markdown)}" if "from" in chapter else _inputs(chapter)
                title = _plain(chapter.get("title"), markdown)
                yield f"{'- ' if markdown else '    '}{number}. {title} ({where}{again})"
            yield ""


def _chapter(number: int, chapter: dict[str, Any], markdown: bool) -> Iterator[str]:
    indent, bullet = ("", "- ") if markdown else ("     ", "")
    title = f"{number}. {_plain(chapter.get('title'), markdown)}"
    weight = f"significance {chapter.get('significance', 1.0):.2f}"
    yield f"### {title} ({weight})" if markdown else f"  {title} ({weight})"
    if markdown:
        yield ""
    if (facts := _facts(chapter, markdown)) is not None:
        yield indent + facts
    if markdown and facts is not None:
        yield ""
    for line in chapter.get("summary", []):
        yield f"{indent}{bullet}{_plain(line, markdown)}"
    changes = [words for words in _changes(chapter, markdown) if words]
    if markdown and changes:
        yield ""
    yield from (f"{indent}{bullet}{words}" for words in changes)


def _facts(chapter: dict[str, Any], markdown: bool) -> str | None:
    """Where it lies and what became of its inputs; None for one that is no stretch of inputs, as a birth."""
    if "from" not in chapter:
        return None
    parts = [f"{_inputs(chapter)}, {_span(chapter, markdown)}"]
    whole = max(1, chapter["inputs"])
    routes = [f"{count / whole:.0%} {_ROUTES.get(route, route)}" for route, count in chapter["routes"].items() if count]
    parts.append(", ".join(routes))
    if chapter.get("answered"):
        parts.append(f"{chapter['answered']:,} answered from memory")
    for rule, count in chapter.get("danger", {}).items():
        parts.append(f"danger: {_plain(rule, markdown)} {count:,}")
    if chapter.get("alarms"):
        parts.append(_counted(chapter["alarms"], "alarm"))
    return "; ".join(parts)


def _span(chapter: dict[str, Any], markdown: bool) -> str:
    first, last = _plain(chapter["from"], markdown), _plain(chapter["to"], markdown)
    same = first.rpartition(":")[0] == last.rpartition(":")[0]
    place = f"{first} to {last.rpartition(':')[2] if same else last}"
    begun, ended = chapter.get("events", (None, None))
    return f"{place} ({_plain(begun, markdown)} to {_plain(ended, markdown)})" if begun else place


def _changes(chapter: dict[str, Any], markdown: bool) -> Iterator[str]:
    more, fewer = chapter.get("terms", []), chapter.get("fewer", [])
    if fewer:
        yield f"more: {_plain(', '.join(more), markdown) or 'nothing'}; less: {_plain(', '.join(fewer), markdown)}"
    new = chapter.get("new_patterns", 0)
    if new:
        first = chapter.get("new", [])
        yield f"{_counted(new, 'new pattern')}" + (f", as: {_plain(first[0], markdown)}" if first else "")
    for line in chapter.get("vanished", [])[:2]:
        yield f"no more: {_plain(line, markdown)}"


def _summed(chapters: list[tuple[int, dict[str, Any]]]) -> str:
    stretches = [chapter for _, chapter in chapters if "from" in chapter]
    inputs = sum(chapter["inputs"] for chapter in stretches)
    hits = sum(chapter.get("hits", 0) for chapter in stretches)
    alarms = sum(chapter.get("alarms", 0) for chapter in stretches)
    parts = [_counted(len(chapters), "chapter"), _counted(inputs, "input")]
    parts += [f"{hits:,} with danger"] * bool(hits) + [_counted(alarms, "alarm")] * bool(alarms)
    return ", ".join(parts)


def _foremost(chapters: list[tuple[int, dict[str, Any]]]) -> list[str]:
    ranked = sorted(chapters, key=lambda one: (-one[1].get("significance", 0.0), one[0]))
    return [str(chapter.get("title")) for _, chapter in ranked if "from" in chapter][:_FOREMOST]


def _day(chapter: dict[str, Any]) -> str:
    return str(chapter.get("ended", ""))[:10]


def _parsed(day: str) -> datetime | None:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:  # a clock that no calendar has
        return None


def _week(day: str) -> str:
    at = _parsed(day)
    return day if at is None else (at - timedelta(days=at.weekday())).strftime("%Y-%m-%d")


def _weekday(day: str) -> str:
    at = _parsed(day)
    return "" if at is None else f" ({_WEEKDAYS[at.weekday()]})"


def _inputs(chapter: dict[str, Any]) -> str:
    return _counted(chapter.get("inputs", 0), "input")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _plain(value: object, markdown: bool = False) -> str:
    """In one line, without what a terminal would obey; in Markdown without what it would take for a sign."""
    text = "" if value is None else printable(str(value))
    if not markdown:
        return text
    return "".join([f"\\{one}" if one in "\\`*_{}[]<>#|~" else one for one in text])
