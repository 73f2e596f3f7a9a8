"""What an organ has learned and a store must keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["NOTHING", "Answer", "Changes"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored answer: served again only where `key` is identical and the policy is the same.

    `raw` is the UTF-8 text that it was given for (its danger scan is known), `name` the id of that decision,
    `expires` seconds since the epoch or 0. A `text` of None takes the answer under `key` back.
    """

    key: bytes
    raw: bytes
    text: str | None
    name: str
    policy_version: str
    expires: float


@dataclass(frozen=True, slots=True)
class Changes:
    """All that was learned since the last time: answers in order, pattern rows, logs of the derived tables."""

    answers: list[Answer]
    patterns: Any
    familiar: bytes | None  # None: more than the log could hold, so the store must take a dump
    idf: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.answers or self.patterns or self.familiar or self.familiar is None or self.idf)


NOTHING = Changes([], [], b"")
