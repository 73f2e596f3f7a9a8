"""The decision record: one JSON object a line, with keys that may be added to and are never renamed."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quote

from sophia._core.decision import Decision
from sophia._core.pattern import Pattern
from sophia._core.rhythm import Alarm
from sophia.store.session_table import Session
from sophia.stream.event import Event
from sophia.stream.times import told

__all__ = ["alarm_line", "decision_line", "pattern_line", "reason_of", "record_line", "session_line", "unkept_line"]

# Whys that say that there was nothing to decide on.
_FAULTS = {"too-long": "too-long", "empty": "empty", "invalid": "invalid"}
_BOOL = ("false", "true")
_SHOWN_PATTERNS = 64
_NOT_AUDITED = '"audit": false, "agrees": null, "withheld": false'


def _text(value: str | None) -> str:
    return "null" if value is None else quote(value)


def decision_line(decision: Decision) -> str:
    """One decision as a line of JSON, without the line end. ASCII only, about 2 us.

    Floats have four decimals (`us` has one): what a record says must not depend on the last bit.
    """
    danger, match = decision.danger, decision.match
    return (
        f'{{"n": {decision.n}, "id": {quote(decision.id)}, "ts": {_text(decision.ts)}, '
        f'"scope": {quote(decision.scope)}, "route": "{decision.route}", "why": "{decision.why}", '
        f'"verdict": "{decision.verdict}", "novelty": {decision.novelty:.4f}, "danger": '
        + (
            "null"
            if danger is None
            else f'{{"rule": {quote(danger.rule)}, "severity": {danger.severity}, '
            f'"span": [{danger.span[0]}, {danger.span[1]}], "via": {quote(danger.via)}}}'
        )
        + f', "pattern": {decision.pattern or "null"}, "intent": {_text(decision.intent)}, '
        f'"confidence": {decision.confidence:.4f}, "runner_up": {_text(decision.runner_up)}, "match": '
        + ("null" if match is None else f'{{"id": {quote(match[0])}, "score": {match[1]:.4f}}}')
        + f', "answer": {_text(decision.answer)}, "k": null, '
        f'"policy_version": "{decision.policy_version}", "us": {decision.us:.1f}, '
        + (_audited(decision) if decision.audit or decision.withheld else _NOT_AUDITED)
        + f', "danger_score": {"null" if decision.danger_score is None else f"{decision.danger_score:.4f}"}'
        + f', "salience": {decision.salience_record()}'
        + ("" if decision.model is None else f', "model": "{decision.model}"')
        + ("" if decision.sensor is None else _of_sensor(decision))
        + ("" if decision.session is None else _in_session(decision))
        + "}"
    )


def _in_session(decision: Decision) -> str:
    novel = "null" if decision.session_novel is None else str(list(decision.session_novel))
    return f', "session": {_text(decision.session)}, "session_novel": {novel}'


def _of_sensor(decision: Decision) -> str:
    return (
        f', "sensor": {_text(decision.sensor)}, "anomaly": {decision.anomaly:.4f}, "channel": {_text(decision.channel)}'
        f', "resting": {_BOOL[decision.resting]}'
    )


def _audited(decision: Decision) -> str:
    agrees = "null" if decision.agrees is None else _BOOL[decision.agrees]
    return f'"audit": {_BOOL[decision.audit]}, "agrees": {agrees}, "withheld": {_BOOL[decision.withheld]}'


def reason_of(event: Event, decision: Decision) -> str | None:
    """What is wrong with an input, found by its reader or by the engine; None where nothing is."""
    return event.invalid or _FAULTS.get(decision.why)


def record_line(decision: Decision, event: Event, reason: str | None) -> str:
    """The record of `sophia run`: the decision, and where its input stands. decision.schema.json describes it."""
    return (
        f'{decision_line(decision)[:-1]}, "source": {quote(event.source)}, "line": {event.line}, '
        f'"reason": {_text(reason)}}}'
    )


def unkept_line(decision: Decision, event: Event, reason: str | None) -> str:
    """The record of a decision that was told without the store, as that did not answer: it says so."""
    return f'{record_line(decision, event, reason)[:-1]}, "fault": "store"}}'


def session_line(session: Session) -> str:
    """One session that has ended as a line of JSON, without the line end; of its patterns the 64 most frequent."""
    counts = sorted(session.patterns.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join([f'"{id}": {count}' for id, count in sorted(counts[:_SHOWN_PATTERNS])])
    return (
        f'{{"session": {quote(session.session)}, "scope": {quote(session.scope)}, "first_run": {session.first[0]}, '
        f'"first_n": {session.first[1]}, "last_run": {session.last[0]}, "last_n": {session.last[1]}, '
        f'"inputs": {session.inputs}, "novel": {_BOOL[session.novel]}, "orders_novel": {session.orders_novel}, '
        f'"orders": {[list(order) for order in session.orders]}, "counts_novel": {_BOOL[session.counts_novel]}, '
        f'"patterns": {{{shown}}}, "patterns_total": {len(counts)}, "sound": {_BOOL[session.sound]}, '
        f'"ended": "{session.ended}"}}'
    )


def alarm_line(alarm: Alarm) -> str:
    """One alarm as a line of JSON, without the line end. It names a pattern and shows no text."""
    return (
        f'{{"n": {alarm.n}, "kind": "{alarm.kind}", "source": {quote(alarm.source)}, '
        f'"pattern": {alarm.pattern or "null"}, "at": "{told(alarm.at)}", "since": "{told(alarm.since)}", '
        f'"at_seconds": {alarm.at:.3f}, "since_seconds": {alarm.since:.3f}, '
        f'"usual": {alarm.usual:.3f}, "found": {alarm.found:.3f}}}'
    )


def journalled(lines: list[str], decisions: list[Decision], alarms: list[Alarm]) -> list[str]:
    """The records of a batch as the journal has them: with the times that inputs name (seconds since 1970), and with
    its alarms, each right before the record of the input at which it was noticed."""
    moments = [decision.moment for decision in decisions]
    if any(moments):
        lines = [f'{line[:-1]}, "moment": {at:.3f}}}' if at else line for line, at in zip(lines, moments, strict=True)]
    if not alarms:
        return list(lines)
    before: dict[int, list[str]] = {}
    for alarm in alarms:
        before.setdefault(alarm.n, []).append(f'{{"n": {alarm.n}, "alarm": {alarm_line(alarm)}}}')
    told = zip(lines, decisions, strict=True)
    return [one for line, decision in told for one in (*before.get(decision.n, ()), line)]


def pattern_line(pattern: Pattern) -> str:
    """One pattern as a line of JSON, without the line end."""
    merged = "null" if pattern.merged_into is None else str(pattern.merged_into)
    return (
        f'{{"id": {pattern.id}, "template": {quote(pattern.template)}, "count": {pattern.count}, '
        f'"first_n": {pattern.first_n}, "last_n": {pattern.last_n}, "merged_into": {merged}}}'
    )
