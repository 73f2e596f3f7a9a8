"""The command `sophia`: parses arguments, calls one command, turns errors into exit codes.

Exit codes: 0 done, 2 usage or configuration, 3 input, 4 store locked or of a newer format, 5 internal error,
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_usage(sys.stderr)
        return 2
    from importlib import import_module

    from sophia.errors import ConfigError, InputError, SophiaError, StoreLocked, StoreVersionError

    try:
        from sophia._core import cpu as cpu  # SOPHIA_SIMD is read here
    except (ValueError, ImportError) as error:
        return _fail(error, 2)
    try:
        code: int = import_module(f"sophia.cli.{options.command}").command(options)
    except ConfigError as error:
        return _fail(error, 2)
    except InputError as error:
        return _fail(error, 3)
    except (StoreLocked, StoreVersionError) as error:
        return _fail(error, 4)
    except SophiaError as error:
        return _fail(error, 5)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; keep the interpreter's last flush quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(error, 5)
    except Exception as error:
        if os.environ.get("SOPHIA_TRACEBACK"):
            raise
        return _fail(
            RuntimeError(f"internal error: {type(error).__name__}: {error} (SOPHIA_TRACEBACK=1 shows where)"), 5
        )
    return code


def _fail(error: Exception, code: int) -> int:
    sys.stderr.write(f"sophia: {error}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    from sophia import __version__

    parser = argparse.ArgumentParser(
        prog="sophia", description="Decides how much thought each input deserves, on a plain CPU."
    )
    parser.add_argument("--version", action="version", version=f"sophia {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="decide every line of files or of standard input")
    run.add_argument("inputs", nargs="*", metavar="INPUT", help="file, glob, .gz or - for standard input")
    run.add_argument("--format", choices=("auto", "jsonl", "csv", "lines"), default="auto")
    run.add_argument("--limit", type=_positive, metavar="N", help="stop after N inputs")
    _run_options(run)

    demo = commands.add_parser("demo", help="the same over a small sample that ships with sophia")
    demo.add_argument("--limit", type=_positive, metavar="N", help="stop after N inputs")
    _run_options(demo)
    demo.set_defaults(store=None)  # a second demo shows the same as the first

    route = commands.add_parser("route", help="decide one text and print its record")
    route.add_argument("text")
    route.add_argument("--scope", default=None, help="whose text it is")
    route.add_argument("--context", default=None, help="conversation or session inside the scope")
    route.add_argument("--answer", default=None, help="store this answer for later repeats")
    _store_options(route)

    doctor = commands.add_parser("doctor", help="versions, SIMD level, health of the store")
    doctor.add_argument("--store", default=".sophia", metavar="DIR")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="FILE", help="decisions go here; - is standard output")
    parser.add_argument("--workers", type=_positive, metavar="N", help="threads (default: one a core)")
    parser.add_argument("--batch", type=_positive, default=256, metavar="N", help="inputs a batch (default 256)")
    parser.add_argument("--no-cache", action="store_true", help="answer nothing from memory")
    parser.add_argument("--report", choices=("none",), default="none", help="only none for now")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary on standard error")
    _store_options(parser)


def _store_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default=".sophia", metavar="DIR", help="memory (default .sophia)")
    parser.add_argument("--no-store", action="store_true", help="remember nothing after the end")
    parser.add_argument(
        "--rules", action="append", default=[], metavar="FILE", help="further danger rules (TOML); may be repeated"
    )


def _positive(value: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        message = f"{value!r} is not a whole number of at least 1"
        raise argparse.ArgumentTypeError(message)
    return number


if __name__ == "__main__":
    sys.exit(main())
