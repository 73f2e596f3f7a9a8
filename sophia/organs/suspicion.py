"""The danger score, trained from examples that ship: how much a text sounds like an attack on a model.

The examples are patterns (``rules/suspicion.txt``), each standing for some texts. Training takes about .03 s of CPU,
once in a process, when a decision first depends on the score, and gives the same bits on every machine.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from hashlib import blake2b

from sophia._core.lexical import LexicalEncoder
from sophia._core.suspicion import Suspicion

__all__ = ["examples", "trained"]

_SHIPPED = os.path.join(os.path.dirname(__file__), "rules", "suspicion.txt")  # noqa: PTH118, PTH120 (start-up)
_CLASSES = ("calm", "danger")
_EACH = 8  # texts of a pattern
_SEEDS = range(1)
# The difference of the two classes' scores as a score of 0 to 1: a half where one calm text in a hundred is.
_SLOPE, _OFFSET = 2.0, -3.1
_GRAMS = (3, 3)  # as good as more of them, in two thirds of the time

_CHOICE = re.compile(r"\{([^{}]*)\}")
_lock = threading.Lock()
_made: list[Suspicion] = []


def trained() -> Suspicion:
    """The score of this process, made at the first call. From any thread."""
    with _lock:
        if not _made:
            from sophia.organs.training import train

            encoder = LexicalEncoder(grams=_GRAMS)
            texts, labels = zip(*examples(), strict=True)
            readout = train(texts, labels, len(_CLASSES), seeds=_SEEDS, workers=1, encoder=encoder)
            _made.append(Suspicion(readout, slope=_SLOPE, offset=_OFFSET))
        return _made[0]


def examples() -> Iterator[tuple[str, int]]:
    """The texts that the score is trained from, each with 1 where it is dangerous and 0 where it is not."""
    with open(_SHIPPED, encoding="utf-8") as file:  # noqa: PTH123 (start-up)
        lines = [line.rstrip("\n") for line in file]
    label = None
    for line in lines:
        if line.startswith("[") and line.endswith("]"):
            label = _CLASSES.index(line[1:-1])
        elif line and not line.startswith("#"):
            assert label is not None
            for text in _texts(line):
                yield text, label


def _texts(pattern: str) -> list[str]:
    """Some texts that a pattern stands for: which ones follows from the pattern alone."""
    parts = _CHOICE.split(pattern)  # by turns what stands and what is chosen from
    choices = [part.split("|") if at % 2 else [part] for at, part in enumerate(parts)]

    def draw(turn: int, at: int) -> str:
        number = int.from_bytes(blake2b(f"{turn} {at} {pattern}".encode(), digest_size=4).digest(), "little")
        return choices[at][number % len(choices[at])]

    return list(dict.fromkeys("".join(draw(turn, at) for at in range(len(parts))) for turn in range(_EACH)))
