"""`sophia store ACTION`: look at a store, repair, compact, back up, restore and export it."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from sophia.cli.exits import Exit

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Does the action; returns 1 where something is damaged."""
    if options.action is None:
        options.store_parser.print_usage(sys.stderr)
        return Exit.USAGE
    from sophia.errors import StoreCorrupt

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # scopes may be in signs that the terminal has not
    try:
        return _ACTIONS[options.action](options)
    except StoreCorrupt as error:
        sys.stderr.write(f"sophia: {error}\n")
        return Exit.GATED


def _info(options: argparse.Namespace) -> int:
    from sophia.store.overview import overview

    facts = overview(Path(options.store))
    if options.json:
        _print_json(facts)
        return Exit.DONE
    write = sys.stdout.write
    answers, patterns = facts["answers"], facts["patterns"]
    write(f"store      {facts['path']}, format {facts['format']}, {_many(facts['runs'], 'run')}\n")
    writer = f"process {facts['writer']} is writing to it" if facts["writer"] else "not in use"
    write(f"written    {facts['written']}; {writer}\n")
    policies = len(answers["policies"])
    write(f"answers    {answers['count']:,}, of {_many(policies, 'policy', 'policies')}; ")
    write(f"{answers['expiring']:,} with an expiry\n")
    for scope in answers["scopes"][:10]:
        write(f"           {scope['answers']:>10,}  {_shown_scope(scope['scope'])}\n")
    if len(answers["scopes"]) > 10:
        write("                       and more scopes, see --json\n")
    write(f"patterns   {patterns['kept']:,}, and {patterns['merged']:,} merged into others\n")
    if facts["pending"]:
        write(f"pending    {_many(facts['pending'], 'batch', 'batches')} of a run that goes on or was killed\n")
    for name, what in (("familiar", _shown_filter), ("idf", _shown_idf), ("sessions", _shown_sessions)):
        found = facts[name]
        write(f"{name:<11}{'damaged: ' + found['problem'] if 'problem' in found else what(found)}\n")
    if facts["router_bytes"]:
        write(f"router     of intents, {facts['router_bytes']:,} bytes\n")
    write(f"files      {sum(facts['files'].values()):,} bytes\n")
    for name, size in facts["files"].items():
        write(f"           {size:>14,}  {name}\n")
    for name in facts["foreign"]:
        write(f"           not sophia's:   {name}\n")
    return Exit.DONE


def _shown_scope(scope: str | None) -> str:
    if scope is None:
        return "(damaged keys)"
    return repr(scope) if scope else "(the default scope)"


def _shown_filter(found: dict[str, Any]) -> str:
    room = "" if found["capacity"] is None else f" of {found['capacity']:,}, load {found['load']:.1%}"
    return f"{found['items']:,} items{room}; log {found['log_bytes']:,} bytes"


def _shown_idf(found: dict[str, Any]) -> str:
    return f"{found['documents']:,} documents, {found['words']:,} words; log {found['log_bytes']:,} bytes"


def _shown_sessions(found: dict[str, Any]) -> str:
    return f"{found['open']:,} open, {found['known']:,} orders and counts; log {found['log_bytes']:,} bytes"


def _check(options: argparse.Namespace) -> int:
    from sophia.store.check import check

    health = check(Path(options.store))
    if options.json:
        _print_json(health.as_dict())
    else:
        sys.stdout.write(f"{health.path}: {'sound' if health.sound else 'DAMAGED'}\n")
        for name, count in health.tables.items():
            sys.stdout.write(f"  {name:<9}{count.sound:>12,} sound {count.damaged:>9,} damaged\n")
        for problem in health.problems:
            sys.stdout.write(f"  damage: {problem}\n")
        for note in health.notes:
            sys.stdout.write(f"  note: {note}\n")
        if not health.sound:
            sys.stdout.write(f"save what is sound with: sophia store repair --store {health.path}\n")
    return Exit.DONE if health.sound else Exit.GATED


