"""Where a stream comes from: files, globs, standard input, gzip read through."""

from __future__ import annotations

import os
import stat

from sophia.errors import ConfigError, InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Source", "resolve"]

CHUNK = 256 * 1024
"""Bytes asked for at once. A pipe gives what has arrived."""
BINARY_WINDOW = 4096
"""A NUL in this many first bytes means that the input is not text."""

GZIP = b"\x1f\x8b"

# What a user most often hands over instead of text, and what to do about it.
MAGICS = (
    (b"\x28\xb5\x2f\xfd", "zstd data; try: zstdcat {name} | sophia run -"),
    (b"\xfd7zXZ\x00", "xz data; try: xzcat {name} | sophia run -"),
    (b"BZh", "bzip2 data; try: bzcat {name} | sophia run -"),
    (b"PK\x03\x04", "a zip archive (or an office document); unpack it first"),
    (b"\xff\xfe", "UTF-16 text; try: iconv -f UTF-16 -t UTF-8 {name} | sophia run -"),
    (b"\xfe\xff", "UTF-16 text; try: iconv -f UTF-16 -t UTF-8 {name} | sophia run -"),
    (b"SQLite format 3\x00", "an SQLite database; export the table as CSV first"),
    (b"PAR1", "a Parquet file; export it as CSV or JSON lines first"),
    (b"ARROW1", "an Arrow file; export it as CSV or JSON lines first"),
    (b"%PDF", "a PDF document; extract its text first"),
)


class Source:
    """One input: a path, or a file descriptor that somebody else owns.

    Reading is `os.read` on the descriptor, so that a pipe gives what has arrived and not a full buffer.
    A class that takes its bytes from elsewhere overrides `raw` and `live`.
    """

    __slots__ = ("_fd", "_path", "bytes_read", "live", "name")

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, fd: int | None = None, name: str | None = None
    ) -> None:
        if path is not None and fd is not None:
            msg = "a source is a path or a descriptor, not both"
            raise ValueError(msg)
        self._path = None if path is None else os.fspath(path)
        self._fd = fd
        shown = name if name is not None else self._path if self._path is not None else f"fd:{fd}"
        # a file name need not be UTF-8, an event's source must be
        self.name = os.fsencode(shown).decode(errors="replace")
        self.live = False
        """The input may pause (it is not a regular file): hand out what has arrived. Known once opened."""
        self.bytes_read = 0

    def raw(self) -> Iterator[bytes]:
        """Chunks of bytes as they come. Closes what it opened, whatever ends it."""
        try:
            fd = self._fd if self._path is None else os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if fd is None:
                return
            try:
                mode = os.fstat(fd).st_mode
                if stat.S_ISDIR(mode):
                    raise InputError(_directory(self.name))
                self.live = not stat.S_ISREG(mode)
                while chunk := _read(fd):
                    self.bytes_read += len(chunk)
                    yield chunk
            finally:
                if self._path is not None:
                    os.close(fd)
        except InputError:
            raise
        except OSError as error:
            msg = f"{self.name}: cannot be read: {error.strerror or error}"
            raise InputError(msg) from error

    def chunks(self) -> Iterator[bytes]:
        """Chunks of text bytes: unpacked where the input is gzip (known by its first two bytes).

        Raises InputError for an input that cannot be read, is not text, or is broken gzip; what came before
        the break has been handed out.
        """
        raw = self.raw()
        try:
            head = b""
            for chunk in raw:
                head += chunk
                if len(head) >= len(GZIP) or not GZIP.startswith(head):
                    break
            packed = head.startswith(GZIP)
            place = 0
            for chunk in self._unpacked(head, raw) if packed else _chain(head, raw):
                if place < BINARY_WINDOW:
                    self._refuse_binary(chunk, place)
                place += len(chunk)
                yield chunk
        finally:
            raw.close()  # type: ignore[attr-defined]

    def check(self) -> None:
        """Opens a regular file and looks at its beginning; raises InputError for what `chunks` would refuse.

        Pipes and devices are left alone: a byte taken from them would be lost.
        """
        if self._path is None:
            return
        try:
            mode = os.stat(self._path).st_mode  # noqa: PTH116 (pathlib costs 3 ms at start)
        except OSError as error:
            msg = f"{self.name}: cannot be read: {error.strerror or error}"
            raise InputError(msg) from error
        if stat.S_ISDIR(mode):
            raise InputError(_directory(self.name))
        if stat.S_ISREG(mode):
            chunks = self.chunks()
            try:
                next(chunks, b"")
            finally:
                chunks.close()  # type: ignore[attr-defined]
            self.bytes_read = 0

    def _refuse_binary(self, chunk: bytes, place: int) -> None:
        hint = None
        if place == 0:
            hint = next((hint for magic, hint in MAGICS if chunk.startswith(magic)), None)
        if hint is not None:
            msg = f"{self.name}: not text but {hint.format(name=self.name)}"
            raise InputError(msg)
        at = chunk.find(0, 0, BINARY_WINDOW - place)
        if at >= 0:
            msg = (
                f"{self.name}: a binary file (byte {place + at + 1} is NUL); sophia reads UTF-8 text: "
                "plain lines, JSON lines or CSV, also gzipped"
            )
            raise InputError(msg)

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
                try:
                    # bounded output: a small input may unpack to gigabytes
                    text = member.decompress(data, CHUNK)
                except zlib.error as error:
                    msg = f"{self.name}: broken gzip data after byte {self.bytes_read - len(data)}: {error}"
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


def resolve(inputs: Iterable[str | os.PathLike[str]] = ()) -> list[Source]:
    """The sources that the arguments of a command line mean, in their order.

    `-` is standard input, as is no argument at all unless it is a terminal (ConfigError). A name that is no
    file but has `*`, `?` or `[` in it is a glob (`**` for any depth); its files come sorted. Every regular
    file is opened and looked at, so that a run over ten files does not stop at the ninth: InputError for one
    that is missing, unreadable, a directory, or not text.
    """
    names = [os.fspath(name) for name in inputs]
    if not names:
        if os.isatty(0):
            msg = "no input: name files, or `-` for standard input"
            raise ConfigError(msg)
        names = ["-"]
    if names.count("-") > 1:
        msg = "standard input (`-`) can be read only once"
        raise ConfigError(msg)
    sources = []
    for name in names:
        for path in [name] if name == "-" or os.path.lexists(name) else _expand(name):
            source = Source(fd=0, name="-") if path == "-" else Source(path)
            source.check()
            sources.append(source)
    return sources


def _expand(name: str) -> list[str]:
    if not any(c in name for c in "*?["):
        msg = f"{name}: no such file" if name else "an input has an empty name"
        raise InputError(msg)
    import glob

    found = glob.glob(name, recursive=True)  # noqa: PTH207 (a pattern may be absolute)
    paths = sorted(path for path in found if not os.path.isdir(path))  # noqa: PTH112
    if not paths:
        msg = f"{name}: no file matches"
        raise InputError(msg)
    return paths


def _directory(name: str) -> str:
    return f"{name}: is a directory; name its files, for example '{name.rstrip('/')}/*.log'"


def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, CHUNK)
        except BlockingIOError:
            # another owner of this descriptor has made it non-blocking
            import select

            select.select([fd], [], [])


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest
