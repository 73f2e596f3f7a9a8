"""What the report of a run shows, gathered while the run goes on, in a size that does not grow with it."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence
from time import monotonic
from typing import TypeVar

from sophia._core.decision import Decision
from sophia.stream.course import Course
from sophia.stream.event import PLAIN, Event
from sophia.stream.mask import window
from sophia.stream.timeline import Timeline
from sophia.stream.times import told

__all__ = ["NAMED", "QUIET", "ROUTES", "BadLines", "Collector", "Example", "Kept", "RuleHits"]

_Name = TypeVar("_Name", int, str)

ROUTES = ("reflex", "cortical", "deep_thought")

NAMED = 4096
"""Things that are counted by name (patterns, repeated inputs); over the bound the rarer half is forgotten."""
QUIET = 50
"""A fiftieth of the inputs so far without anything new is a long time."""

# Decisions that are folded at a time. A constant, so that what is kept does not depend on the batch size.
_FOLD = 256
_NEW_FIRST, _NEW_LAST = 40, 110
_REASON_EXAMPLES = 4
_RULE_PLACES = 6
_RULE_EXAMPLES = 3
_SAMPLE = 64
_SALIENT = 12
_WORTH = 0.25  # less attention than that is none
_LINES = 5000
_WEIGHED = ("known-pattern", "low-confidence", "complex", "gestating")
_DISTINCT = 1000
_ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]|\.\d)", re.ASCII)
_ADDRESS_CHARS = 2000
_BAD_PLACES = 12
_FAULTS = ("too-long", "empty", "invalid")
_COURSES = 8
_COLUMNS = (*ROUTES, "novel", "danger", "new", "answered")


class Example:
    """One input that is shown, with the evidence of its decision; its text is cut to a window."""

    __slots__ = (
        "accepted",
        "accepted_same",
        "anomaly",
        "attention",
        "channel",
        "closeness",
        "complexity",
        "confidence",
        "danger_score",
        "earlier",
        "earlier_same",
        "intent",
        "invalid",
        "line",
        "match",
        "model",
        "n",
        "novelty",
        "pattern",
        "plain",
        "route",
        "rule",
        "runner_up",
        "scope",
        "sensor",
        "session",
        "session_novel",
        "severity",
        "source",
        "span",
        "text",
        "verdict",
        "via",
        "why",
        "withheld",
    )

    def __init__(self, event: Event, decision: Decision) -> None:
        danger, match = decision.danger, decision.match
        text = event.text if event.text is not None else decision.text
        self.n = decision.n
        self.source = event.source
        self.line = event.line
        self.text, self.span = window(text or "", None if danger is None else danger.span)
        self.plain = bool(event.flags & PLAIN)
        self.scope = decision.scope[:200]
        self.route = decision.route
        self.why = decision.why
        self.verdict = decision.verdict
        self.confidence = decision.confidence
        self.novelty = decision.novelty
        self.model = decision.model
        self.intent = decision.intent
        self.runner_up = decision.runner_up
        self.earlier = decision.earlier
        self.earlier_same = decision.earlier_same
        self.accepted = decision.accepted
        self.accepted_same = decision.accepted_same
        self.closeness = decision.closeness
        self.complexity = decision.complexity
        self.pattern = decision.pattern
        self.rule = None if danger is None else danger.rule
        self.severity = 0.0 if danger is None else danger.severity
        self.danger_score = decision.danger_score or 0.0
        self.via = "" if danger is None else danger.via
        self.match = None if match is None else match[0]
        self.invalid = event.invalid
        self.withheld = decision.withheld
        self.sensor = decision.sensor
        self.anomaly = decision.anomaly
        self.channel = decision.channel
        self.session = decision.session
        self.session_novel = decision.session_novel
        salience = decision.salience
        self.attention = 0.0 if salience is None else salience.attention

    def astuple(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)


class Kept:
    """How often something was seen, how often with a danger rule's hit or drawn for an audit, its first input, and the
    number of its last one."""

    __slots__ = ("count", "danger", "drawn", "example", "last")

    def __init__(self, example: Example) -> None:
        self.count = 0
        self.danger = 0
        self.drawn = 0
        self.example = example
        self.last = example.n


class RuleHits:
    """What one danger rule hit."""

    __slots__ = ("addresses", "count", "examples", "last", "patterns", "places", "severity", "verdicts")

    def __init__(self, severity: float) -> None:
        self.severity = severity
        self.count = 0
        self.verdicts: Counter[str] = Counter()
        self.places: list[tuple[str, int]] = []
        """The first places, at most six."""
        self.last: tuple[str, int] = ("", 0)
        self.examples: list[Example] = []
        """The first hit, then the first ones of other patterns; at most three."""
        self.patterns: set[int] = set()
        self.addresses: set[str] = set()
        """Different patterns that were hit, and different addresses named in the texts; each at most 1,000."""


class BadLines:
    """How many lines have one fault, and where the first twelve stand."""

    __slots__ = ("count", "places")

    def __init__(self) -> None:
        self.count = 0
        self.places: list[tuple[str, int]] = []


class Collector:
    """Takes batches of events with their decisions; what is kept depends on the input alone, never on a clock.

    The clock is read for one thing, the speed over the run (`timing`, `latency`). About 1 us an input, 3 where nearly
    all differ. `known` is the highest pattern id that existed before the run: ids grow, so a higher one is a new
    pattern; a sample is unusual from `alarm` on. One thread at a time.
    """

    def __init__(self, known: int = 0, alarm: float = 0.75) -> None:
        self.routes = Timeline(_COLUMNS)
        """Per stretch of inputs: how many went each route, were novel, dangerous, of a new pattern, answered."""
        self.timing = Timeline(("seconds",))
        """Per stretch of inputs of the same width: wall time from the batch before, waiting included."""
        self.latency: Counter[tuple[str, float]] = Counter()
        """Decisions by route and microseconds (the average of their batch, two digits)."""
        self.reasons: Counter[tuple[str, str]] = Counter()
        """Decisions by route and why."""
        self.examples: dict[tuple[str, str], list[Example]] = {}
        self.bad: dict[str, BadLines] = {}
        """Inputs with which something is wrong, by what it is."""
        self.rules: dict[str, RuleHits] = {}
        self.patterns: dict[int, Kept] = {}
        self.repeats: dict[str, Kept] = {}
        """Inputs answered from memory, by the id of the decision that holds the answer."""
        self.forgotten = 0
        """The highest count that had to make room; 0 means that every count of `patterns` and `repeats` is exact."""
        self.lines: dict[tuple[int | None, str, str, str], list[tuple[str, int]]] = {}
        """Where the first 5,000 inputs stand, by pattern, route, why and what else there is to say."""
        self.repeated = 0
        """Inputs whose pattern, or whose very text, came before: in this run, or in an earlier one on its store."""
        self.repeated_danger = 0
        """Those of them that a danger rule hit."""
        self.new = 0
        """Patterns that did not exist before."""
        self.first_new: list[Example] = []
        self.last_new: deque[Example] = deque(maxlen=_NEW_LAST)
        """The newest ones after the first forty."""
        self.quiet: dict[int, int] = {}
        """New patterns that came after a long time without any, and how many inputs came in between. Each makes the
        stream longer by a fiftieth, so there are not many: about a thousand in a thousand million inputs."""
        self.salient: list[Example] = []
        """Those that deserve most attention, the most first; one of a pattern, the first with the most."""
        self.sample: list[Example] = []
        """Inputs at equal distances, from the first one on."""
        self.courses: dict[tuple[str, str], Course] = {}
        """Of the first 8 channels of sensors, by sensor and channel: their numbers, those marked that are unusual."""
        self.scoped = False
        """Some input said whom it belongs to."""
        self.first_event: str | None = None
        self.last_event: str | None = None
        self.known = known
        self._alarm = alarm
        self._newest = known
        self._last_new: int | None = None
        self._n = 0
        self._stride = 1
        self._due: dict[tuple[str, str], int] = {}
        self._events: list[Event] = []
        self._decisions: list[Decision] = []
        self._timed = 0
        self._clock = monotonic()

    def add(self, events: list[Event], decisions: list[Decision]) -> None:
        """Takes one batch, decisions in the order of their events."""
        now = monotonic()
        self.timing.spread(self._timed, self._timed + len(decisions), now - self._clock)
        self._timed += len(decisions)
        self._clock = now
        self._events += events
        self._decisions += decisions
        done = 0
        while len(self._decisions) - done >= _FOLD:
            self._fold(self._events[done : done + _FOLD], self._decisions[done : done + _FOLD])
            done += _FOLD
        del self._events[:done], self._decisions[:done]

    def finish(self) -> None:
        """Takes what still waits; call it once, after the last batch."""
        if self._decisions:
            self._fold(self._events, self._decisions)
            self._events, self._decisions = [], []

    def _fold(self, events: list[Event], decisions: list[Decision]) -> None:
        routes = [d.route for d in decisions]
        whys = [d.why for d in decisions]
        patterns = [d.pattern for d in decisions]
        answers = [d.answer is not None for d in decisions]
        dangers = [i for i, d in enumerate(decisions) if d.danger is not None]
        new = self._new_patterns(events, decisions, patterns)
        self._count_reasons(events, decisions, list(zip(routes, whys, strict=True)))
        self._count_latency(routes, [d.us for d in decisions])
        self._count_named(self.patterns, events, decisions, patterns)
        if any(answers):
            names = [d.match[0] if d.answer is not None and d.match is not None else None for d in decisions]
            self._count_named(self.repeats, events, decisions, names)
            for name, decision in zip(names, decisions, strict=True):
                if decision.audit and name is not None and (kept := self.repeats.get(name)) is not None:
                    kept.drawn += 1
        for i in dangers:
            self._count_danger(events[i], decisions[i])
            self.repeated_danger += decisions[i].earlier > 0
            if (kept := self.patterns.get(patterns[i] or 0)) is not None:
                kept.danger += 1
        self.repeated += sum(d.earlier > 0 or d.why == "repeat" for d in decisions)
        for i in range(min(len(decisions), _LINES - self._n)):
            key = patterns[i], routes[i], whys[i], _note(decisions[i])
            self.lines.setdefault(key, []).append((events[i].source, events[i].line))
        for event, why in zip(events, whys, strict=True):
            if event.invalid is not None or why in _FAULTS:
                self._count_bad(event, event.invalid or why)
        marks = bytearray(len(decisions)), bytearray(len(decisions))
        for mark, places in zip(marks, (dangers, new), strict=True):
            for i in places:
                mark[i] = 1
        self.routes.extend(
            len(decisions),
            lambda a, b: (
                *(routes[a:b].count(route) for route in ROUTES),
                whys[a:b].count("novel"),
                *(sum(mark[a:b]) for mark in marks),
                sum(answers[a:b]),
            ),
        )
        for i in range(-self._n % self._stride, len(decisions), self._stride):
            self._take_sample(Example(events[i], decisions[i]), self._n + i)
        self.scoped = self.scoped or any(d.scope for d in decisions)
        times = [moment if d.ts is None else d.ts for d in decisions if (moment := d.moment)]
        if times:
            self.first_event = self.first_event or _shown(times[0])
            self.last_event = _shown(times[-1])
        self._take_courses(events, decisions)
        self._take_salient(events, decisions)
        self._n += len(decisions)

    def _take_courses(self, events: list[Event], decisions: list[Decision]) -> None:
        for place, event in enumerate(events, self._n):
            sample = event.sample
            if sample is None:
                continue
            decision = decisions[place - self._n]
            told = (decision.anomaly or 0.0) >= self._alarm and not decision.resting
            unusual = decision.channel if told else None
            for channel, value in zip(sample.channels[:_COURSES], sample.values, strict=False):
                key = sample.sensor, channel
                course = self.courses.get(key)
                if course is None and len(self.courses) < _COURSES:
                    course = self.courses[key] = Course()
                if course is not None and value == value:
                    course.add(place, value, mark=channel == unusual)

    def _take_salient(self, events: list[Event], decisions: list[Decision]) -> None:
        full = len(self.salient) == _SALIENT
        least = self.salient[-1].attention if full else _WORTH
        for event, decision in zip(events, decisions, strict=True):
            salience = decision.salience
            if salience is None or salience.attention <= least:
                continue
            one = Example(event, decision)
            others = [other for other in self.salient if other.pattern == one.pattern is not None]
            if others and others[0].attention >= one.attention:
                continue
            kept = [other for other in self.salient if other not in others]
            self.salient = sorted([*kept, one], key=lambda other: -other.attention)[:_SALIENT]
            least = self.salient[-1].attention if len(self.salient) == _SALIENT else _WORTH

    def _new_patterns(self, events: list[Event], decisions: list[Decision], patterns: list[int | None]) -> list[int]:
        found = []
        if max((id or 0 for id in patterns), default=0) > self._newest:
            for i, id in enumerate(patterns):
                if id is not None and id > self._newest:
                    self._newest = id
                    found.append(i)
                    example, place = Example(events[i], decisions[i]), self._n + i
                    between = 0 if self._last_new is None else place - self._last_new - 1
                    self._last_new = place
                    if between and between * QUIET >= place:
                        self.quiet[id] = between
                    if len(self.first_new) < _NEW_FIRST:
                        self.first_new.append(example)
                    else:
                        self.last_new.append(example)
        self.new += len(found)
        return found

    def _count_reasons(self, events: list[Event], decisions: list[Decision], keys: list[tuple[str, str]]) -> None:
        """Examples of a reason: its first input, then each next one when it was seen twice as often as at the last
        example, so that they lie apart; of other patterns where there are any. The newest ones are kept."""
        for key, count in Counter(keys).items():
            before = self.reasons[key]
            self.reasons[key] += count
            if before + count < self._due.get(key, 1):
                continue
            kept = self.examples.setdefault(key, [])
            seen = before
            for i, other in enumerate(keys):
                if other != key:
                    continue
                seen += 1
                if seen < self._due.get(key, 1):
                    continue
                pattern = decisions[i].pattern
                if pattern is not None and seen < 4 * self._due.get(key, 1) and any(e.pattern == pattern for e in kept):
                    continue
                kept.append(Example(events[i], decisions[i]))
                self._due[key] = 2 * seen
                if len(kept) > _REASON_EXAMPLES:
                    del kept[1]  # the first one stays

    def _count_latency(self, routes: list[str], us: list[float]) -> None:
        rounded = {one: float(f"{one:.1e}") for one in set(us)}
        self.latency.update(zip(routes, [rounded[one] for one in us], strict=True))

    def _count_named(
        self, kept: dict[_Name, Kept], events: list[Event], decisions: list[Decision], names: Sequence[_Name | None]
    ) -> None:
        ends = dict(zip(names, [decision.n for decision in decisions], strict=True))
        for name, count in Counter(names).items():
            if name is None:
                continue
            entry = kept.get(name)
            if entry is None:
                first = names.index(name)
                entry = kept[name] = Kept(Example(events[first], decisions[first]))
            entry.count += count
            entry.last = ends[name]
        if len(kept) > NAMED:
            order = sorted(kept, key=lambda name: (-kept[name].count, kept[name].example.n))
            self.forgotten = max(self.forgotten, kept[order[NAMED // 2]].count)
            for name in order[NAMED // 2 :]:
                del kept[name]

    def _count_danger(self, event: Event, decision: Decision) -> None:
        danger = decision.danger
        hits = self.rules.get(danger.rule)
        if hits is None:
            hits = self.rules[danger.rule] = RuleHits(danger.severity)
        hits.count += 1
        hits.verdicts[decision.verdict] += 1
        hits.last = (event.source, event.line)
        if decision.pattern is not None and len(hits.patterns) < _DISTINCT:
            hits.patterns.add(decision.pattern)
        if len(hits.addresses) < _DISTINCT:
            hits.addresses.update(_ADDRESS.findall((event.text or "")[:_ADDRESS_CHARS])[:4])
        if len(hits.places) < _RULE_PLACES:
            hits.places.append(hits.last)
        if len(hits.examples) < _RULE_EXAMPLES:
            example = Example(event, decision)
            if not any(example.pattern == other.pattern and other.pattern for other in hits.examples) and not any(
                example.text == other.text for other in hits.examples
            ):
                hits.examples.append(example)

    def _count_bad(self, event: Event, reason: str) -> None:
        lines = self.bad.setdefault(reason, BadLines())
        lines.count += 1
        if len(lines.places) < _BAD_PLACES:
            lines.places.append((event.source, event.line))

    def _take_sample(self, example: Example, place: int) -> None:
        if place % self._stride:
            return  # the stride grew since
        self.sample.append(example)
        if len(self.sample) > _SAMPLE:
            del self.sample[1::2]
            self._stride *= 2


def _note(decision: Decision) -> str:
    """What tells an input from others of its pattern that were routed for the same reason."""
    if decision.danger is not None:
        return f"rule {decision.danger.rule}"
    return "not quite like those before" if decision.closeness < 1 and decision.why in _WEIGHED else ""


def _shown(time: str | float) -> str:
    return told(time) if isinstance(time, float) else time[:64]
