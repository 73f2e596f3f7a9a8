"""The file `ack`: how much of the last batch has arrived at the output, exact even when the process is killed.

A process cannot note "this is written" in the same instant in which it writes: killed between the two, nobody knows
which of both happened. The kernel can: `sendfile` moves bytes into the output and stores how far it came into memory
of ours before the call returns, and no signal, SIGKILL neither, takes effect before that. The memory is a page of the
file `ack`, which stays when the process dies. So what was sent is known to the byte for files, pipes, sockets and
terminals. It is not forced to the disk: after a power failure the last batch counts as not acknowledged.

A regular file needs none of this: the bytes are written and then noted, and should the note be missing, the size of
the file tells (see FileMark). Where neither serves (a device without `sendfile`, another system than Linux), a kill in
the microseconds between leaves the batch unacknowledged.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import stat
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from sophia.store.folder import open_own

__all__ = ["Ack", "Delivery", "read"]

_LAYOUT = struct.Struct("@8sQQQQQqQ")
_MAGIC = b"sophiaK1"
# Each number stands twice, the second time turned over: bits that flip are seen. While a batch is being sent the kernel
# writes the one number alone; then the other says, over a tag, where the piece ends that is on its way. One bit can
# still turn unseen: the one in which the beginning and the end of a piece differ, where a kill came between the two;
# then the records of that piece, at most a page, are taken for what they were not.
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_SENDING = 0x5EED_5EED_5EED_5EED  # a pipe takes a piece of a page whole or not at all: only two numbers are possible
_ANY = 0x0DD5_0DD5_0DD5_0DD5  # anything else may take any part
_COMMITS, _BATCH, _SENT, _DONE = 8, 24, 48, 56

# What looks damaged so often is damaged.
_LOOKS = 25

# What sendfile answers where it cannot serve this output at all.
_UNFIT = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESPIPE, errno.EPERM))


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the file says: commits of the store, the last batch, its bytes sent, whether its sending had come to an end.

    `fault` says in words what cannot be believed; the numbers it concerns are 0.
    """

    commits: int = 0
    run: int = 0
    n: int = 0
    sent: int = 0
    done: bool = False
    fault: str | None = None

    def pack(self) -> bytes:
        """As it stands in the file."""
        commits, run, n, sent = self.commits, self.run, self.n, self.sent
        done = sent ^ _MASK if self.done else _ANY
        return _LAYOUT.pack(_MAGIC, commits, commits ^ _MASK, run, n, run ^ n ^ _MASK, sent, done)


def read(path: Path) -> Delivery:
    """What stands in the file at `path`, which is not changed; an absent one is like a new one."""
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return Delivery()
    except OSError as error:
        return Delivery(fault=f"cannot be read ({error.strerror})")
    try:
        # A number and its twin are written one after the other: between the two, a writer's file looks damaged.
        for _ in range(_LOOKS):
            found = _read(os.pread(descriptor, _LAYOUT.size + 1, 0))
            if found.fault is None:
                break
            sleep(0.004)  # the writer may not have the processor
        return found
    finally:
        os.close(descriptor)


