"""The flags of the commands, and the settings that they and a settings file add up to."""

from __future__ import annotations

import argparse
import os

from sophia.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from sophia.config import RunSettings, Settings

    _Value = TypeVar("_Value")

__all__ = [
    "add_fit_flags",
    "add_input_flags",
    "add_run_flags",
    "add_store_flags",
    "duration",
    "file",
    "positive",
    "settings_of",
    "share",
    "size",
    "span",
    "text",
]

# Flags that are not given leave no trace in the parsed options, so that a file's settings stand.
_UNSET = argparse.SUPPRESS

_SCORE = """compare with the inputs' `label`: precision, recall and F1. A label is normal if it is one of - 0 0.0
normal ham false no none ok benign negative allow (any case), else an alert; `raised` counts deep thought, `danger`
rule hits. With a router of intents labels are held against intents too"""


def add_run_flags(parser: argparse.ArgumentParser, store: str = ".sophia") -> None:
    """What `sophia run` and `sophia demo` have in common; `store` is the default that is told."""
    add = parser.add_argument_group("which inputs").add_argument
    add("--limit", type=positive, default=_UNSET, metavar="N", help="stop after N inputs were read")
    add("--sample", type=share, default=_UNSET, metavar="P", help="decide this share, chosen by seed and position")
    add("--rate", type=_number, default=_UNSET, metavar="N", help="read at most N inputs a second")
    add("--max-chars", type=positive, default=_UNSET, metavar="N", help="longer texts are too-long (default 20000)")
    add("--tz", type=text, default=_UNSET, metavar="ZONE", help="of event times that name none (default UTC)")
    strict = add("--on-error", choices=("skip", "stop"), default=_UNSET, help="at a bad input (default skip)")
    add("--strict", action="store_const", const="stop", dest=strict.dest, default=_UNSET, help="--on-error stop")

    add = parser.add_argument_group("how they are decided").add_argument
    add("--ttl", type=duration, default=_UNSET, metavar="30d", help="answers are served that long (default: for good)")
    add("--no-cache", action="store_false", dest="cache", default=_UNSET, help="answer nothing from memory")
    add("--audit", type=_rate, default=_UNSET, metavar="SHARE", help="check this share of served answers (default 0)")
    help = "wrong answers borne, as a share; above it they are switched off (default 0.01)"
    add("--audit-budget", type=_rate, default=_UNSET, metavar="RATE", help=help)
    add("--resume-answers", action="store_true", help="serve answers again after an audit has switched them off")
    add(
        "--mask",
        type=file,
        default=_UNSET,
        metavar="auto|none|FILE",
        help="values that do not make a text new (default auto)",
    )
    help = "a session ends after N further inputs of other sessions (default: at the end of the inputs)"
    add("--session-idle", type=positive, default=_UNSET, metavar="N", help=help)
    help = "compare sessions with those that are known, and learn nothing of them"
    add("--no-session-learn", action="store_false", dest="session_learn", default=_UNSET, help=help)
    help = """ends of all numbers of sensors, or of one column; may be repeated; where the lower one is negative, with
=, as --sensor-range=-5:5 (default: those of the warm-up)"""
    add("--sensor-range", action="append", type=_range, default=_UNSET, metavar="[NAME=]LOW:HIGH", help=help)
    help = "samples of a sensor before its first anomaly (default 750)"
    add("--sensor-warmup", type=_warmup, default=_UNSET, metavar="N", help=help)
    help = "after an anomaly a sensor has no other for N samples (default 150)"
    add("--sensor-rest", type=_seed, default=_UNSET, metavar="N", help=help)
    help = "how rare the latest numbers must be for an anomaly, from 0 to 1 (default 0.75)"
    add("--sensor-alarm", type=share, default=_UNSET, metavar="SCORE", help=help)
    help = "keep new and answered inputs as memories, for `sophia recall`"
    add("--remember", action="store_const", const="new", default=_UNSET, help=help)
    help = "memories of inputs are let go after that time (default: kept)"
    add("--retention", type=span, default=_UNSET, metavar="90d", help=help)
    help = "so few memories of inputs are kept that the store fits (default: 100,000 of them)"
    add("--memory-disk", type=size, default=_UNSET, metavar="2G", help=help)
    help = "the journal of decisions in the store takes no more than that; 0: none is kept (default 1G)"
    add("--journal", type=size, default=_UNSET, metavar="1G", help=help)
    add("--recall", action="store_true", default=_UNSET, help="tell in `match` which memory each input is most like")
    add("--max-memory", type=size, default=_UNSET, metavar="512M", help="bound of the memory that tables grow to")
    help = "threads that search memory (default: one a core)"
    add("--workers", type=positive, default=_UNSET, metavar="N", help=help)
    add("--no-weave", action="store_true", default=_UNSET, help="tell no chapters of the run")
    help = "a store that does not answer for that long is done without (default 10s)"
    add("--store-timeout", type=duration, default=_UNSET, metavar="10s", help=help)
    add("--batch", type=positive, default=_UNSET, metavar="N", help="inputs a batch (default 256)")
    add("--seed", type=_seed, default=_UNSET, metavar="N", help="of hashes that reach decisions, and of --sample")

    add = parser.add_argument_group("what is told").add_argument
    add("--out", type=file, default=_UNSET, metavar="FILE", help="decisions go here; - is standard output")
    add(
        "--report",
        type=file,
        default=_UNSET,
        metavar="FILE.html",
        help="report page (default report.html in the folder), or none",
    )
    add("--json", action="store_true", help="print the summary as JSON on standard output")
    add("--score", action="store_true", default=_UNSET, help=_SCORE)
    add(
        "--fail-on", action="append", type=_gate, default=_UNSET, metavar="GATE",
        help="exit 1 on danger, novel, novel-session, anomaly, alarm, or 'error-rate>0.01' (quoted); may be repeated",
    )  # fmt: skip
    add("--cost-per-call", type=_cost, default=_UNSET, metavar="C", help="what an answer from memory saves")
    add("--progress", choices=("auto", "plain", "none"), default=_UNSET, help="plain: a line every 10 s")
    add("--quiet", action="store_true", default=_UNSET, help="only errors on standard error")
    add_store_flags(parser, store)


