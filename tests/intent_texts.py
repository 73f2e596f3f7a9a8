"""A small set of intents, our own writing: four routes, and texts that belong to none."""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path

_PARTS = {
    "light": (
        ("turn on", "switch on", "put on", "please light"),
        ("the lamp", "the light", "all lights", "the ceiling lamp"),
        ("in the kitchen", "in my room", "now"),
    ),
    "time": (
        ("what time is it", "tell me the time", "how late is it", "give me the hour"),
        ("in Oslo", "over there", "please"),
        ("now", "at the moment", "today"),
    ),
    "money": (
        ("how much money is", "what is the balance", "show me what is left"),
        ("on my account", "in my savings", "on the card"),
        ("today", "after rent", "right now", ""),
    ),
    "music": (
        ("play", "start", "put on", "i want to hear"),
        ("a song", "some jazz", "the new album", "an old tune"),
        ("by nobody", "for dinner", ""),
    ),
}
OUTSIDE = [
    "why do cats purr at night",
    "my left shoe has a hole",
    "volcanoes are mountains with opinions",
    "translate beetle into finnish",
    "who painted this fence",
    "is a tomato a berry",
    "add paprika before you stir",
    "our train left without us",
    "fold the map along its crease",
    "gravel or sand under pavers",
]


def examples() -> tuple[list[str], list[str]]:
    """Texts and labels, the routes one after another."""
    pairs = [
        (" ".join(part for part in parts if part), label)
        for label, slots in _PARTS.items()
        for parts in product(*slots)
    ]
    return [text for text, _ in pairs], [label for _, label in pairs]


def split() -> tuple[tuple[list[str], list[str]], tuple[list[str], list[str]]]:
    """Two thirds to train on, and one to test with."""
    texts, labels = examples()
    train = [i for i in range(len(texts)) if i * 7 % 11 > 3]
    test = [i for i in range(len(texts)) if i * 7 % 11 <= 3]
    return ([texts[i] for i in train], [labels[i] for i in train]), (
        [texts[i] for i in test],
        [labels[i] for i in test],
    )


def labelled(path: Path, rows: tuple[list[str], list[str]]) -> None:
    """Writes texts and labels as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(*rows, strict=True))
