"""What is asked of the chronicle of a store, printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from sophia.cli.exits import Exit
from sophia.errors import StoreCorrupt

if TYPE_CHECKING:
    from sophia.store.chronicle import Chronicle
    from sophia.store.reading import Reading

__all__ = ["ask"]

_BREAK_OFF = 0.5  # seconds that a query has to end in that was broken off

Answer = Callable[["Reading"], Iterator[str]]


def ask(store: Path, answer: Answer) -> int:
    """Brings the chronicle of a store up to date, and prints what `answer` makes of it: in a thread of its own, so that
    a Ctrl-C is seen while a query is at work."""
    asking = _Asking(store, answer)
    asking.start()
    try:
        asking.done.wait()
    except KeyboardInterrupt:
        asking.interrupt()
        if not asking.done.is_set():  # what it has not committed is taken from the journal again
            os._exit(Exit.INTERRUPTED)
        raise
    finally:
        for note in asking.notes:
            if sys.stderr is not None:
                sys.stderr.write(f"sophia: {note}\n")
    if asking.error is not None:
        raise asking.error
    return Exit.DONE


class _Asking(Thread):
    """Prints what is asked for. `notes` is what is to be said beside it, `error` what it failed with.

    `done` is set at its end: a `join` that a Ctrl-C breaks off takes a thread for ended that is not.
    """

    def __init__(self, store: Path, answer: Answer) -> None:
        super().__init__(name="asking", daemon=True)
        self._store = store
        self._answer = answer
        self._open: Chronicle | Reading | None = None
        self.done = Event()
        self.notes: list[str] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._ask()
        except BaseException as error:  # raised again where it is waited for
            self.error = error
        finally:
            self.done.set()

    def interrupt(self) -> None:
        """Breaks off what is at work, and waits a little for its end."""
        ends = monotonic() + _BREAK_OFF
        while not self.done.wait(0.05) and monotonic() < ends:
            opened = self._open
            if opened is not None:
                opened.interrupt()

    def _ask(self) -> None:
        file = self._catch_up()
        written = 0
        try:
            for line in self._lines(file):
                sys.stdout.write(line)
                written += 1
        except StoreCorrupt as error:  # damage that only shows when it is read
            self._catch_up(str(error))
            if written:
                message = f"{error}; it was made anew: ask again, what was printed is not all"
                raise StoreCorrupt(message) from error
            for line in self._lines(file):
                sys.stdout.write(line)
        sys.stdout.flush()

    def _catch_up(self, damage: str | None = None) -> Path:
        from sophia.store.chronicle import Chronicle

        with Chronicle(self._store) as chronicle:
            self._open = chronicle
            try:
                if damage is not None:
                    chronicle.renew(damage)
                chronicle.catch_up()
                if chronicle.empty:
                    self.notes.append(f"the journal of {self._store} is empty, so no decision can be asked for")
            finally:
                self._open = None
                self.notes += chronicle.notes
            return chronicle.file

    def _lines(self, file: Path) -> Iterator[str]:
        from sophia.store.reading import Reading

        with Reading(file) as reading:
            self._open = reading
            try:
                yield from self._answer(reading)
            finally:
                self._open = None
