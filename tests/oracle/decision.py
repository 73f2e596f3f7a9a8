"""The routing rule, written to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEVELS = ("reflex", "cortical", "deep_thought")


def decide(
    policy: Mapping[str, Any],
    fault: str | None,
    danger: bool,
    alarm: bool,
    repeat: bool,
    withheld: bool,
    familiar: bool,
    count: float,
    closeness: float,
    complexity: float,
) -> tuple[str, str, str]:
    """Route, reason and verdict."""
    if danger:
        return "deep_thought", "danger", policy["alarm_verdict" if alarm else "danger_verdict"]
    if fault is not None:
        return "deep_thought", fault, "allow"
    if repeat:
        return "reflex", "repeat", "allow"
    if not familiar:
        return "deep_thought", "novel", "allow"
    confidence = closeness * (count / (count + 1.0))
    if confidence < policy["cortical_confidence"]:
        return "deep_thought", "low-confidence", "allow"
    level = 0 if policy["reflex_safe"] and not withheld and confidence >= policy["reflex_confidence"] else 1
    if complexity >= policy["complex_limit"]:
        return LEVELS[level + 1], "complex", "allow"
    return LEVELS[level], "known-pattern", "allow"
