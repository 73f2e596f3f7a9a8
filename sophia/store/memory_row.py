"""One memory, as every room that has to do with memories hands it on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["MemoryRow"]


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One memory. Times are microseconds since the epoch, UTC.

    `ts` is when it happened, `raised` when `strength` was last changed (it decays from then on). `tags` are sorted and
    unique. `vector` is a packed hypervector of `dim` bits, `ceil(dim / 8)` bytes, zeros behind the last bit.
    """

    id: int
    scope: str
    context: str
    actor: str
    kind: str
    tags: tuple[str, ...]
    ts: int
    valence: float
    strength: float
    raised: int
    text: str | None
    answer: str | None
    dim: int
    vector: bytes

    def values(self) -> tuple[Any, ...]:
        """As the table has it, without the checksum."""
        tags = json.dumps(self.tags, ensure_ascii=False, separators=(",", ":")) if self.tags else "[]"
        return (
            self.id, self.scope, self.context, self.actor, self.kind, tags, self.ts, self.valence, self.strength,
            self.raised, self.text, self.answer, self.dim, self.vector,
        )  # fmt: skip