class Ack:
    """The file at `path`, made when it is not there; `before` is what the last process left in it.

    Not thread-safe: one call at a time. OSError when the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._libc: Any = None
        self._offset: Any = None
        self._descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            data = os.pread(self._descriptor, _LAYOUT.size + 1, 0)
            self.before = _read(data)
            sound = self.before.pack()
            if self.before.fault is not None or len(data) < len(sound):
                # Written and not just mapped: a full disk must say so here, as an error and not as a signal.
                if os.pwrite(self._descriptor, sound, 0) < len(sound):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.ftruncate(self._descriptor, len(sound))
            self._map = mmap.mmap(self._descriptor, _LAYOUT.size)
        except BaseException:
            os.close(self._descriptor)
            raise

    def committed(self, number: int) -> None:
        """Notes the number of the store's last commit, to be compared at the next open."""
        struct.pack_into("@QQ", self._map, _COMMITS, number, number ^ _MASK)

    def begin(self, run: int, n: int) -> None:
        """From now on bytes of this batch are counted, from 0."""
        struct.pack_into("@qQ", self._map, _SENT, 0, _ANY)
        struct.pack_into("@QQQ", self._map, _BATCH, run, n, run ^ n ^ _MASK)

    def send(self, descriptor: int, data: bytes) -> None:
        """Sends all of `data`, counted; blocks like a write. OSError where the output fails; what arrived is known."""
        if sys.platform != "linux" or not self._send_file(descriptor, data):
            self._write(descriptor, memoryview(data))
        self._done(data)

    def write(self, descriptor: int, data: bytes) -> None:
        """The same for a regular file whose growth can be looked at, for half the time."""
        self._write(descriptor, memoryview(data))
        self._done(data)

    @property
    def sent(self) -> int:
        """How many bytes of the last batch have arrived."""
        return int(struct.unpack_from("@q", self._map, _SENT)[0])

    def _done(self, data: bytes) -> None:
        struct.pack_into("@Q", self._map, _DONE, len(data) ^ _MASK)

    def close(self) -> None:
        """Closes the file; may be called twice."""
        if self._descriptor >= 0:
            self._offset = None  # it is a view of the map
            self._map.close()
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _send_file(self, descriptor: int, data: bytes) -> bool:
        """False where nothing was sent, since this output cannot be sent to in this way."""
        import ctypes

        if self._libc is None:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._offset = ctypes.c_int64.from_buffer(self._map, _SENT)
        send = getattr(self._libc, "sendfile64", self._libc.sendfile)
        whole = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        # A file of its own for each batch: a pipe holds its pages until they are read, so they must not change.
        source = os.memfd_create("sophia-batch", os.MFD_CLOEXEC)
        try:
            _fill(source, data)
            while (sent := self._offset.value) < len(data):
                goal = len(data)
                if whole:
                    goal = min(goal, sent - sent % mmap.PAGESIZE + mmap.PAGESIZE)
                    struct.pack_into("@Q", self._map, _DONE, _SENDING ^ goal)
                if send(descriptor, source, ctypes.byref(self._offset), ctypes.c_size_t(goal - sent)) > 0:
                    continue
                code = ctypes.get_errno()
                if code == errno.EAGAIN:
                    select.select([], [descriptor], [])
                elif code in _UNFIT and self._offset.value == 0:
                    return False
                elif code != errno.EINTR:
                    raise OSError(code, os.strerror(code))
        finally:
            os.close(source)
        return True

    def _write(self, descriptor: int, left: memoryview) -> None:
        sent = 0
        while left:
            try:
                count = os.write(descriptor, left)
            except BlockingIOError:
                select.select([], [descriptor], [])
                continue
            sent += count
            struct.pack_into("@q", self._map, _SENT, sent)
            left = left[count:]


def _fill(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _read(data: bytes) -> Delivery:
    """What stands in the file. An empty one is a new one, and so is one that a full disk kept from being begun."""
    if Delivery().pack().startswith(data):
        return Delivery()
    if len(data) != _LAYOUT.size or data[:8] != _MAGIC:
        return Delivery(fault="is not what its header says")
    _, commits, commits_again, run, n, batch_again, sent, done = _LAYOUT.unpack(data)
    faults = []
    if commits ^ _MASK != commits_again:
        faults.append("the number of commits")
        commits = 0
    finished = done == sent ^ _MASK
    if run ^ n ^ _MASK != batch_again or sent < 0 or not (finished or done == _ANY or _on_its_way(sent, done)):
        faults.append("the last batch")
        run, n, sent, finished = 0, 0, 0, False
    fault = f"fails its check ({', '.join(faults)})" if faults else None
    return Delivery(commits, run, n, sent, finished, fault)


def _on_its_way(sent: int, done: int) -> bool:
    """Whether a piece of a page whose end `done` names is sent or not, and nothing in between."""
    goal = done ^ _SENDING
    return goal >> 48 == 0 and sent in (goal, (goal - 1) // mmap.PAGESIZE * mmap.PAGESIZE)
