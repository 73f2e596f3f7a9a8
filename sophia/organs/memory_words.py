"""What is said of a memory, or of those that are asked for: names, tags, times and numbers, checked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import index
from typing import Any

from sophia.organs.memory_index import Choice
from sophia.store.memories import EARLIEST, LATEST, SEEN

__all__ = ["checked", "choice_of", "refuse_surrogates", "when", "whole"]

_NAME = 4096  # characters of a scope, context, actor, kind or tag
_ANSWER = 1 << 20
_TAGS = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def checked(said: dict[str, Any], now: int) -> dict[str, Any]:
    """The arguments of `Hippocampus.remember` beside the content, as a row has them; `now` in microseconds."""
    given = dict(said)
    made: dict[str, Any] = {}
    for name, usual in (("scope", ""), ("context", ""), ("actor", ""), ("kind", "note")):
        made[name] = _text(given.pop(name, usual), name)
    if made["kind"] in SEEN:
        message = f"kind {made['kind']!r} is that of memories that brains make of inputs, and let go; use another"
        raise ValueError(message)
    answer = given.pop("answer", None)
    made["answer"] = None if answer is None else _text(answer, "answer", _ANSWER)
    tags = given.pop("tags", ())
    if isinstance(tags, str):
        message = f"tags is {tags!r}; give a list of them"
        raise TypeError(message)
    made["tags"] = tuple(sorted({_text(tag, "tag") for tag in (() if tags is None else tags)}))
    if len(made["tags"]) > _TAGS:
        message = f"{len(made['tags'])} tags; a memory has at most {_TAGS}"
        raise ValueError(message)
    ts = when(given.pop("ts", None), "ts")
    made["ts"] = now if ts is None else ts
    made["raised"] = now
    made["valence"] = _number(given.pop("valence", 0.0), "valence", -1.0)
    made["strength"] = _number(given.pop("strength", 1.0), "strength", 0.0)
    if given:
        message = f"a memory has no {sorted(given)[0]!r}"
        raise TypeError(message)
    return made


def whole(id: object) -> int:
    """An id, of numpy's kinds too. TypeError for what is no whole number."""
    if isinstance(id, bool):
        message = "an id is a whole number, not a bool"
        raise TypeError(message)
    return index(id)  # type: ignore[arg-type]


def _text(value: object, name: str, most: int = _NAME) -> str:
    if not isinstance(value, str):
        message = f"{name} is of type {type(value).__name__}; it is a str"
        raise TypeError(message)
    if len(value) > most:
        message = f"{name} has {len(value):,} characters; at most {most:,}"
        raise ValueError(message)
    refuse_surrogates(value, name)
    return value


def refuse_surrogates(text: str, name: str) -> None:
    """ValueError for a text that UTF-8 has no bytes for."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = f"{name} has a lone surrogate at character {error.start}, which no file can keep; replace it"
        raise ValueError(message) from None


def _number(value: object, name: str, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{name} is of type {type(value).__name__}; it is a number"
        raise TypeError(message)
    if not least <= value <= 1.0:  # NaN is not
        message = f"{name} is {value}; it is {least:g} to 1"
        raise ValueError(message)
    return float(value) + 0.0  # a zero without a sign, as SQLite keeps it


def when(value: datetime | float | None, name: str) -> int | None:
    """Microseconds since the epoch; a naive datetime is UTC."""
    if value is None:
        return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return _in_calendar((aware - _EPOCH) // timedelta(microseconds=1), value, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{name} is of type {type(value).__name__}; it is a datetime, or seconds since the epoch"
        raise TypeError(message)
    if not abs(value) < 1e12:  # NaN is not
        return _in_calendar(EARLIEST - 1, value, name)
    return _in_calendar(round(value * 1e6), value, name)


def _in_calendar(microseconds: int, value: object, name: str) -> int:
    if not EARLIEST <= microseconds <= LATEST:
        message = f"{name} is {str(value)[:40]}; it is a datetime or seconds since the epoch, in the years 1 to 9999"
        raise ValueError(message)
    return microseconds


def choice_of(
    scope: str | None = None,
    context: str | None = None,
    actor: str | None = None,
    kinds: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    valence: tuple[float, float] | None = None,
) -> Choice:
    """The arguments of `Hippocampus.recall` that choose."""
    for name, value in (("kinds", kinds), ("tags", tags)):
        if isinstance(value, str):
            message = f"{name} is {value!r}; give a list of them"
            raise TypeError(message)
    if valence is not None:
        low, high = valence
        valence = _number(low, "valence", -1.0), _number(high, "valence", -1.0)
    return Choice(
        scope=None if scope is None else _text(scope, "scope"),
        context=None if context is None else _text(context, "context"),
        actor=None if actor is None else _text(actor, "actor"),
        kinds=None if kinds is None else tuple([_text(kind, "kind") for kind in kinds]),
        tags=tuple([_text(tag, "tag") for tag in (() if tags is None else tags)]),
        since=when(since, "since"),
        until=when(until, "until"),
        valence=valence,
    )
