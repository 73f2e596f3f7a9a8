"""One input of a stream: what a reader hands to the engine."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sophia.store.sensor_table import Sample

__all__ = ["BAD_UTF8", "CUT", "NUL", "PLAIN", "REASONS", "SURROGATE", "Event"]

PLAIN = 1
"""The event is one line of plain text: the exact line is its cache key."""
BAD_UTF8 = 2
"""Bytes of the line were not UTF-8; each broken sequence is U+FFFD in the text."""
SURROGATE = 4
"""A JSON escape gave half a surrogate pair; it is U+FFFD in the text."""
NUL = 8
"""A field holds U+0000; it is kept."""
CUT = 16
"""The line was longer than the bound; what was over it is lost."""

REASONS = (
    "too-long-line",
    "not-json",
    "not-csv",
    "not-a-number",
    "not-an-object",
    "no-text",
    "not-a-string",
    "not-utf8",
    "nul",
    "empty",
)
"""Every value of `Event.invalid`. Where a line has several faults, the first of this list is given."""

_FIELDS = (
    "n",
    "source",
    "line",
    "text",
    "scope",
    "context",
    "ts",
    "answer",
    "id",
    "label",
    "flags",
    "invalid",
    "session",
    "actor",
    "sample",
)


class Event:
    """One input. Nobody changes it after the reader has handed it out.

    Every string can be encoded as UTF-8. An event with `invalid` set is still an event: it gets a decision
    (never a reflex), it is counted, and its text is there where one could be read. Two lines that differ only
    in broken bytes may have equal texts, so nothing may be cached or learned from an invalid event.

    n        number of the event in the whole run, from 1
    source   name of the input as it was given; `-` is standard input
    line     number of the line in its source, from 1; of the first one where a CSV record has several
    text     what is decided on; None where the line has no text that could be read
    scope    whose it is; "" is the default scope
    context  conversation or session inside the scope
    ts       event time as it was written (a number as a decimal string), or None
    answer   the reply that a later identical input shall get, or None
    id       the caller's own name for it, or None
    label    known truth, for scoring only, or None
    flags    `PLAIN | BAD_UTF8 | SURROGATE | NUL | CUT`
    invalid  one of `REASONS`, or None
    session  value of a session key, or None
    actor    who said it, where somebody asks for that, or None
    sample   the numbers that the text tells, where a sensor says it, or None

    A slotted class and not a named tuple or dataclass, because each of those costs the start of the program
    more (8 ms, 15 ms) than reading ten thousand lines.

    >>> Event(1, "app.log", 7, "disk is full")
    Event(n=1, source='app.log', line=7, text='disk is full')
    """

    __slots__ = _FIELDS

    def __init__(
        self,
        n: int,
        source: str,
        line: int,
        text: str | None,
        scope: str = "",
        context: str = "",
        ts: str | None = None,
        answer: str | None = None,
        id: str | None = None,
        label: str | None = None,
        flags: int = 0,
        invalid: str | None = None,
        session: str | None = None,
        actor: str | None = None,
        sample: Sample | None = None,
    ) -> None:
        self.n = n
        self.source = source
        self.line = line
        self.text = text
        self.scope = scope
        self.context = context
        self.ts = ts
        self.answer = answer
        self.id = id
        self.label = label
        self.flags = flags
        self.invalid = invalid
        self.session = session
        self.actor = actor
        self.sample = sample

    def astuple(self) -> tuple[int | str | Sample | None, ...]:
        """The fields in the order of the constructor."""
        return (
            self.n,
            self.source,
            self.line,
            self.text,
            self.scope,
            self.context,
            self.ts,
            self.answer,
            self.id,
            self.label,
            self.flags,
            self.invalid,
            self.session,
            self.actor,
            self.sample,
        )

    def __eq__(self, other: object) -> bool:
        return self.astuple() == other.astuple() if isinstance(other, Event) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.astuple())

    def __repr__(self) -> str:
        pairs = zip(_FIELDS, self.astuple(), strict=True)
        shown = [f"{name}={value!r}" for name, value in pairs if value or name in ("n", "line", "text")]
        return f"Event({', '.join(shown)})"
