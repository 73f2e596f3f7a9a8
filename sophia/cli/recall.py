"""`sophia recall`: what a store remembers that is like a text."""

from __future__ import annotations

import argparse
import io
import json
import sys
from typing import TYPE_CHECKING

from sophia.cli.exits import Exit
from sophia.errors import ConfigError

if TYPE_CHECKING:
    from sophia.organs.recall import Memory

__all__ = ["command"]

_SHOWN = 200  # characters of a text


def command(options: argparse.Namespace) -> int:
    """Prints the memories, a line each; exit code 0 where there is none too. Works while a run is writing."""
    from sophia.organs.memory_reader import MemoryReader

    text = " ".join(options.text) if options.text else None
    if text is not None and not text.strip():
        message = "the text is empty; leave it out for the latest memories"
        raise ConfigError(message)
    if options.words and text is None:
        message = "--words needs a TEXT"
        raise ConfigError(message)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with MemoryReader.open(options.store) as memory:
        try:
            choice = {name: getattr(options, name) for name in ("scope", "context", "actor", "since", "until")}
            choice |= {"kinds": options.kind, "tags": options.tag}
            if options.words and text is not None:
                found = memory.find(text, options.k, **choice)
            else:
                found = memory.recall(text, options.k, **choice)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        many, owned = len(memory), None
        if options.scope is not None and not found:
            owned = len(memory.recall(None, max(1, many), scope=options.scope))
    for each in found:
        sys.stdout.write((json.dumps(each.to_dict()) if options.json else _line(each)) + "\n")
    if not found and not options.json and sys.stderr is not None:
        scope = "" if owned is None else f", of which {owned:,} have the scope {options.scope!r}"
        sys.stderr.write(f"sophia: nothing found among {many:,} memories in {options.store}{scope}\n")
    sys.stdout.flush()
    return Exit.DONE


def _line(memory: Memory) -> str:
    said = "(a vector)" if memory.text is None else _shown(memory.text, _SHOWN)
    names = "".join(
        f" {name}={_shown(value, 40)}" for name in ("scope", "context", "actor") if (value := getattr(memory, name))
    )
    tags = f" tags={_shown(','.join(memory.tags), 40)}" if memory.tags else ""
    answer = "" if memory.answer is None else f"  -> {_shown(memory.answer, _SHOWN)}"
    score = "    -" if memory.score is None else f"{memory.score:5.2f}"
    return f"{memory.id:>8}  {score}  {memory.ts:%Y-%m-%d %H:%M}{names}{tags}  {said}{answer}"


def _shown(text: str, most: int) -> str:
    """On one line, without signs that a terminal would obey."""
    line = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in " ".join(text.split()))
    return line if len(line) <= most else line[: most - 3] + "..."