def add_fit_flags(parser: argparse.ArgumentParser) -> None:
    """What `sophia fit` can be told."""
    add = parser.add_argument
    add("--model", type=file, required=True, metavar="DIR", help="folder (or file) that the router is written to")
    add("--format", choices=("auto", "jsonl", "csv"), default="auto", help="default auto, by the first line")
    add("--text-key", "--text-col", action="append", type=text, metavar="NAME", help="key or column of the text")
    add("--label-key", "--label-col", action="append", type=text, metavar="NAME", help="key or column of the label")
    add(
        "--validation",
        action="append",
        type=file,
        metavar="FILE",
        help="held-out examples; default: some of the inputs",
    )
    add("--out-of-scope", type=file, metavar="FILE", help="texts that belong nowhere: the threshold weighs them too")
    add("--in-scope-loss", type=_loss, metavar="P", help="share of rightly routed texts that may be turned away")
    add("--reflex-safe", action="append", type=text, metavar="LABEL", help="what is familiar of it may be reflex")
    add("--seeds", type=positive, default=5, metavar="N", help="trainings that are averaged (default 5)")
    add("--seed", type=_seed, default=0, metavar="N", help="of the trainings and of what is held out")
    add("--workers", type=positive, metavar="N", help="threads (default: one a core); the result is the same")
    add("--json", action="store_true", help="print the report as JSON on standard output")
    add("--quiet", action="store_true", help="only errors on standard error")


def add_input_flags(parser: argparse.ArgumentParser) -> None:
    """How the inputs of `sophia run` are read."""
    add = parser.add_argument_group("how inputs are read").add_argument
    formats = ("auto", "jsonl", "csv", "lines", "sensor")
    help = "default auto, by the first line; sensor: CSV of a time and numbers"
    add("--format", choices=formats, default=_UNSET, help=help)
    add(
        "--follow", action="store_true", default=_UNSET,
        help="wait for more, as tail -F does: appended, replaced, cut and later made files",
    )  # fmt: skip
    help = """JSON key or CSV column of the session, or re:PATTERN with one group that is sought in the text: what is
new in the order and the counts of a session's patterns is told; may be repeated, the first one present is taken"""
    add("--session-key", action="append", type=text, default=_UNSET, metavar="NAME", help=help)
    help = "CSV column of a sensor's numbers; may be repeated (default: all columns without another use)"
    add("--value-key", "--value-col", action="append", type=text, default=_UNSET, metavar="NAME", help=help)
    help = "the sensor that rows come from which name none (default: the name of the input)"
    add("--sensor", type=text, default=_UNSET, metavar="NAME", help=help)
    for flags, what in (
        (("--text-key", "--text-col"), "text"),
        (("--scope-key",), "scope"),
        (("--context-key",), "context"),
        (("--answer-key",), "answer"),
        (("--label-key",), "label"),
        (("--sensor-key",), "name of the sensor"),
    ):
        help = f"JSON key or CSV column of the {what}; may be repeated, the first one present is taken"
        add(*flags, action="append", type=text, default=_UNSET, metavar="NAME", help=help)


