"""Totals of a run, of a size that does not grow with the stream."""

from __future__ import annotations

from collections import Counter, deque
from time import monotonic, process_time
from typing import Any, NamedTuple

from sophia._core.decision import Decision
from sophia._core.pattern import Pattern
from sophia._core.rhythm import Alarm
from sophia.config import Settings
from sophia.names import ending
from sophia.organs.audit import AuditReport, false_serve_interval
from sophia.store.chapters import SIGNIFICANT
from sophia.store.session_table import Session
from sophia.stream.event import Event
from sophia.stream.times import duration, told

__all__ = [
    "SHOWN_BAD",
    "SHOWN_OF_ONE",
    "Anomaly",
    "Summary",
    "alarm_words",
    "anomaly_words",
    "shown_sensor",
    "unkept_words",
]

_SESSIONS = ("ended", "novel", "orders_novel", "counts_novel", "not_sound")
SHOWN_BAD = 20
"""Bad lines of one reason that are named; further ones are counted."""
SHOWN_OF_ONE = 5
"""Anomalies of one sensor that are named; a noisy one must not hide the others."""
_NAMED_SENSORS = 100
_COUNTED_SENSORS = 2048  # the counts of more are cut to half: what is let go has the fewest anomalies
_CHAPTERS = 1000
_SENSOR = 80  # characters of the name of a sensor that are shown


class Anomaly(NamedTuple):
    """A sample that was unusual by `score`, for the number that `channel` of its sensor has; and where it stands."""

    n: int
    source: str
    line: int
    ts: str | None
    sensor: str
    channel: str
    value: float
    score: float


