"""Byte streams in pieces, read by the readers of `sophia run`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from pieces import Pieces

from sophia.errors import InputError
from sophia.stream import REASONS, Counts, Event, read_batches

__all__ = ["outcome", "read", "same_in_pieces", "split"]


def read(pieces: Sequence[bytes], *, live: bool = False, **options: Any) -> tuple[list[Event], Counts]:
    """All events, and the counts; what must hold of any input is checked."""
    reader = read_batches([Pieces(*pieces, live=live)], **options)
    events = [event for batch in reader for event in batch]
    counts = reader.counts
    assert counts.lines == counts.events + counts.blank + counts.header + counts.continued
    assert [event.n for event in events] == list(range(1, len(events) + 1))
    assert all(event.invalid is None or event.invalid in REASONS for event in events)
    for event in events:
        for value in event.astuple():
            if isinstance(value, str):
                value.encode()
    return events, counts


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """`data` in pieces."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def outcome(pieces: Sequence[bytes], **options: Any) -> Any:
    """Events and counts, or the words of the refusal."""
    try:
        events, counts = read(pieces, **options)
    except InputError as error:
        return str(error)
    return events, {**counts.as_dict(), "bytes": None}


def same_in_pieces(data: bytes, cuts: Sequence[int], batch: int, live: bool, **options: Any) -> Any:
    """The outcome, which must not depend on how the bytes arrive or how many events are asked for."""
    whole = outcome([data], **options)
    _compare(outcome(split(data, cuts), batch=batch, live=live, **options), whole)
    if len(data) <= 120:
        _compare(outcome([data[i : i + 1] for i in range(len(data))], **options), whole)
    return whole


def _compare(found: Any, whole: Any) -> None:
    """A refusal stays one, but of two faults the one whose bytes came first is named."""
    if isinstance(whole, str):
        assert isinstance(found, str), found
        assert found.startswith("pieces"), found
    else:
        assert found == whole