def add_store_flags(parser: argparse.ArgumentParser, store: str = ".sophia") -> None:
    """Where memory, rules and settings are."""
    add = parser.add_argument_group("memory, rules, settings").add_argument
    add("--store", type=file, default=_UNSET, metavar="DIR", help=f"memory (default {store})")
    add("--no-store", action="store_true", default=_UNSET, help="remember nothing after the end")
    add(
        "--rules",
        action="append",
        type=file,
        default=_UNSET,
        metavar="FILE",
        help="further danger rules (TOML); may be repeated",
    )
    add(
        "--model",
        type=file,
        default=_UNSET,
        metavar="DIR",
        help="router of intents that sophia fit made; default: the store's",
    )
    help = "settings (TOML; default: SOPHIA_CONFIG, if it is set); variables and flags override them"
    add(
        "--config",
        type=file,
        metavar="FILE",
        help=help,
    )


def settings_of(options: argparse.Namespace) -> tuple[Settings, RunSettings]:
    """The settings of a command: defaults, then --config (or SOPHIA_CONFIG), then variables as SOPHIA_RUN_BATCH, then
    its flags. ConfigError for what cannot be used.

    Danger rules add up: those of a settings file stay in force beside those of the flags.
    """
    from sophia.config import RunSettings, Settings, load_config, memory_bounds

    brain, run, _ = load_config(options.config or os.environ.get("SOPHIA_CONFIG") or None, os.environ)
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in vars(options).items()
    }
    if "rules" in given:
        given["rules"] = run.rules + given["rules"]
    if "store" in given:
        if given.get("no_store"):
            message = f"--no-store and --store {given['store']} exclude each other; leave one out"
            raise ConfigError(message)
        given.setdefault("no_store", False)
    if "max_memory" in given:
        given |= memory_bounds(given["max_memory"])
    return (
        brain.with_changes(**{name: given[name] for name in Settings.__dataclass_fields__ if name in given}),
        run.with_changes(**{name: given[name] for name in RunSettings.__dataclass_fields__ if name in given}),
    )


def text(value: str) -> str:
    """An argument as text: under a locale that is not UTF-8 Python hands its bytes on as lone surrogates."""
    return value if value.isascii() else os.fsencode(value).decode(errors="replace")


def file(value: str) -> str:
    """The name of a file or folder."""
    if not value:
        message = "'' is not the name of a file"
        raise argparse.ArgumentTypeError(message)
    return value


def positive(value: str) -> int:
    """A whole number of at least 1."""
    return _whole(value, 1, "is not a whole number of at least 1")


def _seed(value: str) -> int:
    return _whole(value, 0, "is not a whole number of at least 0")


def _whole(value: str, least: int, complaint: str) -> int:
    try:
        number = int(value)
    except ValueError:
        number = least - 1
    if number < least:
        message = f"{value!r} {complaint}"
        raise argparse.ArgumentTypeError(message)
    return number


def _float(value: str, holds: Callable[[float], bool], complaint: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not holds(number):
        message = f"{value!r} {complaint}"
        raise argparse.ArgumentTypeError(message)
    return number


def share(value: str) -> float:
    """An argument over 0, up to 1."""
    return _float(value, lambda number: 0.0 < number <= 1.0, "is not a share over 0, up to 1")


def _rate(value: str) -> float:
    return _float(value, lambda number: 0.0 <= number <= 1.0, "is not a share between 0 and 1")


def _loss(value: str) -> float:
    return _float(value, lambda number: 0.0 <= number < 1.0, "is not a share from 0, under 1")


def _number(value: str) -> float:
    return _float(value, lambda number: 0.0 < number <= 1e9, "is not a number over 0, up to 1e9")


def _cost(value: str) -> float:
    return _float(value, lambda number: 0.0 <= number <= 1e12, "is not a cost of at least 0")


def duration(value: str) -> float:
    """An argument like 30d or 12h, in seconds."""
    from sophia.setting_kinds import parse_duration

    return _told(parse_duration, value)


def span(value: str) -> float:
    """An argument like 30d or 12h, in seconds, which has to name its unit: what is too old goes for good."""
    if value.strip().replace(".", "", 1).isdigit() and float(value):
        message = f"{value!r} names no unit; write a number and s, m, h, d or w, as in '30d'"
        raise argparse.ArgumentTypeError(message)
    return duration(value)


def size(value: str) -> int:
    """An argument like 512M, in bytes."""
    from sophia.setting_kinds import parse_size

    return _told(parse_size, value)


def _range(value: str) -> str:
    from sophia.setting_kinds import parse_range

    _told(parse_range, value)
    return value


def _warmup(value: str) -> int:
    return _whole(value, 2, "is not a whole number of at least 2")


def _gate(value: str) -> str:
    from sophia.setting_kinds import parse_fail_on

    _told(parse_fail_on, value)
    return value


def _told(parse: Callable[[object], _Value], value: str) -> _Value:
    try:
        return parse(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
