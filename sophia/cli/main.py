"""The command `sophia`: parses arguments, calls one command, turns errors into exit codes (sophia/cli/exits.py)."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys

from sophia.cli import standard
from sophia.cli.actions import add_config, add_store
from sophia.cli.exits import Exit, exit_of
from sophia.cli.flags import (
    add_fit_flags,
    add_input_flags,
    add_run_flags,
    add_store_flags,
    file,
    positive,
    span,
    text,
)  # fmt: skip
from sophia.cli.memories import add_memories
from sophia.errors import SophiaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    standard.secure()
    try:
        code = _main(arguments)
    except SystemExit as end:  # of argparse: --help, --version, a usage error
        code = end.code if isinstance(end.code, int) else Exit.USAGE
    except KeyboardInterrupt:  # before a command had begun
        code = Exit.INTERRUPTED
    try:
        return standard.settle(code)
    except SophiaError as error:
        return _fail(_words(error), exit_of(error))


def _main(arguments: list[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_usage(sys.stderr)
        return Exit.USAGE
    from importlib import import_module

    try:
        from sophia._core import cpu as cpu  # SOPHIA_SIMD is read here
    except (ValueError, ImportError) as error:
        return _fail(str(error), Exit.USAGE)
    try:
        code: int = import_module(f"sophia.cli.{options.command}").command(options)
    except BrokenPipeError:
        standard.abandon()  # the reader of our output has gone, as `| head` does
        return Exit.DONE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except (SophiaError, OSError) as error:
        return _fail(_words(error), exit_of(error))
    except Exception as error:
        if os.environ.get("SOPHIA_TRACEBACK"):
            raise
        hint = "" if getattr(error, "__notes__", ()) else " (SOPHIA_TRACEBACK=1 shows where)"
        return _fail(f"internal error: {type(error).__name__}: {_words(error)}{hint}", Exit.INTERNAL)
    return code


def _words(error: BaseException) -> str:
    """An error as one line, but for a list of faults; with the notes that were added on its way."""
    lines = str(error).split("\n")
    if exit_of(error) is Exit.USAGE and len(lines) > 1:
        return "\n  ".join([f"{len(lines)} settings cannot be used:", *lines])
    if isinstance(error, OSError) and not isinstance(error, SophiaError) and error.errno in _NO_ROOM:
        lines.append("(make room on the disk, or look at it, and run again)")
    return " ".join([*lines, *(f"({note})" for note in getattr(error, "__notes__", ()))])


def _fail(words: str, code: Exit) -> Exit:
    if sys.stderr is not None:
        sys.stderr.write(f"sophia: {words}\n")
    return code


class _Parser(argparse.ArgumentParser):
    """One that names what is nearest to a word that it does not know."""

    def error(self, message: str) -> NoReturn:
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message, re.DOTALL):
            from difflib import get_close_matches

            for close in get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), 1, 0.6):
                message = f"{message[: found.start()]}there is no {found[1]!r}; did you mean {close!r}?"
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    from sophia import __version__

    version = f"sophia {__version__}"
    parser = _Parser(
        prog="sophia", description="Decides how much thought each input deserves, on a plain CPU.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="decide every line of files or of standard input", allow_abbrev=False)
    run.add_argument("inputs", nargs="*", metavar="INPUT", help="file, glob, .gz, FIFO, socket or - for standard input")
    run.add_argument("--version", action="version", version=version)
    add_input_flags(run)
    add_run_flags(run)

    demo = commands.add_parser("demo", help="the same over a small sample that ships with sophia", allow_abbrev=False)
    add_run_flags(demo, store="none")

    fit = commands.add_parser("fit", help="train a router of intents on labelled texts", allow_abbrev=False)
    fit.add_argument("inputs", nargs="+", metavar="FILE", help="CSV or JSON lines with a text and a label")
    add_fit_flags(fit)

    route = commands.add_parser("route", help="decide one text and print its record", allow_abbrev=False)
    route.add_argument("text", type=text)
    route.add_argument("--scope", type=text, help="whose text it is")
    route.add_argument("--context", type=text, help="conversation or session inside the scope")
    route.add_argument("--answer", type=text, help="store this answer for later repeats")
    add_store_flags(route)

    doctor = commands.add_parser("doctor", help="versions, SIMD level, health of the store", allow_abbrev=False)
    doctor.add_argument("--store", type=file, default=".sophia", metavar="DIR")
    doctor.add_argument("--json", action="store_true", help="print JSON")

    gestate = commands.add_parser(
        "gestate", help="observe a stream until the brain is born", allow_abbrev=False,
        description="Reads inputs as `sophia run` does, tells nothing of them, and learns what is usual, until there "
        "were enough of them and enough time has passed, over as many calls as that takes.",
    )  # fmt: skip
    gestate.add_argument("inputs", nargs="*", metavar="INPUT", help="file, glob, .gz, FIFO, socket or -")
    gestate.add_argument("--least", type=positive, metavar="N", help="inputs (default 1000)")
    gestate.add_argument("--time", type=span, metavar="24h", help="time, by the clock (default 24h)")
    add_input_flags(gestate)
    add_store_flags(gestate)

    status = commands.add_parser("status", help="stage of life, and what is usual here", allow_abbrev=False)
    status.add_argument("--store", type=file, default=".sophia", metavar="DIR", help="the store (default .sophia)")
    status.add_argument("--json", action="store_true", help="print JSON")

    weave = commands.add_parser(
        "weave", help="the chapters of what was decided; or ask in SQL", allow_abbrev=False,
        description="Prints the chapters that runs have told, by day. With --views or --sql it brings weaver.duckdb in "
        "the store up to date with the journal of decisions, and prints the views (days, weeks, routes_per_hour, whys, "
        "top_patterns, first_seen, silence, drift, k_series, calls_avoided, latency), or the rows of a query over them "
        "and the tables decisions, alarms, patterns and chapters (DESCRIBE decisions says what they have); --parquet "
        "writes these tables to files. That needs the extra brain.",
    )  # fmt: skip
    weave.add_argument("--sql", type=text, metavar="QUERY", help="one query; nothing is written, no file is read")
    weave.add_argument("--parquet", type=file, metavar="DIR", help="write each table to a file of Parquet in there")
    weave.add_argument("--since", type=text, metavar="24h|TIME", help="chapters that ended so long ago, or since")
    weave.add_argument("--markdown", action="store_true", help="print the chapters as Markdown")
    weave.add_argument("--views", action="store_true", help="print the views")
    weave.add_argument("--most", type=positive, metavar="N", help="rows of each view (default 20)")
    weave.add_argument("--json", action="store_true", help="print a JSON object a chapter or row")
    weave.add_argument("--store", type=file, default=".sophia", metavar="DIR", help="the store (default .sophia)")

    ask = commands.add_parser(
        "ask", help="a question about what was decided", allow_abbrev=False,
        description="Answers what templates over the store's chronicle can: what was new, dangerous, frequent, silent, "
        "slow, avoided, what happened, how many, what deserves attention; with words of time (today, yesterday, "
        "after 14:00, since 2026-11-30 14:00, in the last 3 hours, on 2026-11-30). It says how it understood the "
        "question, and what it did not. Needs the extra brain.",
    )  # fmt: skip
    ask.add_argument("question", nargs="+", type=text, metavar="WORD", help="as: what was new after 14:00?")
    ask.add_argument("--tz", type=text, default="UTC", metavar="ZONE", help="of the times in it (default UTC)")
    ask.add_argument("--json", action="store_true", help="print a JSON object a row")
    ask.add_argument("--store", type=file, default=".sophia", metavar="DIR", help="the store (default .sophia)")

    crystallise = commands.add_parser("crystallise", help="decide on, and learn nothing more", allow_abbrev=False)
    crystallise.add_argument("--undo", action="store_true", help="learn again")
    crystallise.add_argument("--store", type=file, default=".sophia", metavar="DIR", help="the store (default .sophia)")

    add_memories(commands)
    add_store(commands)
    add_config(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