def _repair(options: argparse.Namespace) -> int:
    from sophia.store.repair import repair

    done = repair(Path(options.store), dry_run=options.dry_run)
    if options.json:
        _print_json(done.as_dict())
    elif done.state == "sound":
        sys.stdout.write(f"{done.path}: sound; nothing to repair\n")
    else:
        verb = "repaired" if done.state == "repaired" else "DAMAGED; this is what a repair would save"
        sys.stdout.write(f"{done.path}: {verb}\n")
        for problem in done.problems:
            sys.stdout.write(f"  damage: {problem}\n")
        for name, saved in done.saved.items():
            sys.stdout.write(f"  {name:<9}{saved:>12,} saved {done.lost[name]:>9,} lost\n")
        for name in done.anew:
            sys.stdout.write(f"  the table {name} starts anew: what it knew is thought about once more\n")
        if done.unreadable_pages:
            sys.stdout.write(f"  pages that cannot be read: {done.unreadable_pages:,}; their rows are not counted\n")
        if done.aside is not None:
            sys.stdout.write(f"  the damaged files are in {done.aside}\n")
    return Exit.GATED if done.state == "damaged" else Exit.DONE


def _compact(options: argparse.Namespace) -> int:
    from sophia.store.compaction import compact

    done = compact(Path(options.store))
    if options.json:
        _print_json(done.as_dict())
    else:
        sys.stdout.write(
            f"{done.path}: {done.before:,} bytes before, {done.after:,} after; "
            f"{_many(done.expired, 'expired answer')} dropped\n"
        )
    return Exit.DONE


def _backup(options: argparse.Namespace) -> int:
    from sophia.store.backup import backup

    made = backup(Path(options.store), Path(options.dest), force=options.force)
    if options.json:
        _print_json(made.as_dict())
    else:
        sys.stdout.write(
            f"{options.dest}: {_many(made.answers, 'answer')}, {_many(made.patterns, 'pattern')}, {made.bytes:,} "
            f"bytes; put it back with: sophia store restore {options.dest} --store DIR\n"
        )
    return Exit.DONE


def _restore(options: argparse.Namespace) -> int:
    from sophia.store.backup import restore

    done = restore(Path(options.source), Path(options.store), force=options.force)
    if options.json:
        _print_json(done.as_dict())
    else:
        source = done.source
        sys.stdout.write(
            f"{done.path}: restored as of {source.made}, {_many(source.answers, 'answer')}, "
            f"{_many(source.patterns, 'pattern')}\n"
        )
        if done.aside is not None:
            sys.stdout.write(f"  the store that was there is in {done.aside}\n")
    return Exit.DONE


def _export(options: argparse.Namespace) -> int:
    from sophia.errors import ConfigError
    from sophia.store.export import Export

    if options.scope is not None and options.what != "answers":
        message = "--scope selects answers, patterns belong to all scopes; add --what answers"
        raise ConfigError(message)
    export = Export(Path(options.store))
    export.require()
    with _output(options.out, Path(options.store)) as out:
        if options.what != "patterns":
            for line in export.answers(options.scope):
                out.write(line + "\n")
        if options.what != "answers":
            for line in export.patterns():
                out.write(line + "\n")
        out.flush()
    if export.lines:
        sys.stderr.write(
            f"sophia: {_many(export.lines, 'answer')} of log lines; `sophia run` takes them in as those of messages\n"
        )
    if export.waiting:
        sys.stderr.write(
            f"sophia: {_many(export.waiting, 'input')} of a run that goes on, or was killed, may be missing; "
            "the store has them, and its tables get them with the next commit or run\n"
        )
    export.require_sound()
    return Exit.DONE


@contextmanager
def _output(name: str | None, store: Path) -> Iterator[TextIO]:
    """Standard output, or a file that is there only when it is whole."""
    from sophia.errors import ConfigError

    if name is None or name == "-":
        yield sys.stdout
        return
    path = Path(name)
    if store.resolve() in path.resolve().parents:
        message = f"--out {name} lies in the store; name a file elsewhere"
        raise ConfigError(message)
    partial = path.with_name(path.name + ".part")
    try:
        out = partial.open("w", encoding="ascii")
    except OSError as error:
        message = f"--out {name}: {error.strerror}; name a file in a folder that can be written"
        raise ConfigError(message) from error
    try:
        with out:
            yield out
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def _print_json(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    sys.stdout.flush()


def _many(count: int | None, noun: str, plural: str | None = None) -> str:
    number = "an unknown number" if count is None else f"{count:,}"
    return f"{number} {noun if count == 1 else plural or noun + 's'}"


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "info": _info,
    "check": _check,
    "repair": _repair,
    "compact": _compact,
    "backup": _backup,
    "restore": _restore,
    "export": _export,
}
