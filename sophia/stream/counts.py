"""What a reader has seen: every line of every input is in one of these numbers."""

from __future__ import annotations

__all__ = ["Counts"]

MAX_ERRORS = 100


class Counts:
    """Totals over all inputs; plain integers, updated before the events they count are handed out.

    `lines == events + blank + header + continued` holds after each batch but for a CSV record that is still
    open, and always at the end. A counter of one reader, not shared between threads.
    """

    __slots__ = ("bad", "blank", "bytes", "continued", "errors", "events", "formats", "header", "lines", "notes")

    def __init__(self) -> None:
        self.lines = 0
        """Lines read, the last one of an input also when it lacks its line break."""
        self.events = 0
        self.blank = 0
        """Lines with nothing but white space."""
        self.header = 0
        """CSV header lines."""
        self.continued = 0
        """Second and later lines of CSV records that have line breaks inside."""
        self.bad: dict[str, int] = {}
        """Events by reason of being invalid; a subset of `events`."""
        self.bytes: dict[str, int] = {}
        """Bytes taken from each source, compressed where the source is."""
        self.formats: dict[str, str] = {}
        """Format in which each source was read: jsonl, csv or lines."""
        self.errors: list[str] = []
        """One sentence for each source that could not be read to its end."""
        self.notes: list[str] = []
        """What a user may have meant otherwise, in a sentence for each source."""

    def add_error(self, sentence: str) -> None:
        """Notes it once; a followed input can go on failing in new ways, so the first 100 are kept."""
        if len(self.errors) < MAX_ERRORS and sentence not in self.errors:
            self.errors.append(sentence)

    def add_note(self, sentence: str) -> None:
        """Kept like an error; it is none."""
        if len(self.notes) < MAX_ERRORS and sentence not in self.notes:
            self.notes.append(sentence)

    @property
    def bad_total(self) -> int:
        return sum(self.bad.values())

    def as_dict(self) -> dict[str, object]:
        """The numbers under stable names, ready for JSON."""
        return {
            "lines": self.lines,
            "events": self.events,
            "blank": self.blank,
            "header": self.header,
            "continued": self.continued,
            "bad": dict(sorted(self.bad.items())),
            "bytes": dict(self.bytes),
            "formats": dict(self.formats),
            "errors": list(self.errors),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        return f"Counts({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"
