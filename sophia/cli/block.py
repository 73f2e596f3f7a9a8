"""A block of lines on a terminal that is drawn over itself: by rich where it is installed, else by ANSI codes."""

from __future__ import annotations

import os
import shutil
from typing import Any, Protocol, TextIO

__all__ = ["AnsiBlock", "Block", "RichBlock", "Rows", "block_on"]

Rows = list[list[tuple[str, str]]]

_CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Block(Protocol):
    """Rows of (text, style); a style is bold, red, green, yellow, cyan or empty."""

    def draw(self, rows: Rows) -> None:
        """Draws the rows in the place of those before."""

    def erase(self) -> None:
        """Takes the rows away; what is written next stands where they stood."""


def block_on(stream: TextIO) -> Block | None:
    """A block on a terminal; None on anything else, and on a terminal that cannot move its cursor."""
    if not stream.isatty() or os.environ.get("TERM", "") in ("", "dumb"):
        return None
    try:
        return RichBlock(stream)
    except ImportError:
        return AnsiBlock(stream)


class AnsiBlock:
    """Drawn with cursor movements that every terminal of the last forty years knows. Colours unless NO_COLOR is set."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._height = 0
        self._colours = not os.environ.get("NO_COLOR")

    def draw(self, rows: Rows) -> None:
        width = shutil.get_terminal_size().columns - 1  # a line that wraps is never taken away again
        text = self._back()
        for row in rows:
            room = width
            for words, style in row:
                shown = words[:room]
                room -= len(shown)
                code = _CODES.get(style) if self._colours else None
                text += f"\x1b[{code}m{shown}\x1b[0m" if code and shown else shown
            text += "\n"
        self._height = len(rows)
        self._stream.write(text)
        self._stream.flush()

    def erase(self) -> None:
        if self._height:
            text = self._back()
            self._height = 0
            self._stream.write(text)
            self._stream.flush()

    def _back(self) -> str:
        return f"\x1b[{self._height}A\r\x1b[J" if self._height else ""


class RichBlock:
    """Drawn by rich, which knows more terminals. ImportError where it is not installed."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, emoji=False, markup=False)
        self._live: Any = None

    def draw(self, rows: Rows) -> None:
        from rich.live import Live
        from rich.text import Text

        lines = [Text.assemble(*row, no_wrap=True, overflow="crop") for row in rows]
        if self._live is None:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        self._live.update(Text("\n", no_wrap=True, overflow="crop").join(lines), refresh=True)

    def erase(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
