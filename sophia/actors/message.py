"""The kinds of message that organs exchange. Any other object may be a message too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from sophia._core.decision import Decision
from sophia._core.vector import SharedVector

__all__ = ["Blocked", "Control", "Input", "Ok", "OrganMessage", "Query", "Response", "Route", "Terminated", "Text"]


@dataclass(frozen=True, slots=True)
class Input:
    """A hypervector, with the text that it was made of where there is one. All receivers share the vector."""

    vector: SharedVector
    text: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A question in words."""

    text: str
    scope: str | None = None
    k: int = 10


@dataclass(frozen=True, slots=True)
class Control:
    """What an actor is to do at once: sent with the priority "control", it overtakes all that waits."""

    name: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Terminated:
    """Told to who watches an actor when it has ended for good; `error` is what ended it, None after a plain stop."""

    name: str
    reason: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """An answer: how much thought an input deserves."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Text:
    """An answer in words, with how well it fits."""

    text: str
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Blocked:
    """No answer, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ok:
    """Done; there is nothing to say."""


OrganMessage: TypeAlias = Input | Query | Control
Response: TypeAlias = Route | Text | tuple[Text, ...] | Blocked | Ok
