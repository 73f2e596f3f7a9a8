"""What an organ has learned and a store must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sophia.store.memory_row import MemoryRow

__all__ = ["NOTHING", "Answer", "Answers", "Changes"]


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

    def counts_under(self, policy_version: str) -> bool:
        """Whether it says anything under a policy: an answer under its own, what takes one back under each."""
        return self.text is None or self.policy_version == policy_version


class Answers(list[Answer]):
    """Answers in the order in which they were given; the last one under a key is found without a search."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        super().__init__()
        self._latest: dict[bytes, Answer] = {}

    def append(self, answer: Answer) -> None:
        super().append(answer)
        self._latest[answer.key] = answer

    def latest(self, key: bytes) -> Answer | None:
        return self._latest.get(key)


@dataclass(frozen=True, slots=True)
class Changes:
    """All that was learned since the last time: answers in order, pattern rows, pieces of the logs of derived tables.

    Changes are committed in the order in which they were taken, each once: a log that lacks a piece cannot be
    replayed. `dumps` replace a derived table's dump and its whole log, this change's piece included. `audit` is the
    state of the audit of answers, or None where it is the one that the store has. `memories` are new, `let_go` how many
    of the oldest that were made of inputs go for them. `life` is the state of the brain's gestation, or None where it
    is the one that the store has; `chapters` are new ones of its story; `tally` is how often danger rules hit so far,
    or None where it is what the store has.
    """

    answers: Answers
    patterns: Any
    logs: Mapping[str, bytes] = field(default_factory=dict)
    dumps: dict[str, bytes] = field(default_factory=dict)
    audit: str | None = None
    life: str | None = None
    chapters: Sequence[Mapping[str, Any]] = ()
    tally: str | None = None
    memories: Sequence[MemoryRow] = ()
    let_go: int = 0

    def __bool__(self) -> bool:
        learned = self.answers or self.patterns or self.logs or self.dumps or self.memories
        return bool(learned or self.audit or self.let_go or self.life or self.chapters or self.tally)


NOTHING = Changes(Answers(), [])
