"""Bytes in any pieces, and the events that are read of them."""

from __future__ import annotations

from collections.abc import Iterator

from sophia.stream import REASONS, Counts, Event, Source, read_batches


class Pieces(Source):
    """Bytes in the pieces in which they are given."""

    __slots__ = ("_pieces",)

    def __init__(self, *pieces: bytes, name: str = "pieces", live: bool = False) -> None:
        super().__init__(name=name)
        self._pieces = pieces
        self.live = live

    def raw(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.bytes_read += len(piece)
            yield piece


def read(*pieces: bytes, **options: object) -> tuple[list[Event], Counts]:
    reader = read_batches([Pieces(*pieces)], **options)  # type: ignore[arg-type]
    events = [event for batch in reader for event in batch]
    counts = reader.counts
    assert counts.lines == counts.events + counts.blank + counts.header + counts.continued
    assert counts.events == len(events)
    assert [event.n for event in events] == list(range(1, len(events) + 1))
    assert sum(counts.bad.values()) == sum(event.invalid is not None for event in events) == counts.bad_total
    assert set(counts.bad) <= set(REASONS)
    for event in events:
        for value in event.astuple():
            if isinstance(value, str):
                value.encode()
    return events, counts


def one(line: bytes | str, **options: object) -> Event:
    events, _ = read(line if isinstance(line, bytes) else line.encode(), **{"format": "jsonl", **options})
    assert len(events) == 1
    return events[0]
