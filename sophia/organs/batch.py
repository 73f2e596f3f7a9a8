"""A batch: inputs by column, and the decisions that were made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sophia._core.decision import Decision
from sophia._core.rhythm import Alarm
from sophia.store.changes import Changes

if TYPE_CHECKING:
    from sophia.store.sensor_table import Sample
    from sophia.store.session_table import Session

__all__ = ["Batch", "Columns", "check_session", "is_line"]


class Columns:
    """One batch of inputs by column; a column of None means that no input has that property.

    `lines` says which inputs are log lines and not messages, `faults` which could not be read. `stamps` are event times
    as they were given, `sources` where an input came from: each has a clock of its own. `samples` are what sensors say.
    """

    __slots__ = (
        "answers",
        "contexts",
        "faults",
        "lines",
        "names",
        "samples",
        "scopes",
        "sessions",
        "sources",
        "stamps",
        "texts",
    )

    def __init__(
        self,
        texts: list[str | None],
        *,
        scopes: list[str | None] | None = None,
        contexts: list[str | None] | None = None,
        answers: list[str | None] | None = None,
        stamps: list[str | None] | None = None,
        names: list[str | None] | None = None,
        lines: list[bool] | None = None,
        faults: list[str | None] | None = None,
        sessions: list[str | None] | None = None,
        sources: list[str | None] | None = None,
        samples: list[Sample | None] | None = None,
    ) -> None:
        self.texts = texts
        self.scopes = scopes
        self.contexts = contexts
        self.answers = answers
        self.stamps = stamps
        self.names = names
        self.lines = lines
        self.faults = faults
        self.sessions = sessions
        self.sources = sources
        self.samples = samples

    @classmethod
    def of(
        cls, inputs: Sequence[str | Mapping[str, Any]], scope: str | None, context: str | None, *, line: bool
    ) -> Columns:
        """Texts and objects by column; `scope` and `context` are those of an object that names none."""
        objects = [{"text": item} if isinstance(item, str) else item for item in inputs]
        for item in objects:
            if not isinstance(item, Mapping) or "text" not in item:
                message = f"an input is a str or an object with a text, not {item!r:.80}"
                raise TypeError(message)
            check_session(item.get("session"))
        column = {key: [item.get(key) for item in objects] for key in ("text", "answer", "ts", "id", "session")}
        sources = [item.get("source", "") for item in objects]
        for source in sources:
            if not isinstance(source, str):
                message = f"source takes a str, not {type(source).__name__}"
                raise TypeError(message)
        return cls(
            column["text"],
            scopes=[item.get("scope", scope) for item in objects],
            contexts=[item.get("context", context) for item in objects],
            answers=column["answer"],
            stamps=column["ts"],
            names=column["id"],
            lines=[line] * len(inputs),
            sessions=column["session"] if any(column["session"]) else None,
            sources=sources,
        )

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """The inputs of several batches as one."""
        made: dict[str, Any] = {}
        for name in cls.__slots__:
            values = [getattr(part, name) for part in parts]
            if any(one is not None for one in values):
                made[name] = [
                    value
                    for part, one in zip(parts, values, strict=True)
                    for value in (one if one is not None else [False if name == "lines" else None] * len(part.texts))
                ]
        return cls(**made)

    def some(self, start: int, end: int) -> Columns:
        """The inputs from `start` on and before `end`."""
        made: dict[str, Any] = {}
        for name in self.__slots__:
            column = getattr(self, name)
            made[name] = None if column is None else column[start:end]
        return Columns(**made)

    @property
    def chars(self) -> int:
        """About what the inputs cost to keep, in characters; counted on each call."""
        texts = sum([len(text) for text in self.texts if text is not None])
        return texts + sum([len(answer) for answer in self.answers or () if answer is not None])


@dataclass(frozen=True, slots=True)
class Batch:
    """What :meth:`sophia.Sophia.decide` gives: decisions, numbered from `n`, made of `columns` at the time `at`.

    `changes` is what the batches before have taught, where it is time to commit that: in one step with these inputs,
    before the decisions are told. Of a `whole` batch it is what the batch itself has taught as well, in the place of
    its inputs, which are too large to keep.
    """

    decisions: list[Decision]
    columns: Columns
    n: int
    at: float
    changes: Changes | None
    whole: bool = False
    ended: list[Session] = field(default_factory=list)
    """Sessions that its inputs, or the want of room, have ended."""
    alarms: list[Alarm] = field(default_factory=list)
    """Of patterns that came too seldom or too often, by the input at which that was noticed."""
    away: bool = False
    """The store did not answer when it was decided, so nothing was learned of it."""
    settings: dict[str, object] = field(default_factory=dict)
    """Those that it was decided by, but for usual ones; `rules` are the files of its danger rules."""
    rules: list[str] = field(default_factory=list)

    def takes(self, other: Batch) -> bool:
        """Whether `other` may be told together with this one: it comes right after it, and nothing must be committed
        between the two."""
        follows = other.n == self.n + len(self.decisions) and other.away == self.away
        follows = follows and other.settings is self.settings and other.rules is self.rules
        return not self.whole and other.changes is None and follows

    @classmethod
    def joined(cls, parts: Sequence[Batch]) -> Batch:
        """Batches of which each takes the next, as one: their inputs are committed together."""
        first = parts[0]
        if len(parts) == 1:
            return first
        decisions = [decision for part in parts for decision in part.decisions]
        columns = Columns.joined([part.columns for part in parts])
        ended = [session for part in parts for session in part.ended]
        alarms = [alarm for part in parts for alarm in part.alarms]
        return replace(first, decisions=decisions, columns=columns, ended=ended, alarms=alarms)


def is_line(kind: str) -> bool:
    """Whether a kind of input is compared as it stands; ValueError for another word than "message" and "line"."""
    if kind not in ("message", "line"):
        message = f"kind is {kind!r}; use 'message' or 'line'"
        raise ValueError(message)
    return kind == "line"


def check_session(session: object) -> None:
    """TypeError for what is no name of a session; before anything is learned of the input."""
    if session is not None and not isinstance(session, str):
        message = f"session takes a str, not {type(session).__name__}"
        raise TypeError(message)
