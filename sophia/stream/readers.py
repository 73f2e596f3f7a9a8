"""Inputs to batches of events."""

from __future__ import annotations

import os

from sophia.errors import ConfigError, InputError
from sophia.stream.blocks import MAX_LINE
from sophia.stream.counts import Counts
from sophia.stream.event import Event
from sophia.stream.formats import FORMATS, Keys
from sophia.stream.lane import Lane, Plan
from sophia.stream.sources import Source, resolve, resolve_followed
from sophia.stream.tail import INTERVAL, Tail
from sophia.stream.waiter import Stopped, Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

__all__ = ["Reader", "follow_batches", "read_batches"]


class Reader:
    """An iterator of batches; `counts` says at any time what was read. Made by `read_batches` or `follow_batches`.

    One thread, one pass; `stop` may be called from anywhere.
    """

    __slots__ = ("_batch", "_batches", "_keep_going", "_plan", "_waiter", "counts", "sources")

    def __init__(self, sources: Sequence[Source], plan: Plan, batch: int, keep_going: bool) -> None:
        self.sources = sources
        """What is read, in this order; globs and defaults are resolved."""
        self._plan = plan
        self._batch = batch
        self._keep_going = keep_going
        self._waiter = Waiter()
        for source in sources:
            source.waiter = self._waiter
        self.counts = plan.counts
        self._batches = self._run()

    def __iter__(self) -> Iterator[list[Event]]:
        return self

    def __next__(self) -> list[Event]:
        return next(self._batches)

    @property
    def waits(self) -> bool:
        """Whether reading may wait for more than a disk."""
        return any(source.waits for source in self.sources)

    def close(self) -> None:
        """Closes the input that is open. Also done when the last batch was taken."""
        self._batches.close()

    def stop(self) -> None:
        """Ends the reading: nothing more is taken, what was taken is still handed out. For signal handlers and
        other threads, too. A line of which only the beginning was taken is lost, unless the input has no more."""
        self._waiter.stop()

    @property
    def stopped(self) -> bool:
        """`stop` was called, or the watched output has lost its reader."""
        return self._waiter.stopped

    @property
    def output_gone(self) -> bool:
        """The watched output has lost its reader."""
        return self._waiter.output_gone

    def watch_output(self, fd: int) -> None:
        """Stops also when the pipe or socket `fd` loses its reader while an input is waited for."""
        self._waiter.watch_output(fd)

    def _run(self) -> Generator[list[Event], None, None]:
        size = self._batch
        waiting: list[Event] = []  # of regular files: full batches, also across files
        failure = None
        try:
            for source in self.sources:
                if self._plan.full or self.stopped:
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
                    self.counts.add_error(str(error))
                    if not self._keep_going:
                        failure = error
                        break
            if waiting:
                yield waiting
        finally:
            self._waiter.close()
        if failure is not None:
            raise failure

    def _source(self, source: Source) -> Iterator[list[Event]]:
        """The events of one source, a list for each chunk that completes some."""
        lane = Lane(source.name, self._plan)
        failure = None
        chunks = source.chunks()
        counts = self.counts
        before = counts.bytes.get(source.name, 0)  # the same file may be named twice
        try:
            while not self._plan.full and not self.stopped:
                try:
                    chunk = next(chunks, None)
                except InputError as error:
                    failure = error
                    chunk = None
                except Stopped:
                    break
                counts.bytes[source.name] = before + source.bytes_read
                if chunk is None:
                    yield from lane.finish()
                    break
                for events in lane.feed(chunk):
                    if not source.packed:
                        counts.bytes[source.name] = before + source.bytes_read - lane.unread
                    yield events
        finally:
            chunks.close()  # type: ignore[attr-defined]
        if failure is not None:
            raise failure


class FollowingReader(Reader):
    """Takes the inputs in turns, a chunk of each that has one, and hands out at once what that completes."""

    __slots__ = ("_tell",)

    def __init__(
        self, sources: Sequence[Source], plan: Plan, batch: int, keep_going: bool, tell: Callable[[str], None]
    ) -> None:
        self._tell = tell
        super().__init__(sources, plan, batch, keep_going)

    @property
    def waits(self) -> bool:
        """It always may."""
        return True

    def _run(self) -> Generator[list[Event], None, None]:
        plan = self._plan
        tails = [Tail(source, Lane(source.name, plan), self.counts, self._tell) for source in self.sources]
        took = True
        try:
            while tails and not plan.full:
                watched = [fd for tail in tails for fd in tail.descriptors()]
                seconds = 0 if took else INTERVAL if any(tail.polled for tail in tails) else None
                try:
                    ready = self._waiter.ready(watched, seconds)
                except Stopped:
                    break
                took = False
                for tail in tails:
                    if not plan.full:
                        yield from self._cut(tail.turn(ready))
                    took = took or tail.took
                for tail in [tail for tail in tails if tail.ended]:
                    tails.remove(tail)
                    tail.close()
            for tail in tails:
                yield from self._cut(tail.finish())
        finally:
            for tail in tails:
                tail.close()
            self._waiter.close()

    def _cut(self, pieces: Iterator[list[Event]]) -> Iterator[list[Event]]:
        size = self._batch
        try:
            for events in pieces:
                for start in range(0, len(events), size):
                    yield events[start : start + size]
        except InputError as error:
            self.counts.add_error(str(error))
            if not self._keep_going:
                raise
            self._tell(str(error))


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
    _check(format, batch, limit)
    given = list(sources)
    ready = [source for source in given if isinstance(source, Source)]
    if len(ready) < len(given) or not given:
        if ready:
            msg = "sources are either all Source objects or all names"
            raise ConfigError(msg)
        ready = resolve((name for name in given if not isinstance(name, Source)), format)
    return Reader(ready, Plan(format, keys or Keys(), max_line, limit, Counts()), batch, keep_going)


def follow_batches(
    inputs: Iterable[str | os.PathLike[str]] = (),
    *,
    format: str = "auto",
    batch: int = 256,
    limit: int | None = None,
    keys: Keys | None = None,
    max_line: int = MAX_LINE,
    keep_going: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Reader:
    """Reads inputs as `tail -F` does, all at once, each from its beginning, until `stop` or `limit`.

    What has come is handed out at once, at most about 0.1 s after it was written (see `tail.INTERVAL`); events of
    several inputs are in the order of arrival. A file may be appended to, replaced, cut, deleted, and may appear
    later; a FIFO may change its writer. A last line waits for its line break; at the end it is handed out without
    one. The reading ends by itself only if every input has an end, as a pipe on standard input has.

    `tell` is called with a sentence about each change of an input. The other arguments are those of `read_batches`.
    Raises ConfigError for gzip, and InputError for what is there and cannot be read.
    """
    _check(format, batch, limit)
    plan = Plan(format, keys or Keys(), max_line, limit, Counts())
    return FollowingReader(resolve_followed(inputs, format), plan, batch, keep_going, tell)


def _check(format: str, batch: int, limit: int | None) -> None:
    if format not in FORMATS:
        msg = f"format {format!r} is not one of {', '.join(FORMATS)}"
        raise ConfigError(msg)
    if batch < 1:
        msg = f"batch must be at least 1, not {batch}"
        raise ConfigError(msg)
    if limit is not None and limit < 0:
        msg = f"limit must not be negative, as {limit} is"
        raise ConfigError(msg)
