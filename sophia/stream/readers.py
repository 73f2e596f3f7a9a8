"""Inputs to batches of events."""

from __future__ import annotations

import os

from sophia.errors import ConfigError, InputError
from sophia.stream.blocks import MAX_LINE, Block, LineSplitter
from sophia.stream.counts import Counts
from sophia.stream.event import Event
from sophia.stream.formats import (
    FORMATS,
    CsvDecoder,
    Decoder,
    JsonlDecoder,
    Keys,
    LinesDecoder,
    detect,
    is_blank,
)
from sophia.stream.sources import Source, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

__all__ = ["Reader", "read_batches"]


class Reader:
    """An iterator of batches; `counts` says at any time what was read. Made by `read_batches`.

    One thread, one pass.
    """

    __slots__ = (
        "_batch",
        "_batches",
        "_format",
        "_keep_going",
        "_keys",
        "_limit",
        "_max",
        "_sources",
        "counts",
    )

    def __init__(
        self,
        sources: Sequence[Source],
        format: str,
        batch: int,
        limit: int | None,
        keys: Keys,
        max_line: int,
        keep_going: bool,
    ) -> None:
        self._sources = sources
        self._format = format
        self._batch = batch
        self._limit = limit
        self._keys = keys
        self._max = max_line
        self._keep_going = keep_going
        self.counts = Counts()
        self._batches = self._run()

    def __iter__(self) -> Iterator[list[Event]]:
        return self

    def __next__(self) -> list[Event]:
        return next(self._batches)

    def close(self) -> None:
        """Closes the input that is open. Also done when the last batch was taken."""
        self._batches.close()

    def _run(self) -> Generator[list[Event], None, None]:
        size = self._batch
        waiting: list[Event] = []  # of regular files: full batches, also across files
        failure = None
        for source in self._sources:
            if self._full():
                break
            try:
                for events in self._source(source):
                    waiting = waiting + events if waiting else events
                    done = 0
                    while len(waiting) - done >= size:
                        yield waiting[done : done + size]
                        done += size
                    if done < len(waiting) and source.live:
                        yield waiting[done:]
                        done = len(waiting)
                    waiting = waiting[done:]
            except InputError as error:
                self.counts.errors.append(str(error))
                if not self._keep_going:
                    failure = error
                    break
        if waiting:
            yield waiting
        if failure is not None:
            raise failure

    def _source(self, source: Source) -> Iterator[list[Event]]:
        """The events of one source, a list for each chunk that completes some."""
        counts = self.counts
        splitter = LineSplitter(self._max)
        decoder: Decoder | None = None
        ahead: list[Block] = []  # blank lines before the format is known
        failure = None
        chunks = source.chunks()
        before = counts.bytes.get(source.name, 0)  # the same file may be named twice
        try:
            while not self._full():
                try:
                    chunk = next(chunks, None)
                except InputError as error:
                    failure = error
                    chunk = None
                counts.bytes[source.name] = before + source.bytes_read
                block = splitter.feed(chunk) if chunk is not None else splitter.finish()
                ahead.append(block)
                if decoder is None:
                    first = next((line for line in block.lines if not is_blank(line)), None)
                    if first is not None or chunk is None:
                        decoder = self._decoder(source.name, first or "")
                if decoder is not None:
                    for known in ahead:
                        yield from self._decoded(decoder, known)
                    ahead.clear()
                if chunk is None:
                    if decoder is not None and not self._full():
                        yield decoder.finish()
                    break
        finally:
            chunks.close()  # type: ignore[attr-defined]
        if failure is not None:
            raise failure

    def _decoded(self, decoder: Decoder, block: Block) -> Iterator[list[Event]]:
        """No line is taken after the one that reaches the limit, so that the counts are exact."""
        while block.lines and not self._full():
            room = len(block.lines) if self._limit is None else self._limit - self.counts.events
            rest = None
            if room < len(block.lines):
                block, rest = block.cut(room)
            events = decoder.feed(block)
            if events:
                yield events
            if rest is None:
                return
            block = rest

    def _full(self) -> bool:
        return self._limit is not None and self.counts.events >= self._limit

    def _decoder(self, name: str, first: str) -> Decoder:
        format = detect(first, self._keys) if self._format == "auto" else self._format
        self.counts.formats[name] = format
        if format == "jsonl":
            return JsonlDecoder(name, self.counts, self._keys)
        if format == "csv":
            return CsvDecoder(name, self.counts, self._keys, self._max)
        return LinesDecoder(name, self.counts)


def read_batches(
    sources: Iterable[Source | str | os.PathLike[str]] = (),
    *,
    format: str = "auto",
    batch: int = 256,
    limit: int | None = None,
    keys: Keys | None = None,
    max_line: int = MAX_LINE,
    keep_going: bool = False,
) -> Reader:
    """Reads inputs one after another as lists of 1 to `batch` events.

    `sources` are Source objects or what `resolve` takes; without any, standard input. A regular file gives
    full batches. Anything else (pipe, terminal, device) gives what has arrived, so that a slow writer gets an
    event for its line at once. The events are the same, whatever the pieces in which the bytes arrive.

    `format` is auto, jsonl, csv or lines; auto decides for each source by its first line that is not blank.
    `limit` ends the run after that many events; no byte is waited for after the last one. A line over
    `max_line` bytes is cut, so memory is bounded by about three times that plus a chunk and a batch.

    A source that fails while it is read gives the events of what came before. Then InputError is raised, or
    with `keep_going` the error is noted in `counts.errors` and the next source follows. Costs about 0.6 us a
    plain line and 2 to 4 us a JSON line or CSV row.

    >>> from sophia.stream import demo_path
    >>> reader = read_batches([demo_path()], limit=300)
    >>> [len(events) for events in reader], reader.counts.formats.popitem()[1]
    ([256, 44], 'jsonl')
    """
    if format not in FORMATS:
        msg = f"format {format!r} is not one of {', '.join(FORMATS)}"
        raise ConfigError(msg)
    if batch < 1:
        msg = f"batch must be at least 1, not {batch}"
        raise ConfigError(msg)
    if limit is not None and limit < 0:
        msg = f"limit must not be negative, as {limit} is"
        raise ConfigError(msg)
    given = list(sources)
    ready = [source for source in given if isinstance(source, Source)]
    if len(ready) < len(given) or not given:
        if ready:
            msg = "sources are either all Source objects or all names"
            raise ConfigError(msg)
        ready = resolve(name for name in given if not isinstance(name, Source))
    return Reader(ready, format, batch, limit, keys or Keys(), max_line, keep_going)
