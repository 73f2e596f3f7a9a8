"""Followed inputs: what stands under a name is read to its end and beyond, whatever becomes of it.

Files are polled, ten times a second while nothing comes: a read and two stats each, about 10 us. The notices of the
kernel (inotify) would cost less, but say nothing of writes by another machine (NFS) or through some overlay mounts,
have a bound on their number for each user, and leave races at each rotation that only a poll closes. What is no file
(FIFO, socket, terminal, pipe) is waited for; of a FIFO or socket only the name is looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from time import monotonic

from sophia.errors import InputError
from sophia.stream.sources import CHUNK, GZIP, Gate, descriptor_of, open_path, unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sophia.stream.counts import Counts
    from sophia.stream.event import Event
    from sophia.stream.lane import Lane
    from sophia.stream.sources import Source

__all__ = ["INTERVAL", "Tail"]

INTERVAL = 0.1
"""Seconds between two looks at files that had nothing new."""
LINGER = 1.0
"""Seconds without a new byte after which a file that was replaced or deleted is let go: its writers may be several,
and change to the new one at different times."""
RETRY = 1.0
"""Seconds between two attempts to connect to a socket."""
MOST_OPEN = 4
"""Files of one name that are open at a time, if it is replaced faster than they become quiet."""
MARK = 256
"""First and last bytes that tell whether a file is still the one that was read."""


class _Opened(ABC):
    """One thing that was opened under a name."""

    __slots__ = ("_owned", "at_end", "fd", "gate", "identity", "lane", "last", "refused", "spare")

    def __init__(self, fd: int, identity: tuple[int, int], gate: Gate, lane: Lane, *, owned: bool) -> None:
        self.fd = fd
        self.identity = identity
        self.gate: Gate | None = gate  # until the first bytes have passed; NULs that come later are bad lines
        self.lane = lane
        self.at_end = False  # nothing more was there at the last look
        self.spare = False  # something else has its name now, or nothing
        self.refused = False  # not text: kept so that it is known, and not read
        self.last = monotonic()  # when a byte came, or it became spare
        self._owned = owned

    @abstractmethod
    def take(self, ready: set[int], /) -> bytes | None:
        """The next bytes, b"" if there are none now, None if there never will be."""

    def close(self) -> None:
        if self._owned:
            os.close(self.fd)


class _File(_Opened):
    """A regular file: its end is only where it ends now."""

    __slots__ = ("_head", "_position", "_seen", "_sized", "_start", "_tail")

    def __init__(self, fd: int, identity: tuple[int, int], gate: Gate, lane: Lane, *, owned: bool) -> None:
        super().__init__(fd, identity, gate, lane, owned=owned)
        self._sized = False  # files of /proc have no size
        self._seen = (-1, -1)
        # a descriptor of others may have been read from before
        self._start = self._position = os.lseek(fd, 0, os.SEEK_CUR)
        self._head = self._tail = b""

    def take(self, _: set[int], /) -> bytes | None:
        chunk = b"" if self.refused else os.read(self.fd, CHUNK)
        self.at_end = not chunk
        if chunk and not self._holds():  # it was cut and written anew between the look and the read
            os.lseek(self.fd, self._position, os.SEEK_SET)
            self._seen = (-1, -1)
            return b""
        if chunk:
            self._position += len(chunk)
            if len(self._head) < MARK:
                self._head += chunk[: MARK - len(self._head)]
            self._tail = chunk[-MARK:] if len(chunk) >= MARK else (self._tail + chunk)[-MARK:]
        return chunk

    def rewritten(self) -> bool:
        """Whether it was cut and does not hold any more what was read of it; it is then at its beginning again."""
        state = os.fstat(self.fd)
        seen = (state.st_size, state.st_mtime_ns)
        if seen == self._seen:
            return False
        self._seen = seen
        self._sized = self._sized or state.st_size > 0
        # One that was cut and has grown past the old place since the last look shows other bytes there.
        if not self._sized or (state.st_size >= self._position and self._holds()):
            return False
        os.lseek(self.fd, 0, os.SEEK_SET)
        self._start = self._position = 0
        self._head = self._tail = b""
        return True

    def _holds(self) -> bool:
        """Whether what was read first and last still stands there; always where there is no size (/proc)."""
        return not self._sized or (
            os.pread(self.fd, len(self._head), self._start) == self._head
            and os.pread(self.fd, len(self._tail), self._position - len(self._tail)) == self._tail
        )


class _Stream(_Opened):
    """A FIFO, pipe, socket or device: what was read is gone, and it has an end."""

    __slots__ = ("rest", "used")

    def __init__(self, fd: int, identity: tuple[int, int], gate: Gate, lane: Lane, *, owned: bool) -> None:
        super().__init__(fd, identity, gate, lane, owned=owned)
        self.rest = 0.0  # until when it is not looked at
        self.used = False  # it has given bytes

    def take(self, ready: set[int], /) -> bytes | None:
        self.at_end = self.fd not in ready
        if self.at_end:
            return b""
        try:
            chunk = os.read(self.fd, CHUNK)
            self.used = self.used or bool(chunk)
            return chunk or None
        except BlockingIOError:
            self.at_end = True
            return b""


class Tail:
    """One followed input. Owned by a reader, which calls `turn` again and again.

    A file is read from its beginning. Replaced (renamed and made anew): the old one to its end, then the new one from
    its beginning. Cut: from its beginning. Not there: it is waited for. A FIFO is opened again when its writer goes,
    a socket is connected to again; a pipe, a terminal and standard input have one end.
    """

    __slots__ = (
        "_complaints",
        "_counts",
        "_first",
        "_lane",
        "_next_look",
        "_opened",
        "_source",
        "_tell",
        "ended",
        "polled",
        "took",
    )

    def __init__(self, source: Source, lane: Lane, counts: Counts, tell: Callable[[str], None]) -> None:
        self._source = source
        self._counts = counts
        self._lane: Lane | None = None  # of what was opened last
        self._first = lane
        self._tell = tell
        self._opened: list[_Opened] = []  # the oldest first; the last one has the name
        self._complaints: set[str] = set()
        self._next_look = 0.0
        self.ended = False
        self.took = False
        """The last turn has got bytes, or opened something: there may be more."""
        self.polled = source.path is not None
        """It has to be looked at again after `INTERVAL`."""
        if source.path is None:
            assert source.fd is not None
            self._adopt(source.fd, None)
        elif not os.path.exists(source.path):  # noqa: PTH110
            tell(f"{source.name}: not there yet; waiting for it")

    def descriptors(self) -> list[int]:
        """What a wait for this input has to watch."""
        now = monotonic()
        return [opened.fd for opened in self._opened if isinstance(opened, _Stream) and opened.rest <= now]

    def turn(self, ready: set[int]) -> Iterator[list[Event]]:
        """One chunk of everything that is open, if it has any; `ready` as of `Waiter.ready`.

        Raises InputError for what cannot be read; it is left out of the next turns.
        """
        self.took = False
        for opened in self._opened[:]:
            try:
                if isinstance(opened, _File) and opened.rewritten():
                    self._tell(f"{self._source.name}: was cut; reading it from its beginning")
                    yield from opened.lane.finish()
                    if opened.lane is self._lane:
                        self._lane = opened.lane.successor()
                        opened.lane = self._lane
                    else:
                        opened.lane = opened.lane.successor()
                chunk = opened.take(ready)
            except OSError as error:
                self._refuse(opened)
                raise unreadable(self._source.name, error) from error
            if chunk:
                self.took = True
                opened.last = monotonic()
                yield from self._fed(opened, chunk)
                if isinstance(opened, _File) and opened is not self._opened[-1]:
                    break  # what came before a new file comes first
            elif chunk is None:
                yield from opened.lane.finish()
                self._end(opened)
            elif opened.spare and isinstance(opened, _File) and monotonic() - opened.last >= LINGER:
                yield from opened.lane.finish()
                self._drop(opened)
        # only when the one that had the name so far is read to its end
        if self._source.path is not None and not self.ended and (not self._opened or self._opened[-1].at_end):
            self._look(self._source.path)
        while len(self._opened) > MOST_OPEN:
            yield from self._opened[0].lane.finish()
            self._drop(self._opened[0])

    def _fed(self, opened: _Opened, chunk: bytes) -> Iterator[list[Event]]:
        name = self._source.name
        self._counts.bytes[name] = self._counts.bytes.get(name, 0) + len(chunk)
        try:
            if opened.gate is not None:
                if chunk.startswith(GZIP):
                    message = f"{name}: gzip data cannot be followed; read it without --follow"
                    raise InputError(message)
                opened.gate.check(chunk)
                opened.gate = None
            read = self._counts.bytes[name]
            for events in opened.lane.feed(chunk):
                self._counts.bytes[name] = read - opened.lane.unread
                yield events
        except InputError:
            self._refuse(opened)
            raise

    def finish(self) -> Iterator[list[Event]]:
        """The unfinished lines of what was read to its end; elsewhere they are cut by us, not by their writer."""
        for opened in self._opened:
            if opened.at_end and not opened.refused:
                yield from opened.lane.finish()

    def close(self) -> None:
        """Closes what it opened."""
        while self._opened:
            self._drop(self._opened[0])

    def _look(self, path: str) -> None:
        """Opens what stands under the name, if it is another than before."""
        current = self._opened[-1] if self._opened else None
        now = monotonic()
        if now < self._next_look:
            return
        try:
            state = os.stat(path)  # noqa: PTH116
            identity = (state.st_dev, state.st_ino)
            if current is not None and current.identity == identity:
                current.spare = False  # moved away and back
                return
            if stat.S_ISDIR(state.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if stat.S_ISSOCK(state.st_mode):
                self._next_look = now + RETRY
            fd = open_path(path)
        except OSError as error:
            if isinstance(error, (FileNotFoundError, NotADirectoryError)):
                if current is not None and not current.spare and not os.fstat(current.fd).st_nlink:
                    current.spare, current.last = True, now
                    self._tell(f"{self._source.name}: was deleted; waiting for a new one")
            elif (reason := error.strerror or str(error)) not in self._complaints:
                # a busy or absent server, a right that is not there yet: said once, tried again
                self._complaints.add(reason)
                self._tell(f"{unreadable(self._source.name, error)}; trying again")
            return
        self._complaints.clear()
        if current is not None and not current.spare:
            current.spare, current.last = True, now
            self._tell(f"{self._source.name}: was replaced; reading the new one")
        self._adopt(fd, identity)

    def _adopt(self, fd: int, named: tuple[int, int] | None) -> None:
        """Reads `fd` from now on; `named` is what stands under the name, None for a descriptor of others."""
        state = os.fstat(fd)
        # a socket that is connected is not the one that has the name
        identity = named if named is not None and stat.S_ISSOCK(state.st_mode) else (state.st_dev, state.st_ino)
        kind = _File if stat.S_ISREG(state.st_mode) else _Stream
        self.polled = self.polled or kind is _File
        self._lane = self._first if self._lane is None else self._lane.successor()
        gate = Gate(self._source.name, self._source.format)
        self._opened.append(kind(fd, identity, gate, self._lane, owned=named is not None))
        self.took = True

    def _refuse(self, opened: _Opened) -> None:
        """Not text, or not readable. A file is kept, so that it is not opened again until it is replaced."""
        if isinstance(opened, _File):
            opened.refused = True
            self.ended = self._source.path is None
        else:
            self._end(opened)

    def _end(self, opened: _Opened) -> None:
        """A stream has ended: the next writer of a FIFO, the next connection, or nothing more."""
        mode = os.fstat(opened.fd).st_mode
        path = self._source.path
        if path is None or stat.S_ISCHR(mode) or descriptor_of(path) is not None:
            self.ended = True
        self._opened.remove(opened)
        try:
            if path is not None and not self.ended and stat.S_ISFIFO(mode) and not opened.spare:
                # opened again before the old one is closed: a writer that comes in between finds a reader
                self._look(path)
                newest = self._opened[-1] if self._opened else None
                if isinstance(newest, _Stream) and isinstance(opened, _Stream) and not opened.used:
                    newest.rest = monotonic() + INTERVAL  # writers that say nothing must not keep us busy
        finally:
            opened.close()

    def _drop(self, opened: _Opened) -> None:
        self._opened.remove(opened)
        opened.close()
