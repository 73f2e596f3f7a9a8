"""The commands `remember`, `recall` and `forget`, as arguments; each has a module of its name."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sophia.cli.flags import file, positive, text

if TYPE_CHECKING:
    from typing import Any

__all__ = ["add_memories", "iso_time", "moment", "time_of"]


def add_memories(commands: Any) -> None:
    """Adds the three commands to the parser of `sophia`."""
    remember = _command(
        commands, "remember", "remember texts", "Remembers each TEXT, or every input of --file, durably."
    )
    remember.add_argument("texts", nargs="*", type=text, metavar="TEXT")
    remember.add_argument(
        "--file", action="append", type=file, metavar="FILE", help="remember what `sophia run` would read there; - is "
        "standard input"
    )  # fmt: skip
    remember.add_argument("--exported", type=file, metavar="FILE", help="remember what `sophia store export --what "
                          "memories` wrote there, all of it")  # fmt: skip
    for name in ("text", "scope", "context"):
        help = f"JSON key or CSV column of the {name} in --file; may be repeated, the first one present is taken"
        remember.add_argument(f"--{name}-key", action="append", type=text, metavar="NAME", help=help)
    remember.add_argument("--scope", type=text, help="whose they are, where an input does not say")
    remember.add_argument("--context", type=text, help="the session they belong to, where an input does not say")
    remember.add_argument("--actor", type=text, default="", metavar="NAME", help="who said it")
    remember.add_argument("--kind", type=text, default="note", help="what kind of memory it is (default note)")
    remember.add_argument("--tag", action="append", type=text, default=[], metavar="TAG", help="may be repeated")
    remember.add_argument("--ts", type=moment, metavar="TIME", help="when it happened, where an input does not say")
    remember.add_argument("--answer", type=text, help="what was answered (to a single TEXT)")

    recall = _command(
        commands, "recall", "find what is like a text",
        "Prints the memories most like TEXT, the nearest first; without TEXT the latest.",
    )  # fmt: skip
    recall.add_argument("text", nargs="*", type=text, metavar="TEXT", help="several are one, with blanks between them")
    recall.add_argument("--words", action="store_true", help="only those that have all words of TEXT, the latest first")
    recall.add_argument("-k", type=positive, default=10, metavar="N", help="how many (default 10)")
    recall.add_argument("--scope", type=text, help="only of this scope; all of them without")
    recall.add_argument("--context", type=text, help="only of this session")
    recall.add_argument("--actor", type=text, metavar="NAME", help="only what this one said")
    recall.add_argument("--kind", action="append", type=text, help="only of this kind; may be repeated")
    recall.add_argument("--tag", action="append", type=text, default=[], metavar="TAG", help="only with this tag; may "
                        "be repeated")  # fmt: skip
    recall.add_argument("--since", type=moment, metavar="TIME", help="only from then on")
    recall.add_argument("--until", type=moment, metavar="TIME", help="only from before then")

    forget = _command(
        commands, "forget", "delete memories, or all that is known of a scope, for good",
        "Deletes memories by id, scope or age. With --scope alone all that the store knows of it, and the decisions of "
        "it in the files of the runs that used this store; what cannot be taken back is listed.",
    )  # fmt: skip
    forget.add_argument(
        "--id",
        action="append",
        type=memory_id,
        metavar="N",
        help="this memory (N, or mN as in `match`); may be repeated",
    )
    forget.add_argument("--scope", type=text, help="all of this scope; '' is the default scope")
    forget.add_argument("--copies", action="store_true", help="with --scope: remove what was set aside in the store")
    forget.add_argument("--before", type=moment, metavar="TIME", help="memories of what happened before then")


def _command(commands: Any, name: str, help: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=help, description=description, allow_abbrev=False)
    parser.add_argument("--store", type=file, default=".sophia", metavar="DIR", help="the store (default .sophia)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def time_of(value: str) -> datetime | float | None:
    """An ISO 8601 time (UTC where it names no zone) or seconds since 1970; None for anything else."""
    try:
        return float(value)
    except ValueError:
        return iso_time(value)


def iso_time(value: str) -> datetime | None:
    """An ISO 8601 time, UTC where it names no zone; None for anything else."""
    try:
        found = datetime.fromisoformat(value.strip().replace(",", "."))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def memory_id(value: str) -> int:
    """The number of a memory, as it is or as decisions name it."""
    return positive(value.removeprefix("m"))


def moment(value: str) -> datetime | float:
    """An argument that is a time."""
    found = time_of(value)
    if found is None or (isinstance(found, float) and not abs(found) < 1e11):
        message = f"{os.fsdecode(value)!r} is no time; write 2026-03-01T12:00:00, with a zone if it is not UTC"
        raise argparse.ArgumentTypeError(message)
    return found
