"""Texts that attack a model, and texts that do not: what the danger rules and the danger score are judged by.

Rules were written after reading the even rows (0, 2, 4 ...) of each set only; the odd rows are what they are judged by.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks import data


class TextSet(NamedTuple):
    name: str
    attack: bool
    texts: list[str]


class Missing(NamedTuple):
    name: str
    why: str


def load() -> tuple[list[TextSet], list[Missing]]:
    """The sets whose files are there, attacks first; and which are not, with the reason."""
    found: list[TextSet] = []
    missing: list[Missing] = []
    for name, attack, read in _SETS:
        try:
            texts = read()
        except (OSError, ImportError) as error:
            missing.append(Missing(name, str(error)))
            continue
        if texts:
            found.append(TextSet(name, attack, texts))
        else:
            missing.append(Missing(name, data.ADVICE))
    return found, missing


def lines(paths: Iterable[Path]) -> list[str]:
    return [line for path in sorted(paths) for line in path.read_text("utf-8", "replace").splitlines() if line]


def _prompts(*parts: str) -> Callable[[], list[str]]:
    """Texts of a YAML list of records, by their `content`, or of a JSON list, by their `prompt`."""

    def read() -> list[str]:
        path = data.find("router", "injection", *parts)
        if path is None:
            return []
        text = path.read_text("utf-8")
        if path.suffix == ".json":
            return [record["prompt"] for record in json.loads(text)]
        import yaml  # type: ignore[import-untyped]

        return [record["content"] for record in yaml.safe_load(text)]

    return read


def _not_inject() -> list[str]:
    return [text for part in ("one", "two", "three") for text in _prompts("injecguard", f"NotInject_{part}.json")()]


def _banking() -> list[str]:
    path = data.find("router", "banking77", "test.csv")
    if path is None:
        return []
    with path.open(encoding="utf-8", newline="") as rows:
        return [row["text"] for row in csv.DictReader(rows)]


def _stream(folder: str, pattern: str) -> Callable[[], list[str]]:
    def read() -> list[str]:
        found = data.find("streams", folder)
        return [] if found is None else lines(found.glob(pattern))

    return read


_SETS: tuple[tuple[str, bool, Callable[[], list[str]]], ...] = (
    ("deepset", True, _prompts("parapet", "opensource_deepset_attacks.yaml")),
    ("gandalf", True, _prompts("parapet", "opensource_gandalf_attacks.yaml")),
    ("mosscap", True, _prompts("parapet", "opensource_mosscap_attacks.yaml")),
    ("CLINC150 test", False, data.clinc_queries),
    ("Banking77 test", False, _banking),
    ("NotInject", False, _not_inject),
    ("wildguard", False, _prompts("injecguard", "wildguard.json")),
    ("deepset", False, _prompts("parapet", "opensource_deepset_benign.yaml")),
    ("irc", False, _stream("irc", "*.raw.txt")),
    ("sms", False, _stream("sms", "SMSSpamCollection")),
)
