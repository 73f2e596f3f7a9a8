"""Where a stream comes from: files, globs, FIFOs, sockets, standard input, gzip read through."""

from __future__ import annotations

import errno
import os
import stat

from sophia.errors import ConfigError, InputError
from sophia.stream.waiter import Waiter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import zlib
    from collections.abc import Iterable, Iterator

__all__ = [
    "CHUNK",
    "GZIP",
    "Gate",
    "Source",
    "descriptor_of",
    "open_path",
    "resolve",
    "resolve_followed",
    "shown",
    "unreadable",
]

CHUNK = 256 * 1024
"""Bytes asked for at once. A pipe gives what has arrived."""
BINARY_WINDOW = 4096
"""A NUL in this many first bytes means that the input is not text."""

GZIP = b"\x1f\x8b"

# What a user most often hands over instead of text, and what to do about it.
MAGICS = (
    (b"\x28\xb5\x2f\xfd", "zstd data; try: zstdcat {name} | sophia run{flags} -"),
    (b"\xfd7zXZ\x00", "xz data; try: xzcat {name} | sophia run{flags} -"),
    (b"BZh", "bzip2 data; try: bzcat {name} | sophia run{flags} -"),
    (b"PK\x03\x04", "a zip archive (or an office document); unpack it first"),
    (b"\xff\xfe", "UTF-16 text; try: iconv -f UTF-16 -t UTF-8 {name} | sophia run{flags} -"),
    (b"\xfe\xff", "UTF-16 text; try: iconv -f UTF-16 -t UTF-8 {name} | sophia run{flags} -"),
    (b"SQLite format 3\x00", "an SQLite database; export the table as CSV first"),
    (b"PAR1", "a Parquet file; export it as CSV or JSON lines first"),
    (b"ARROW1", "an Arrow file; export it as CSV or JSON lines first"),
    (b"%PDF", "a PDF document; extract its text first"),
)

# The names under /dev of descriptors 0, 1 and 2.
_STANDARD = ("stdin", "stdout", "stderr")

BEGINNINGS = (GZIP, *(magic for magic, _ in MAGICS))
"""What an input is known by; one that may still become one of these waits for its next bytes."""


class Gate:
    """Lets text pass and refuses what is not: asked for each chunk of one input, in order.

    Raises InputError for a NUL in the first 4 KiB and for the first bytes of well-known formats; what it says to do
    about that has the `format` that was asked for.
    """

    __slots__ = ("_flags", "_name", "_place")

    def __init__(self, name: str, format: str = "auto") -> None:
        self._name = name
        self._flags = "" if format == "auto" else f" --format {format}"
        self._place = 0

    def check(self, chunk: bytes) -> None:
        """Takes the next chunk. Raises InputError."""
        place = self._place
        if place >= BINARY_WINDOW:
            return
        self._place += len(chunk)
        hint = None
        if place == 0:
            hint = next((hint for magic, hint in MAGICS if chunk.startswith(magic)), None)
        if hint is not None:
            msg = f"{self._name}: not text but {hint.format(name=self._name, flags=self._flags)}"
            raise InputError(msg)
        at = chunk.find(0, 0, BINARY_WINDOW - place)
        if at >= 0:
            msg = (
                f"{self._name}: a binary file (byte {place + at + 1} is NUL); sophia reads UTF-8 text: "
                "plain lines, JSON lines or CSV, also gzipped"
            )
            raise InputError(msg)


