"""`sophia store ACTION`: look at a store, repair, compact, consolidate, back up, restore and export it."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from sophia.cli.exits import Exit

if TYPE_CHECKING:  # each action loads its own
    from sophia.store.backup import Backup
    from sophia.store.check import Health
    from sophia.store.repair import Repair

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
    _tell(options, facts, _info_lines(facts))
    return Exit.DONE


def _info_lines(facts: dict[str, Any]) -> Iterator[str]:
    answers, patterns = facts["answers"], facts["patterns"]
    yield f"store      {facts['path']}, format {facts['format']}, {_many(facts['runs'], 'run')}"
    writer = f"process {facts['writer']} is writing to it" if facts["writer"] else "not in use"
    yield f"written    {facts['written']}; {writer}"
    policies = _many(len(answers["policies"]), "policy", "policies")
    yield f"answers    {answers['count']:,}, of {policies}; {answers['expiring']:,} with an expiry"
    for scope in answers["scopes"][:10]:
        yield f"           {scope['answers']:>10,}  {_shown_scope(scope['scope'])}"
    if len(answers["scopes"]) > 10:
        yield "                       and more scopes, see --json"
    yield f"memories   {facts['memories']['count']:,}"
    yield f"patterns   {patterns['kept']:,}, and {patterns['merged']:,} merged into others"
    if facts["pending"]:
        yield f"pending    {_many(facts['pending'], 'batch', 'batches')} of a run that goes on or was killed"
    for name, what in _SHOWN_TABLES.items():
        found = facts[name]
        yield f"{name:<11}{'damaged: ' + found['problem'] if 'problem' in found else what(found)}"
    journal = facts["decisions"]
    if journal["files"]:
        yield f"journal    of decisions, {journal['bytes']:,} bytes in {_many(journal['files'], 'file')}"
    if facts["router_bytes"]:
        yield f"router     of intents, {facts['router_bytes']:,} bytes"
    yield f"files      {sum(facts['files'].values()):,} bytes"
    for name, size in facts["files"].items():
        yield f"           {size:>14,}  {name}"
    for name in facts["foreign"]:
        yield f"           not sophia's:   {name}"


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


def _shown_sensors(found: dict[str, Any]) -> str:
    return f"{found['sensors']:,} with {found['channels']:,} channels; log {found['log_bytes']:,} bytes"


def _shown_drift(found: dict[str, Any]) -> str:
    return f"{found['windows']:,} windows before birth"


def _shown_rhythms(found: dict[str, Any]) -> str:
    return f"of {found['patterns']:,} patterns; log {found['log_bytes']:,} bytes"


_SHOWN_TABLES = {
    "familiar": _shown_filter,
    "idf": _shown_idf,
    "sessions": _shown_sessions,
    "sensors": _shown_sensors,
    "words": _shown_idf,
    "drift": _shown_drift,
    "rhythms": _shown_rhythms,
}


def _check(options: argparse.Namespace) -> int:
    from sophia.store.check import check

    health = check(Path(options.store))
    _tell(options, health.as_dict(), _check_lines(health))
    return Exit.DONE if health.sound else Exit.GATED


def _check_lines(health: Health) -> Iterator[str]:
    yield f"{health.path}: {'sound' if health.sound else 'DAMAGED'}"
    for name, count in health.tables.items():
        yield f"  {name:<9}{count.sound:>12,} sound {count.damaged:>9,} damaged"
    for problem in health.problems:
        yield f"  damage: {problem}"
    for note in health.notes:
        yield f"  note: {note}"
    if not health.sound:
        yield f"save what is sound with: sophia store repair --store {health.path}"


def _repair(options: argparse.Namespace) -> int:
    from sophia.store.repair import repair

    done = repair(Path(options.store), dry_run=options.dry_run)
    _tell(options, done.as_dict(), _repair_lines(done))
    return Exit.GATED if done.state == "damaged" else Exit.DONE


def _repair_lines(done: Repair) -> Iterator[str]:
    if done.state == "sound":
        yield f"{done.path}: sound; nothing to repair"
        return
    verb = "repaired" if done.state == "repaired" else "DAMAGED; this is what a repair would save"
    yield f"{done.path}: {verb}"
    for problem in done.problems:
        yield f"  damage: {problem}"
    for name, saved in done.saved.items():
        yield f"  {name:<9}{saved:>12,} saved {done.lost[name]:>9,} lost"
    for name in done.anew:
        if name == "life":
            yield "  the stage of life starts anew: a crystalline brain learns again until it is made so once more"
        else:
            yield f"  the table {name} starts anew: what it knew is thought about once more"
    if done.unreadable_pages:
        yield f"  pages that cannot be read: {done.unreadable_pages:,}; their rows are not counted"
    if done.aside is not None:
        yield f"  the damaged files are in {done.aside}"


def _compact(options: argparse.Namespace) -> int:
    from sophia.store.compaction import compact

    done = compact(Path(options.store))
    size = f"{done.before:,} bytes before, {done.after:,} after"
    _tell(options, done.as_dict(), [f"{done.path}: {size}; {_many(done.expired, 'expired answer')} dropped"])
    return Exit.DONE


def _consolidate(options: argparse.Namespace) -> int:
    from time import time

    from sophia.errors import ConfigError
    from sophia.organs.hippocampus import Hippocampus
    from sophia.store.folder import StoreFolder

    StoreFolder(Path(options.store)).require()
    since = None if options.older_than is None else time() - options.older_than
    limits = {"since": since, "least": options.weaker_than, "most": options.most, "disk": options.disk}
    limits["merge"] = options.merge
    order = options.order
    limited = any(limit is not None for limit in limits.values())
    if options.dry_run and not limited:
        message = "--dry-run says what the other options would do; give one of them"
        raise ConfigError(message)
    with Hippocampus.open(options.store) as memory:
        done = {"let_go": 0, "merged": 0, "made": 0}
        try:
            if options.dry_run:
                done = memory.would_keep(**limits, order=order)
            elif limited:
                done = memory.keep(**limits, order=order)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if options.dry_run:
            line = f"{options.store}: of {_many(len(memory), 'memory', 'memories')} {done['let_go']:,} would be let go"
            _tell(options, done, [f"{line}, {done['merged']:,} become {done['made']:,}; nothing was changed"])
            return Exit.DONE
        memory.sleep()
        said = memory.stats()
    facts = done | {name: said[name] for name in ("memories", "archived", "rebuilt", "damaged")}
    line = (
        f"{options.store}: {_many(facts['memories'], 'memory', 'memories')}, of which the long-term index has "
        f"{facts['archived']:,}; {facts['let_go']:,} were let go, {facts['merged']:,} became {facts['made']:,}"
    )
    _tell(options, facts, [line])
    return Exit.DONE


def _backup(options: argparse.Namespace) -> int:
    from sophia.store.backup import backup

    made = backup(Path(options.store), Path(options.dest), force=options.force)
    again = f"put it back with: sophia store restore {options.dest} --store DIR"
    _tell(options, made.as_dict(), [f"{options.dest}: {_held(made)}, {made.bytes:,} bytes; {again}"])
    return Exit.DONE


def _restore(options: argparse.Namespace) -> int:
    from sophia.store.backup import restore

    done = restore(Path(options.source), Path(options.store), force=options.force)
    lines = [f"{done.path}: restored as of {done.source.made}, {_held(done.source)}"]
    if done.aside is not None:
        lines.append(f"  the store that was there is in {done.aside}")
    _tell(options, done.as_dict(), lines)
    return Exit.DONE


def _held(backup: Backup) -> str:
    memories = _many(backup.memories, "memory", "memories")
    return f"{_many(backup.answers, 'answer')}, {_many(backup.patterns, 'pattern')}, {memories}"


def _export(options: argparse.Namespace) -> int:
    from sophia.errors import ConfigError
    from sophia.store.export import Export

    if options.scope is not None and options.what not in ("answers", "memories"):
        message = "--scope selects answers or memories, patterns belong to all scopes; add --what answers, or memories"
        raise ConfigError(message)
    export = Export(Path(options.store))
    export.require()
    with _output(options.out, Path(options.store)) as out:
        parts = {"answers": lambda: export.answers(options.scope), "patterns": export.patterns}
        parts["memories"] = lambda: export.memories(options.scope)
        for name, lines in parts.items():
            for line in lines() if name == options.what or (options.what == "all" and name != "memories") else ():
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


def _tell(options: argparse.Namespace, facts: dict[str, Any], lines: Iterable[str]) -> None:
    """What came of an action: as JSON where that was asked for, or else in words."""
    if options.json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        sys.stdout.flush()
    else:
        sys.stdout.writelines(line + "\n" for line in lines)


def _many(count: int | None, noun: str, plural: str | None = None) -> str:
    number = "an unknown number" if count is None else f"{count:,}"
    return f"{number} {noun if count == 1 else plural or noun + 's'}"


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "info": _info,
    "check": _check,
    "repair": _repair,
    "compact": _compact,
    "consolidate": _consolidate,
    "backup": _backup,
    "restore": _restore,
    "export": _export,
}
