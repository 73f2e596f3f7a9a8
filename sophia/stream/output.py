"""Output that may be a pipe: whole records, whatever the pipe does."""

from __future__ import annotations

import io
import select
from typing import Any

__all__ = ["Output"]


class Output(io.FileIO):
    """An unbuffered descriptor that takes all of what it is given before `write` returns.

    `sys.stdout.buffer` does not: under PYTHONUNBUFFERED it may take a part (when a signal comes), fails where the
    reader has made the pipe non-blocking, and tries once more at exit what a closed pipe has refused. The
    descriptor stays open. `name` is what an error calls it.

    >>> import os
    >>> out, into = os.pipe()
    >>> Output(into).write(b"record"), os.read(out, 10)
    (6, b'record')
    """

    def __init__(self, fd: int, name: str = "standard output") -> None:
        super().__init__(fd, "wb", closefd=False)
        self.name = name

    def write(self, data: Any) -> int:
        view = memoryview(data)
        done = 0
        while done < len(view):
            taken: int | None = super().write(view[done:])
            if taken is None:  # it would block
                poll = select.poll()
                poll.register(self, select.POLLOUT)
                poll.poll()
            done += taken or 0
        return done
