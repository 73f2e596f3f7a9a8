"""`sophia run`: every input gets a decision, a record, and a place in the summary."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import sophia
from sophia.brain import Sophia
from sophia.cli.exits import Exit
from sophia.cli.flags import settings_of
from sophia.cli.guard import Guard
from sophia.cli.outputs import Outputs, refuse_outputs
from sophia.cli.progress import Progress, peak_memory
from sophia.cli.report import Report
from sophia.cli.status import status_command
from sophia.cli.target import Target
from sophia.config import RunSettings, Settings
from sophia.errors import ConfigError
from sophia.organs.scanning import MOST
from sophia.setting_kinds import parse_fail_on
from sophia.stream.formats import Keys
from sophia.stream.intake import Intake
from sophia.stream.interrupt import Interrupt
from sophia.stream.readers import Reader, follow_batches, read_batches
from sophia.stream.reloading import Reloading
from sophia.stream.run import run
from sophia.stream.score import Score
from sophia.stream.session_key import SessionKey
from sophia.stream.summary import Summary, unkept_words
from sophia.stream.times import zone

__all__ = ["command", "keys_of"]

_SHOWN_ERRORS = 20


def command(options: argparse.Namespace) -> int:
    """Reads the inputs, writes the files of a run; the summary on stderr, or as JSON on stdout."""
    if not options.inputs and (sys.stdin is None or sys.stdin.isatty()):
        sys.stderr.write("usage: sophia run [INPUT ...]  (a file, a glob, or - for standard input)\n")
        return Exit.USAGE
    logging.getLogger("sophia").addHandler(logging.NullHandler())  # what ends a run is told once, below
    settings, wanted = settings_of(options)
    target = Target(wanted.out)
    if options.json and target.descriptor == 1:
        message = f"--json and --out {wanted.out} both want standard output; name a file for the decisions"
        raise ConfigError(message)
    store = None if wanted.no_store else wanted.store
    complete = zone(wanted.tz)
    report = Report(wanted.report, quiet=wanted.quiet)
    strict = wanted.on_error == "stop"
    reader = _reader(options.inputs, wanted, lambda words: progress.tell(words))
    file = options.config or os.environ.get("SOPHIA_CONFIG") or None
    followed = file if file is not None and Path(file).is_file() else None  # what is a pipe says a thing once
    guard = _guard(reader, file, settings, wanted)
    refuse_outputs(guard, target, report.file, beside=report.beside, summary=options.json)
    session_key = SessionKey(wanted.session_key) if wanted.session_key else None
    intake = Intake(reader, sample=wanted.sample, rate=wanted.rate, seed=settings.seed)
    # a signal ends the reading; all that follows the reading is done as at any end
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt(intake.stop))
        stack.enter_context(target)
        if not target.connect(lambda: intake.stopped, lambda words: _tell(words, quiet=wanted.quiet)):
            return Exit(interrupt.exit_code)
        brain = stack.enter_context(_open(store, settings, wanted))
        outputs = stack.enter_context(Outputs(target, sessions=session_key is not None))
        score = Score(_intents(brain)) if wanted.score else None
        if target.live:
            reader.watch_output(outputs.decisions.fileno())
        if options.resume_answers:
            brain.resume_answers()
        started = datetime.now(UTC)
        header = {
            "sophia": sophia.__version__,
            "python": platform.python_version(),
            "policy_version": brain.policy_version,
            **({} if brain.intents is None else {"model": brain.intents.version}),
            "started": started.isoformat(timespec="milliseconds"),
            "seed": settings.seed,
            "settings": settings.changed() | wanted.changed(),
        }
        brain.note_outputs(outputs.files(report.page(outputs.folder)))
        _log_start(outputs, header, options.inputs, brain, quiet=wanted.quiet)
        _note_replaced(outputs, outputs.replaced, quiet=wanted.quiet)
        if (idle := _idle_keys(wanted, settings)) is not None:
            outputs.log.write("note", idle)
            _tell(idle, quiet=wanted.quiet)
        progress = Progress(wanted.progress, reader.counts, outputs.log, quiet=wanted.quiet)
        unborn = brain.birth is None

        def watch(summary: Summary) -> None:
            nonlocal unborn
            if unborn and (birth := brain.birth) is not None:
                unborn = False
                number = birth["patterns"]
                kinds = f"{number:,} pattern{'' if number == 1 else 's'}"
                progress.born(
                    f"the brain was born after {birth['inputs']:,} inputs of {kinds}"
                    + ("" if store is None else f"; `{status_command(store)}` says what is usual")
                )
            progress.show(summary)

        def load() -> tuple[Settings, RunSettings]:
            found = settings_of(options)
            if strict and found[0].max_chars != settings.max_chars:
                message = f"max_chars cannot change live where a longer input ends the run: it is {settings.max_chars}"
                raise ConfigError(message)
            return found

        def told(words: str) -> None:
            progress.tell(words, "config")

        try:
            summary = run(
                intake,
                brain,
                outputs.decisions,
                outputs.patterns,
                strict=strict,
                zone=complete,
                score=score,
                watch=watch,
                collector=report.collect(brain),
                session_key=session_key,
                sessions=outputs.sessions,
                alarms=outputs.alarms,
                alarmed=progress.alarmed,
                patience=wanted.store_timeout,
                weave=not wanted.no_weave,
                tell=lambda words: progress.tell(words, "store"),
                reloading=None if followed is None else Reloading(followed, load, settings, wanted, told),
            )
        finally:
            progress.clear()
        _note_replaced(outputs, outputs.keep(), quiet=wanted.quiet)
        fired = _fired(wanted, summary)
        if "alarm" in wanted.fail_on and (idle := _no_alarm(brain, summary)) is not None:
            outputs.log.write("note", idle)
            _tell(idle, quiet=wanted.quiet)
        if "anomaly" in wanted.fail_on and (idle := _no_anomaly(summary)) is not None:
            outputs.log.write("note", idle)
            _tell(idle, quiet=wanted.quiet)
        if summary.hung:
            outputs.log.write("store", unkept_words(summary))
            if wanted.quiet and sys.stderr is not None:
                sys.stderr.write(f"sophia: {unkept_words(summary)}\n")
        lost, reason = brain.unjournaled
        if lost:
            words = f"the journal of the store lacks {lost:,} decisions ({reason}); they are in {target.told}"
            _log_notes(outputs, [words], quiet=wanted.quiet)
        code = _exit(summary, reader.counts.errors, fired, interrupt.exit_code)
        totals = {
            **header,
            "inputs": reader.counts.as_dict() | {"left_out": intake.left_out},
            **summary.as_dict(),
            "stage": brain.stage,
            "saved": {
                "calls": summary.avoided,
                "cost_per_call": wanted.cost_per_call,
                "cost": round(summary.avoided * wanted.cost_per_call, 6),
            },
            "score": None if score is None else score.as_dict(),
            "failed_on": fired,
            "peak_memory": peak_memory(),
            "exit_code": int(code),
        }
        text = json.dumps(totals, indent=2) + "\n"
        outputs.write("summary.json", text)
        if not summary.output_gone:  # whoever closes the pipe early has no questions
            progress.finish(summary, outputs.folder, wanted, intake.left_out, score)
        report.write(
            outputs.folder,
            summary,
            reader.counts,
            brain,
            cost_per_call=wanted.cost_per_call,
            score=score,
            store=store,
            decisions=target.told,
        )
        _log_notes(outputs, reader.counts.notes, quiet=wanted.quiet)
        _log_end(outputs, summary, reader.counts.errors, fired, code, quiet=wanted.quiet)
    if options.json:
        sys.stdout.write(text)
        sys.stdout.flush()
    return Exit(interrupt.exit_code or code)


def _workers(wanted: RunSettings) -> int:
    return wanted.workers or os.cpu_count() or 1


def _open(store: str | None, settings: Settings, wanted: RunSettings) -> Sophia:
    workers = min(_workers(wanted), MOST)
    return sophia.open(store, settings=settings, rules=wanted.rules, model=wanted.model, workers=workers)


def _reader(inputs: list[str], wanted: RunSettings, tell: Callable[[str], None]) -> Reader:
    batch, limit = Intake.batch(wanted.batch, wanted.rate), wanted.limit or None
    keys, keep_going = keys_of(wanted), wanted.on_error == "skip"
    if wanted.follow:
        return follow_batches(
            inputs, format=wanted.format, batch=batch, limit=limit, keys=keys, keep_going=keep_going, tell=tell
        )
    return read_batches(inputs, format=wanted.format, batch=batch, limit=limit, keys=keys, keep_going=keep_going)


def _guard(reader: Reader, config: str | None, settings: Settings, wanted: RunSettings) -> Guard:
    """The files that this run reads and uses."""
    guard = Guard(reader.sources, store=None if wanted.no_store else wanted.store)
    files = [("--config", config), *(("--rules", rules) for rules in wanted.rules)]
    if settings.mask not in ("auto", "none"):
        files.append(("--mask", settings.mask))
    if wanted.model is not None:
        from sophia.organs.intent_file import place

        files.append(("--model", str(place(wanted.model))))
    for flag, file in files:
        if file is not None:
            guard.keep(file, f"is the file of {flag}")
    return guard


def _no_anomaly(summary: Summary) -> str | None:
    """Why there could be no anomaly, None where there could be one."""
    if not summary.samples:
        return "no input is a sample of a sensor, so there can be no anomaly (--fail-on anomaly); see --format sensor"
    return next((note for note in summary.sensor_notes if "warming up" in note), None)


def _idle_keys(wanted: RunSettings, settings: Settings) -> str | None:
    """Which of the names of fields, and of the rules of sensors, have no use for the format; None where all have."""
    names = ("value", "sensor") if wanted.format != "sensor" else ("text", "context", "answer", "session")
    flags = [f"--{name}-key" for name in names if getattr(wanted, f"{name}_key")]
    if wanted.format != "sensor":
        if wanted.sensor is not None:
            flags.append("--sensor")
        flags += [f"--{name.replace('_', '-')}" for name in settings.changed() if name.startswith("sensor_")]
    return f"{', '.join(flags)}: without use, as the format is {wanted.format}" if flags else None


def _no_alarm(brain: Sophia, summary: Summary) -> str | None:
    """Why there could be no alarm, None where there could be one."""
    if not summary.decisions or brain.thalamus.frozen:  # of a crystalline brain it is told anyway
        return None
    if not brain.thalamus.timed:
        return "no input names a time that is known, so there can be no alarm (--fail-on alarm)"
    if brain.birth is None and brain.stage == "gestating":
        return "the brain is not born yet, so there can be no alarm (--fail-on alarm)"
    return None


def keys_of(wanted: RunSettings) -> Keys:
    """Where fields are found; what is not set keeps its usual names."""
    named = {
        "text": wanted.text_key,
        "scope": wanted.scope_key,
        "context": wanted.context_key,
        "answer": wanted.answer_key,
        "label": wanted.label_key,
        "sensor": wanted.sensor_key,
        "value": wanted.value_key,
        "session": SessionKey(wanted.session_key).names,
    }
    return Keys(named=wanted.sensor, **{name: keys for name, keys in named.items() if keys})


def _intents(brain: Sophia) -> list[str] | None:
    """The names of the routes of the router in use, or None."""
    return None if brain.intents is None else [route.name for route in brain.intents.routes]


def _fired(wanted: RunSettings, summary: Summary) -> list[str]:
    """What --fail-on names and the run found, in words."""
    fired = []
    for gate in wanted.fail_on:
        name, limit = parse_fail_on(gate)
        if name == "error-rate":
            if summary.error_rate > limit:
                fired.append(f"error-rate {summary.error_rate:.6g} is over {limit:g}")
        elif name == "novel-session":
            if count := summary.sessions["novel"]:
                fired.append(f"{name}: {count:,} {'session' if count == 1 else 'sessions'}")
        elif name == "anomaly":
            if count := summary.anomalies:
                fired.append(f"{name}: {count:,} {'sample' if count == 1 else 'samples'}")
        elif name == "alarm":
            if count := summary.alarms.total():
                fired.append(f"{name}: {count:,} {'alarm' if count == 1 else 'alarms'}")
        elif (count := summary.endangered if name == "danger" else summary.whys["novel"]) > 0:
            fired.append(f"{name}: {count:,} {'input' if count == 1 else 'inputs'}")
    return fired


def _exit(summary: Summary, errors: list[str], fired: list[str], signalled: int) -> Exit:
    if signalled:
        return Exit(signalled)
    if summary.output_gone:
        return Exit.DONE
    if summary.stopped or errors:
        return Exit.INPUT
    if summary.hung:
        return Exit.STORE
    return Exit.GATED if fired else Exit.DONE


def _log_start(outputs: Outputs, header: dict[str, object], inputs: list[str], brain: Sophia, *, quiet: bool) -> None:
    log = outputs.log
    log.write("start", " ".join(f"{name} {header[name]}" for name in ("sophia", "python", "policy_version", "seed")))
    log.write("settings", json.dumps(header["settings"]))
    log.write("inputs", " ".join(map(repr, inputs)) or "standard input")
    _log_notes(outputs, brain.notes, quiet=quiet)


def _log_notes(outputs: Outputs, notes: Sequence[str], *, quiet: bool) -> None:
    for note in notes:
        outputs.log.write("note", note)
        _tell(note, quiet=quiet)


def _note_replaced(outputs: Outputs, other: str | None, *, quiet: bool) -> None:
    """Another run had this folder."""
    if other is not None:
        words = f"patterns, summary, log and report of the run with --out {other} are replaced in {outputs.folder}"
        _log_notes(outputs, [f"{words}; to keep them give each run a folder"], quiet=quiet)


def _tell(words: str, *, quiet: bool) -> None:
    if not quiet and sys.stderr is not None:
        sys.stderr.write(f"sophia: {words}\n")


def _log_end(
    outputs: Outputs, summary: Summary, errors: list[str], fired: list[str], code: Exit, *, quiet: bool
) -> None:
    """What ended the run badly is said in any case; the rest of the errors not where it is to be quiet."""
    said = [f"--fail-on {words}" for words in fired]
    if summary.output_gone:
        outputs.log.write("output", "its reader has gone; what it has not taken is not counted")
        said.clear()
    elif summary.stopped:
        said.append(summary.stopped)
    elif quiet:
        said += errors[:_SHOWN_ERRORS]
    for words in said:
        if sys.stderr is not None:
            sys.stderr.write(f"sophia: {words}\n")
    for words in (*errors[:_SHOWN_ERRORS], *([summary.stopped] if summary.stopped else ()), *fired):
        outputs.log.write("error", words)
    if summary.interrupted:
        outputs.log.write("interrupt", "what was read before is decided and written")
    outputs.log.write(
        "end",
        f"decisions {summary.decisions} bad {summary.reasons.total()} patterns {summary.patterns} "
        f"new_patterns {summary.new_patterns} seconds {summary.seconds:.3f} (reading, deciding, writing) "
        f"in_all {summary.seconds_in_all:.3f} exit {int(code)}",
    )
