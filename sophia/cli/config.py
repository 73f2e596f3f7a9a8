"""`sophia config`: checks a settings file, shows what holds, or writes a file with all settings in it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from sophia.cli.exits import Exit
from sophia.config import Config, RunSettings, Settings, load_config
from sophia.errors import ConfigError, SophiaError
from sophia.whole_file import write_whole

__all__ = ["command", "template"]

_WIDTH = 100
_SECTIONS = {
    "thalamus": "how inputs are decided",
    "memory": "what is remembered",
    "run": "sophia run, and what else reads inputs",
}


def command(options: argparse.Namespace) -> int:
    """Calls one action."""
    if options.action is None:
        options.config_parser.print_help(sys.stderr)
        return Exit.USAGE
    actions = {"check": _check, "show": _show, "init": _init}
    return actions[options.action](options)


def template() -> str:
    """A settings file with every setting, its default as a comment."""
    lines = [
        "# Settings of sophia: take away a # and change the value. `sophia config check` says what is wrong with it.",
        "# Names of files are relative to this one. A variable as SOPHIA_RUN_BATCH overrides it, and a flag both.",
        "# What is live can change while a run goes on; all else holds from the next start.",
    ]
    for section, about in _SECTIONS.items():
        lines += ["", f"# {about}", f"[{section}]"]
        if section == "memory":
            lines += _described(
                "max_memory", '"512M"', "all bounds of memory that are not set themselves", "a size of at least '128M'"
            )
        for owner in (Settings, RunSettings):
            for one in fields(owner):
                told = one.metadata
                if told["section"] == section:
                    wants = f"{told['kind'].wants}; live" if told["live"] else told["kind"].wants
                    lines += _described(one.name, _toml(one.default), told["about"], wants)
    return "\n".join(lines) + "\n"


def _described(name: str, value: str | None, about: str, wants: str) -> Iterator[str]:
    yield ""
    for line in textwrap.wrap(f"{about} ({wants})", _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield f"# {line}"
    yield f"# {name} is not set" if value is None else f"#{name} = {value}"


def _toml(value: Any) -> str | None:
    """A value as TOML has it; None for what it cannot say."""
    if value is None:
        return None
    if isinstance(value, tuple):
        return f"[{', '.join([json.dumps(one, ensure_ascii=False) for one in value])}]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _given(options: argparse.Namespace) -> str | None:
    """The file that is meant: named, or in SOPHIA_CONFIG, or sophia.toml where there is one."""
    named: str | None = options.file or os.environ.get("SOPHIA_CONFIG") or None
    return named if named is not None or not Path("sophia.toml").exists() else "sophia.toml"


def _check(options: argparse.Namespace) -> int:
    file = _given(options)
    if file is None:
        message = "there is no sophia.toml here; name the file, or write one by `sophia config init`"
        raise ConfigError(message)
    try:
        config = load_config(file, os.environ)
        _look_at_files(config)
    except ConfigError as error:
        if not options.json:
            raise
        sys.stdout.write(json.dumps({"file": file, "faults": str(error).split("\n")}) + "\n")
        return Exit.USAGE
    if options.json:
        sys.stdout.write(json.dumps({"file": file, "faults": []}) + "\n")
    else:
        count = len(config.places)
        sys.stdout.write(f"{file}: {count} setting{'' if count == 1 else 's'}, nothing wrong\n")
    return Exit.DONE


def _look_at_files(config: Config) -> None:
    """ConfigError for files that are named and cannot be used."""
    from sophia.organs.danger import RuleSet
    from sophia.organs.intents import Intents
    from sophia.organs.masks import Masks

    mask = config.settings.mask
    looks: dict[str, Callable[[], object]] = {
        "rules": lambda: RuleSet.load([Path(rule) for rule in config.run.rules]),
        "mask": lambda: None if mask in ("auto", "none") else Masks.load(mask),
        "model": lambda: None if config.run.model is None else Intents.load(config.run.model),
    }
    faults = []
    for name in [name for name in looks if name in config.places]:
        try:
            looks[name]()
        except SophiaError as error:
            faults.append(f"{config.places[name]}: {name}: {error}")
    if faults:
        raise ConfigError("\n".join(faults))


def _show(options: argparse.Namespace) -> int:
    config = load_config(_given(options), os.environ)
    held = [one for one in _held(config) if one[3] != "default" or not options.changed]
    if options.json:
        shown: dict[str, dict[str, Any]] = {}
        for section, name, value, place in held:
            shown.setdefault(section, {})[name] = {"value": value, "from": place}
        sys.stdout.write(json.dumps(shown) + "\n")
        return Exit.DONE
    last = ""
    for section, name, value, place in held:
        if section != last:
            sys.stdout.write(f"{chr(10) if last else ''}[{section}]\n")
            last = section
        told = _toml(value)
        line = f"# {name} is not set" if told is None else f"{name} = {told}"
        sys.stdout.write(f"{line}\n" if place == "default" else f"{line}  # {place}\n")
    return Exit.DONE


def _held(config: Config) -> Iterator[tuple[str, str, Any, str]]:
    """Section, name, value and origin of every setting, section by section."""
    bound = config.places.get("max_memory")
    for section in _SECTIONS:
        for holder in (config.settings, config.run):
            for one in fields(holder):
                if one.metadata["section"] == section:
                    value = getattr(holder, one.name)
                    made = f"max_memory, {bound}" if bound is not None and value != one.default else "default"
                    yield section, one.name, value, config.places.get(one.name, made)


def _init(options: argparse.Namespace) -> int:
    text = template()
    if options.file == "-":
        sys.stdout.write(text)
        return Exit.DONE
    file = Path(options.file or "sophia.toml")
    if file.exists() and not options.force:
        message = f"{file} is there already; name another one, or --force to write it anew"
        raise ConfigError(message)
    write_whole(file, "settings file", lambda _: True, lambda out: out.write(text.encode()))
    sys.stdout.write(f"{file}: all settings with their defaults; `sophia run --config {file}` reads it\n")
    return Exit.DONE