class Summary:
    """What was decided, why, and how long it took."""

    def __init__(self, settings: Settings | None = None, known: int = 0) -> None:
        self._settings = settings or Settings()
        self.known = known
        """The highest pattern id before the run: later ones are new."""
        self.decisions = 0
        self.routes: Counter[str] = Counter()
        self.whys: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.served = 0
        self.avoided = 0
        """Answers from memory that stood in for a call of the expensive step: drawn ones were sent on to it as well."""
        self.unspared = 0
        """Inputs of the lower routes that spare nothing: drawn ones, and those whose stored answer was withheld."""
        self.audited = 0
        self.agreed = 0
        self.differed = 0
        self.withheld = 0
        self.answers_off = False
        self.patterns = 0
        """Patterns in all, at the end of the run; those that were found to be one count once."""
        self.new_patterns = 0
        """Those of them that did not exist before the run."""
        self.raised = 0
        """Inputs that completed a never-seen order of their session."""
        self.sessions: Counter[str] = Counter()
        """Sessions that have ended: all of them, those with a new order, with new counts, with either; not sound."""
        self.novel_sessions: list[Session] = []
        """The first 20 that were novel."""
        self.samples = 0
        """Inputs that a sensor said."""
        self.anomalies = 0
        """Those of them that were unusual, and told: not those in the rest after another."""
        self.sensor_notes: list[str] = []
        """What a user of sensors should know."""
        self.first_anomalies: list[Anomaly] = []
        """The first 5 of each sensor, 20 in all."""
        self._sensors: dict[str, list[int]] = {}
        self.open_sessions: int | None = None
        """How many go on after the run; None where inputs were not told by session."""
        self.memories: tuple[int, int] | None = None
        """How many memories were made of inputs, and let go; None where none was to be."""
        self.hung = 0
        """Times that the store did not answer in time."""
        self.unkept = 0
        """Decisions that were told without it: nothing was learned of them, and none is a reflex."""
        self.interrupted = False
        self.output_gone = False
        """The reader of the decisions went away (`| head`): those after the last ones it could take are not here."""
        self.stopped: str | None = None
        """Where and why the run ended before its inputs did, if it was told to stop at errors."""
        self.reasons: Counter[str] = Counter()
        """Inputs with which something is wrong, by what it is."""
        self.bad_lines: list[tuple[str, int, str, int]] = []
        """Source, line, reason and how many of that reason there were by then; the first 20 of each reason."""
        self.alarms: Counter[str] = Counter()
        """By kind."""
        self.first_alarms: list[Alarm] = []
        """The first 20 of each kind."""
        self.chapters: deque[dict[str, Any]] = deque(maxlen=_CHAPTERS)
        """Those that have ended, the last 1,000 of them."""
        self.unwoven = 0
        """Inputs that no chapter tells of, as the Weaver could not keep up."""
        self._us: Counter[float] = Counter()
        self._started = monotonic()
        self._cpu = process_time()
        self._ended: tuple[float, float] | None = None

    def add(self, events: list[Event], decisions: list[Decision], reasons: list[str | None]) -> None:
        """Counts one batch; `reasons` say what is wrong with an input."""
        self.decisions += len(decisions)
        self.routes.update([d.route for d in decisions])
        self.whys.update([d.why for d in decisions])
        self.verdicts.update([d.verdict for d in decisions])
        self.rules.update([d.danger.rule for d in decisions if d.danger is not None])
        self.served += sum(d.answer is not None for d in decisions)
        self.avoided += sum(d.answer is not None and not d.audit for d in decisions)
        self.unspared += sum((d.audit or d.withheld) and d.route != "deep_thought" for d in decisions)
        audited = [d.agrees for d in decisions if d.audit]
        self.audited += len(audited)
        self.agreed += audited.count(True)
        self.differed += audited.count(False)
        self.withheld += sum(d.withheld for d in decisions)
        self.raised += sum(d.session_novel is not None for d in decisions)
        self._add_samples(events, decisions)
        times = [d.us for d in decisions]  # several batches may be told together
        rounded = {us: float(f"{us:.1e}") for us in set(times)}  # two significant digits: at most 90 keys a decade
        self._us.update([rounded[us] for us in times])
        if any(reasons):
            for event, reason in zip(events, reasons, strict=True):
                if reason is not None:
                    self._add_bad(event, reason)

    def _add_samples(self, events: list[Event], decisions: list[Decision]) -> None:
        scores = [(i, d.anomaly) for i, d in enumerate(decisions) if d.sensor is not None]
        self.samples += len(scores)
        for i, score in scores:
            decision = decisions[i]
            told = score is not None and score >= self._settings.sensor_alarm and not decision.resting
            # `sophia forget --scope` leaves the summary as it is, so it names no sensor of a scope
            if decision.sensor is not None and not decision.scope:
                self._count_sensor(decision.sensor, told)
            if score is None or not told:
                continue
            self.anomalies += 1
            sample, event = events[i].sample, events[i]
            if sample is not None and decision.channel is not None and self._shows(sample.sensor):
                value = sample.values[sample.channels.index(decision.channel)]
                place = decision.n, event.source, event.line, decision.ts
                self.first_anomalies.append(Anomaly(*place, sample.sensor, decision.channel, value, score))

    def _count_sensor(self, name: str, told: bool) -> None:
        counts = self._sensors.get(name)
        if counts is None:
            if len(self._sensors) == _COUNTED_SENSORS:
                self._sensors = dict(self._most_anomalies(_COUNTED_SENSORS // 2))
            counts = self._sensors[name] = [0, 0]
        counts[0] += 1
        counts[1] += told

    def _most_anomalies(self, most: int) -> list[tuple[str, list[int]]]:
        """Sensors with their counts of samples and anomalies: those with most anomalies, and then most samples."""
        return sorted(self._sensors.items(), key=lambda item: (-item[1][1], -item[1][0], item[0]))[:most]

    def _shows(self, sensor: str) -> bool:
        """Whether one more anomaly of a sensor is named."""
        first = self.first_anomalies
        return len(first) < SHOWN_BAD and sum(one.sensor == sensor for one in first) < SHOWN_OF_ONE

    def count_sessions(self, ended: list[Session]) -> None:
        """Counts sessions that have ended."""
        for session in ended:
            self.sessions["ended"] += 1
            self.sessions["orders_novel"] += session.orders_novel > 0
            self.sessions["counts_novel"] += session.counts_novel
            self.sessions["not_sound"] += not session.sound
            if session.novel:
                self.sessions["novel"] += 1
                if len(self.novel_sessions) < SHOWN_BAD:
                    self.novel_sessions.append(session)

    def count_alarms(self, alarms: list[Alarm]) -> None:
        """Counts alarms."""
        for alarm in alarms:
            self.alarms[alarm.kind] += 1
            if self.alarms[alarm.kind] <= SHOWN_BAD:
                self.first_alarms.append(alarm)

    def count_unkept(self, hung: int, decisions: int) -> None:
        """Says how often the store did not answer, and how many decisions were told without it."""
        self.hung, self.unkept = hung, decisions

    def add_sessions(self, open: int) -> None:
        """Says that inputs were told by session, and how many of those go on."""
        self.open_sessions = open

    def add_pattern(self, pattern: Pattern) -> None:
        """Counts a pattern that the run leaves."""
        if pattern.merged_into is None:
            self.patterns += 1
            self.new_patterns += pattern.id > self.known

    def _add_bad(self, event: Event, reason: str) -> None:
        self.reasons[reason] += 1
        if self.reasons[reason] <= SHOWN_BAD:
            self.bad_lines.append((event.source, event.line, reason, self.reasons[reason]))

    @property
    def endangered(self) -> int:
        """Inputs that a danger rule hit."""
        return self.decisions - self.verdicts["allow"]

    @property
    def error_rate(self) -> float:
        """The share of the inputs with which something is wrong."""
        return self.reasons.total() / self.decisions if self.decisions else 0.0

    def quantile(self, share: float) -> float:
        """Microseconds that at most `share` of the decisions took longer than or equal to; 0.0 before the first."""
        wanted = share * self.decisions
        seen = 0
        for us in sorted(self._us):
            seen += self._us[us]
            if seen >= wanted:
                return us
        return 0.0

    def add_audit(self, report: AuditReport) -> None:
        """Takes over what the run has led to: whether answers are switched off now."""
        self.answers_off = report.answers_off

    @property
    def interval(self) -> tuple[float, float] | None:
        """Bounds of the run's false-serve rate; None before the first comparison."""
        compared = self.agreed + self.differed
        return false_serve_interval(self.differed, compared, self._settings.audit_confidence) if compared else None

    @property
    def audit(self) -> dict[str, object]:
        """How often audited answers of this run were wrong, with the exact (Clopper-Pearson) interval of the rate.

        `open` counts drawn inputs that brought no answer of their own: somebody must send them on and compare.
        """
        compared, interval = self.agreed + self.differed, self.interval
        return {
            "share": self._settings.audit,
            "budget": self._settings.audit_budget,
            "drawn": self.audited,
            "agreed": self.agreed,
            "differed": self.differed,
            "open": self.audited - compared,
            "false_serve_rate": round(self.differed / compared, 6) if compared else None,
            "interval": None if interval is None else [round(end, 6) for end in interval],
            "confidence": self._settings.audit_confidence,
            "answers_off": self.answers_off,
            "withheld": self.withheld,
        }

    @property
    def significant(self) -> list[dict[str, Any]]:
        """The chapters that are more than a line in the log of the day."""
        return [one for one in self.chapters if one["significance"] >= SIGNIFICANT]

    def end(self) -> None:
        """Stops the clocks: what follows (files of the end, a report page) is no part of the run's time."""
        self._ended = monotonic() - self._started, process_time() - self._cpu

    @property
    def seconds(self) -> float:
        """Wall time of reading, deciding and writing, so far or until `end`."""
        return self._ended[0] if self._ended else monotonic() - self._started

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the same, of all threads."""
        return self._ended[1] if self._ended else process_time() - self._cpu

    @property
    def seconds_in_all(self) -> float:
        """Wall time since the start of the run, with what came after its end."""
        return monotonic() - self._started

    def as_dict(self) -> dict[str, object]:
        """The totals under stable names, ready for JSON."""
        return {
            "decisions": self.decisions,
            "routes": dict(sorted(self.routes.items())),
            "whys": dict(sorted(self.whys.items())),
            "verdicts": dict(sorted(self.verdicts.items())),
            "rules": dict(self.rules.most_common()),
            "served_from_memory": self.served,
            "audit": self.audit,
            "patterns": self.patterns,
            "new_patterns": self.new_patterns,
            "sessions": None
            if self.open_sessions is None
            else {
                **{name: self.sessions[name] for name in _SESSIONS},
                "open": self.open_sessions,
                "inputs_raised": self.raised,
            },
            "sensors": None
            if not self.samples
            else {
                "samples": self.samples,
                "anomalies": self.anomalies,
                "by_sensor": {
                    name: {"samples": samples, "anomalies": anomalies}
                    for name, (samples, anomalies) in self._most_anomalies(_NAMED_SENSORS)
                },
            },
            "memories": None if self.memories is None else {"made": self.memories[0], "let_go": self.memories[1]},
            "alarms": dict(sorted(self.alarms.items())),
            "chapters": {"told": len(self.chapters), "significant": len(self.significant), "unwoven": self.unwoven},
            "faults": {"store": {"hung": self.hung, "decisions": self.unkept}} if self.hung else {},
            "interrupted": self.interrupted,
            "output_closed": self.output_gone,
            "stopped": self.stopped,
            "reasons": dict(sorted(self.reasons.items())),
            "error_rate": round(self.error_rate, 6),
            "bad_lines": [
                {"source": source, "line": line, "reason": reason} for source, line, reason, _ in self.bad_lines
            ],
            "us_p50": self.quantile(0.5),
            "us_p99": self.quantile(0.99),
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }


def anomaly_words(one: Anomaly) -> str:
    """An anomaly as a line for people.

    >>> anomaly_words(Anomaly(7, "pump.csv", 8, "2014-04-11T05:00:00Z", "pump.csv", "bar", 88.25, 0.9666))
    'pump.csv:8: 2014-04-11T05:00:00Z: bar is 88.25 (score 0.97)'
    """
    when = f"{one.ts}: " if one.ts else ""
    whose = "" if one.sensor == one.source else f"{shown_sensor(one.sensor)}: "
    words = f"{one.source}:{one.line}: {when}{whose}{one.channel} is {one.value:g} (score {one.score:.2f})"
    return _printable(words)


def unkept_words(summary: Summary) -> str:
    """That the store did not answer, for people."""
    times = "once" if summary.hung == 1 else f"{summary.hung:,} times"
    told = f"{summary.unkept:,} decision{'' if summary.unkept == 1 else 's'}"
    return (
        f"the store did not answer in time, {times}: {told} told without it, never as a reflex, and forgotten "
        '(their records have "fault": "store")'
    )


def shown_sensor(name: str) -> str:
    """The name of a sensor in a line for people: of a long one the end."""
    return _printable(ending(name, _SENSOR))


def _printable(words: str) -> str:
    """Names must not steer a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in words)


def alarm_words(alarm: Alarm) -> str:
    """An alarm as a line for people, with the template of its pattern where that is known."""
    shown = "" if alarm.template is None else f" {alarm.template!r:.120}"
    where, what = alarm.source or "the input", f"pattern {alarm.pattern}{shown}"
    if alarm.kind == "rate":
        much = f"{alarm.found:,.0f} times since {told(alarm.since)}, where {alarm.usual:,.0f} a minute was the most"
        return f"{where}: {what} came {much}"
    gap = f"for {duration(alarm.found)} by {told(alarm.at)}, where {duration(alarm.usual)} is usual"
    return f"{where}: {what} has not come {gap}" if alarm.pattern else f"{where}: nothing came {gap}"