class Source:
    """One input: a path, or a file descriptor that somebody else owns.

    A path may be a file, a FIFO, a Unix stream socket (which is connected to) or a device. Reading is `os.read`
    on the descriptor, so that a pipe gives what has arrived and not a full buffer; it waits by `waiter`, so that
    it can be stopped. A class that takes its bytes from elsewhere overrides `raw` and `live`.
    """

    __slots__ = ("bytes_read", "fd", "format", "live", "name", "packed", "path", "waiter")

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        fd: int | None = None,
        name: str | None = None,
        format: str = "auto",
    ) -> None:
        if path is not None and fd is not None:
            msg = "a source is a path or a descriptor, not both"
            raise ValueError(msg)
        self.path = None if path is None else os.fspath(path)
        self.fd = fd
        self.name = shown(name if name is not None else self.path if self.path is not None else f"fd:{fd}")
        """For people and records: UTF-8 on one line, whatever the path."""
        self.format = format
        """What it is to be read as: for words about what it is instead."""
        self.live = False
        """The input may pause (it is not a regular file): hand out what has arrived. Known once opened."""
        self.bytes_read = 0
        self.packed = False
        """It turned out to be gzip: what is read are packed bytes."""
        self.waiter: Waiter | None = None
        """How to wait; without one the source makes its own, which nobody can stop."""

    @property
    def waits(self) -> bool:
        """Whether it may keep its reader waiting, as all may that is no regular file; asked before it is opened. A
        source of another class may."""
        if type(self) is not Source:
            return True
        try:
            if self.fd is not None:
                return not stat.S_ISREG(os.fstat(self.fd).st_mode)
            return self.path is not None and not stat.S_ISREG(os.stat(self.path).st_mode)  # noqa: PTH116
        except (OSError, ValueError):
            return False  # to open it is what fails

    def raw(self) -> Iterator[bytes]:
        """Chunks of bytes as they come. Closes what it opened, whatever ends it. Raises Stopped."""
        if self.path is None and self.fd is None:
            return
        waiter = self.waiter or Waiter()
        try:
            fd = self.fd if self.path is None else self._connected(self.path, waiter)
            assert fd is not None
            try:
                mode = os.fstat(fd).st_mode
                if stat.S_ISDIR(mode):
                    raise InputError(_directory(self.name))
                self.live = not stat.S_ISREG(mode)
                if stat.S_ISFIFO(mode) or (self.live and self.path is None):
                    # a FIFO without a writer looks like one at its end; a descriptor of others may block
                    waiter.ready((fd,))
                while chunk := self._read(fd, waiter):
                    self.bytes_read += len(chunk)
                    yield chunk
                    if self.live and self.path is None:
                        waiter.ready((fd,))
            finally:
                if self.path is not None:
                    os.close(fd)
        except InputError:
            raise
        except OSError as error:
            raise unreadable(self.name, error) from error
        finally:
            if self.waiter is None:
                waiter.close()

    @staticmethod
    def _read(fd: int, waiter: Waiter) -> bytes:
        while True:
            try:
                return os.read(fd, CHUNK)
            except BlockingIOError:
                waiter.ready((fd,))

    @staticmethod
    def _connected(path: str, waiter: Waiter) -> int:
        while True:
            try:
                return open_path(path)
            except BlockingIOError:  # a socket whose server has a full queue
                waiter.pause(0.1)

    def chunks(self) -> Iterator[bytes]:
        """Chunks of text bytes: unpacked where the input is gzip (known by its first two bytes).

        Raises InputError for an input that cannot be read, is not text, or is broken gzip; what came before
        the break has been handed out. Raises Stopped.
        """
        raw = self.raw()
        try:
            head = b""
            for chunk in raw:
                head += chunk
                if not any(magic.startswith(head) and magic != head for magic in BEGINNINGS):
                    break
            gate = Gate(self.name, self.format)
            self.packed = head.startswith(GZIP)
            for chunk in self._unpacked(head, raw) if self.packed else _chain(head, raw):
                gate.check(chunk)
                yield chunk
        finally:
            raw.close()  # type: ignore[attr-defined]

    def check(self) -> None:
        """Opens a regular file and looks at its beginning; raises InputError for what `chunks` would refuse.

        Pipes and devices are left alone: a byte taken from them would be lost.
        """
        if self.path is None:
            return
        try:
            mode = os.stat(self.path).st_mode  # noqa: PTH116 (pathlib costs 3 ms at start)
        except OSError as error:
            raise unreadable(self.name, error) from error
        if stat.S_ISDIR(mode):
            raise InputError(_directory(self.name))
        if stat.S_ISREG(mode):
            chunks = self.chunks()
            try:
                next(chunks, b"")
            finally:
                chunks.close()  # type: ignore[attr-defined]
            self.bytes_read = 0

    def starts_with(self, magic: bytes) -> bool:
        """Whether this is a regular file with these first bytes; False for one that cannot be read."""
        assert self.path is not None
        try:
            if not stat.S_ISREG(os.stat(self.path).st_mode):  # noqa: PTH116
                return False
            with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123
                return file.read(len(magic)) == magic
        except OSError:
            return False

    def _unpacked(self, head: bytes, raw: Iterator[bytes]) -> Iterator[bytes]:
        """gzip members one after another; zero padding between and after them is allowed."""
        import zlib

        member = zlib.decompressobj(wbits=31)
        fresh = True  # nothing of this member was fed yet
        for chunk in _chain(head, raw):
            data = chunk
            while True:
                if fresh:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    fresh = False
                before = member.copy()
                try:
                    # bounded output: a small input may unpack to gigabytes
                    text = member.decompress(data, CHUNK)
                except zlib.error as error:
                    text, good = _whole_part(before, data)
                    if text:
                        yield text
                    place = self.bytes_read - len(data) + good
                    what = str(error).rpartition(": ")[2].replace("incorrect data check", "its checksum is wrong")
                    msg = f"{self.name}: broken gzip data after byte {place}: {what}; what it held before was read"
                    raise InputError(msg) from error
                if text:
                    yield text
                if member.eof:
                    data = member.unused_data
                    member, fresh = zlib.decompressobj(wbits=31), True
                else:
                    data = member.unconsumed_tail
                    if not data and len(text) < CHUNK:
                        break
        if not fresh:
            msg = f"{self.name}: the gzip data ends too early (a truncated file); what it held was read"
            raise InputError(msg)


