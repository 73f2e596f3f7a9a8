"""Labelled texts of intents: what to train on, what to choose thresholds on, what to judge by."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import data


class Labelled(NamedTuple):
    texts: list[str]
    labels: list[int]


class IntentSet(NamedTuple):
    """`strange` texts are out of scope; sets that have none, or no validation split, hold empty lists."""

    name: str
    intents: int
    train: Labelled
    valid: Labelled
    test: Labelled
    strange_valid: list[str]
    strange_test: list[str]


def load() -> list[IntentSet]:
    """The sets whose files are there."""
    return [found for found in (_clinc(), _banking(), _lines("hwu64", "HWU64"), _lines("snips", "SNIPS")) if found]


def few_shot() -> list[IntentSet]:
    """HWU64 with 10 examples an intent, judged by the same test split."""
    found = _lines("hwu64", "HWU64, 10 examples an intent", train="train_10")
    return [found] if found else []


def _made(name: str, parts: dict[str, list[tuple[str, str]]], strange: dict[str, list[str]] | None = None) -> IntentSet:
    names = sorted({label for _, label in parts["train"]})
    numbers = {label: number for number, label in enumerate(names)}

    def split(rows: Sequence[tuple[str, str]]) -> Labelled:
        return Labelled([text for text, _ in rows], [numbers[label] for _, label in rows])

    outside = strange or {}
    return IntentSet(
        name,
        len(names),
        split(parts["train"]),
        split(parts.get("valid", [])),
        split(parts["test"]),
        outside.get("valid", []),
        outside.get("test", []),
    )


def _clinc() -> IntentSet | None:
    path = data.find("router", "clinc150", "data_full.json")
    if path is None:
        return None
    sets = json.loads(path.read_text(encoding="utf-8"))
    parts = {part: [(text, label) for text, label in sets[own]] for part, own in _SPLITS.items()}
    strange = {part: [text for text, _ in sets[f"oos_{_SPLITS[part]}"]] for part in ("valid", "test")}
    return _made("CLINC150", parts, strange)


_SPLITS = {"train": "train", "valid": "val", "test": "test"}


def _banking() -> IntentSet | None:
    paths = {part: data.find("router", "banking77", f"{part}.csv") for part in ("train", "test")}
    parts = {part: _table(path) for part, path in paths.items() if path is not None}
    return _made("Banking77", parts) if len(parts) == 2 else None


def _table(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as rows:
        return [(row["text"], row["category"]) for row in csv.DictReader(rows)]


def _lines(folder: str, name: str, train: str = "train") -> IntentSet | None:
    parts: dict[str, list[tuple[str, str]]] = {}
    for part, own in (("train", train), ("valid", "valid"), ("test", "test")):
        texts = data.find("router", folder, own, "seq.in")
        labels = data.find("router", folder, own, "label")
        if texts is None or labels is None:
            return None
        read = [path.read_text(encoding="utf-8").splitlines() for path in (texts, labels)]
        parts[part] = list(zip(*read, strict=True))
    return _made(name, parts)
