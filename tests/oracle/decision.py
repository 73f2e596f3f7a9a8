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
    judged: str | None = None,
    intent_confidence: float = 0.0,
    intent_safe: bool = False,
    suspicion: float = 0.0,
) -> tuple[str, str, str]:
    """Route, reason and verdict."""
    if danger:
        return "deep_thought", "danger", policy["alarm_verdict" if alarm else "danger_verdict"]
    if fault is not None:
        return "deep_thought", fault, "allow"
    if repeat:
        return "reflex", "repeat", "allow"
    if judged in ("low-confidence", "out-of-scope"):
        return "deep_thought", judged, "allow"
    # Two witnesses; the one that is sure enough for the lower level is believed, the router where they are equal.
    evidence = closeness * (count / (count + 1.0)) if familiar else 0.0
    known = familiar and evidence >= policy["cortical_confidence"]
    by_pattern = (2, "low-confidence" if familiar else "novel")
    if known:
        reflex = policy["reflex_safe"] and not withheld and evidence >= policy["reflex_confidence"]
        by_pattern = (0 if reflex else 1, "known-pattern")
    by_intent = (3, "")
    if judged == "route":
        reflex = known and intent_safe and not withheld and intent_confidence >= policy["reflex_confidence"]
        by_intent = (0 if reflex else 1, "route")
    level, why = by_intent if by_intent[0] <= by_pattern[0] else by_pattern
    if level < 2 and complexity >= policy["complex_limit"]:
        level, why = level + 1, "complex"
    if level < 2 and suspicion >= policy["suspicion_limit"]:
        level, why = 2, "danger"
    if level == 0 and policy.get("gestating"):
        level, why = 1, "gestating"
    return LEVELS[level], why, "allow"