def resolve(inputs: Iterable[str | os.PathLike[str]] = (), format: str = "auto") -> list[Source]:
    """The sources that the arguments of a command line mean, in their order.

    `-` is standard input, as is no argument at all unless it is a terminal (ConfigError). A name that is no
    file but has `*`, `?` or `[` in it is a glob (`**` for any depth); its files come sorted. Every regular
    file is opened and looked at, so that a run over ten files does not stop at the ninth: InputError for one
    that is missing, unreadable, a directory, or not text.
    """
    sources = []
    for name in _names(inputs):
        paths = _expand(name)
        if not paths:
            raise _missing(name)
        for path in paths:
            source = _source(path, format)
            source.check()
            sources.append(source)
    return sources


def resolve_followed(inputs: Iterable[str | os.PathLike[str]] = (), format: str = "auto") -> list[Source]:
    """The same for inputs that are to be followed: one that is not there yet is waited for, gzip is refused."""
    sources = []
    for name in _names(inputs):
        paths = _expand(name)
        if not paths and (not name or _is_glob(name)):
            raise _missing(name)
        for path in paths or [name]:
            source = _source(path, format)
            if source.path is not None and os.path.exists(source.path):  # noqa: PTH110
                if source.starts_with(GZIP):
                    msg = f"{source.name}: gzip data cannot be followed; read it without --follow"
                    raise ConfigError(msg)
                source.check()
            sources.append(source)
    return sources


def _names(inputs: Iterable[str | os.PathLike[str]]) -> list[str]:
    names = [os.fspath(name) for name in inputs]
    if not names:
        if os.isatty(0):
            msg = "no input: name files, or `-` for standard input"
            raise ConfigError(msg)
        names = ["-"]
    if names.count("-") > 1:
        msg = "standard input (`-`) can be read only once"
        raise ConfigError(msg)
    return names


def _source(name: str, format: str) -> Source:
    return Source(fd=0, name="-", format=format) if name == "-" else Source(name, format=format)


def _is_glob(name: str) -> bool:
    return any(c in name for c in "*?[")


def _expand(name: str) -> list[str]:
    """What the name means; nothing if there is nothing of that name."""
    if name == "-" or os.path.lexists(name):
        return [name]
    if not _is_glob(name):
        return []
    import glob

    found = glob.glob(name, recursive=True)  # noqa: PTH207 (a pattern may be absolute)
    return sorted(path for path in found if not os.path.isdir(path))  # noqa: PTH112


def _missing(name: str) -> InputError:
    if not name:
        return InputError("an input has an empty name")
    return InputError(f"{shown(name)}: no file matches" if _is_glob(name) else f"{shown(name)}: no such file")


def open_path(path: str) -> int:
    """A descriptor for what stands under the path; nothing it can be makes this wait.

    A FIFO is opened whether or not it has a writer: until the first one has come a read gives b"", as at its end.
    A socket is connected to; BlockingIOError if its server has too many waiting. Raises OSError.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.EOPNOTSUPP):
            raise
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            raise
    if (descriptor := descriptor_of(path)) is not None:
        return os.dup(descriptor)  # connected already
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        client.connect(path)
        return client.detach()


def descriptor_of(path: str) -> int | None:
    """The descriptor of this process that the path names, as `/dev/stdin` and `<(command)` do; else None.

    >>> descriptor_of("/dev/stdout"), descriptor_of("/dev/fd/63"), descriptor_of("/dev/null")
    (1, 63, None)
    """
    folder, _, name = path.rpartition("/")
    if folder == "/dev" and name in _STANDARD:
        return _STANDARD.index(name)
    return int(name) if folder in ("/dev/fd", "/proc/self/fd") and name.isascii() and name.isdecimal() else None


def shown(name: str) -> str:
    r"""A name for people: bytes that are not UTF-8 become U+FFFD, control characters `\x0a`.

    >>> shown("two\nlines")
    'two\\x0alines'
    """
    # the locale's own way to bytes could fail: the C locale knows ASCII only
    text = name.encode(errors="surrogateescape").decode(errors="replace")
    return text if text.isprintable() else "".join([c if c.isprintable() else f"\\x{ord(c):02x}" for c in text])


def _directory(name: str) -> str:
    return f"{name}: is a directory; name its files, for example '{name.rstrip('/')}/*.log'"


def unreadable(name: str, error: OSError) -> InputError:
    """What the operating system said, with the name of the input."""
    reason = error.strerror or str(error)
    if error.errno == errno.ECONNREFUSED:
        reason = "a socket on which nobody listens (connection refused); start its server first"
    elif error.errno == errno.EPROTOTYPE:
        reason = "a socket of another kind; sophia reads stream sockets"
    elif name == "-" and error.errno == errno.EBADF:
        reason = "standard input is closed"
    return InputError(f"{name}: cannot be read: {reason}")


def _whole_part(member: zlib._Decompress, data: bytes) -> tuple[bytes, int]:
    """What `data` holds before it breaks, and the number of its bytes that are good."""
    import zlib

    text = []
    for place in range(len(data)):
        try:
            text.append(member.decompress(data[place : place + 1]))
        except zlib.error:
            return b"".join(text), place
    return b"".join(text), len(data)


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest
