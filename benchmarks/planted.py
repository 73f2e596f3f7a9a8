"""Real logs with heartbeats that stop and patterns that burst put into them; and a z-score of counts as the judge to
beat. An event is (moment, pattern), a case (kind, pattern, from, until): it is found by an alarm of that kind and
pattern in that time. All is seeded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Event = tuple[float, int]
Alarm = tuple[str, int, float]
"""Kind, pattern, moment."""

BEAT = 1 << 40  # ids of heartbeats: no pattern of a log has one as large
PERIODS = (60.0, 300.0, 3600.0)
JITTERS = (0.0, 0.1, 0.2)
DAYS = 3.0  # so much of a log, at most


class Case(NamedTuple):
    kind: str
    pattern: int
    begin: float
    until: float


class Plant(NamedTuple):
    """A log with something in it."""

    name: str
    events: list[Event]
    cases: list[Case]


class Found(NamedTuple):
    """How a judge did."""

    hits: int
    missed: int
    false: int

    @property
    def f1(self) -> float:
        """Of the cases, where an alarm that belongs to none is false."""
        return 2 * self.hits / max(1, 2 * self.hits + self.missed + self.false)


def beats(name: str, events: Sequence[Event], warm: int, *, stop: float = 8.0, seed: int = 1) -> Iterator[Plant]:
    """Heartbeats of a minute, five minutes and an hour, each with no and some jitter, that stop twice for `stop`
    periods: never two at a time, as where nothing else comes it is the source that is quiet."""
    draw = random.Random(seed)
    start = events[warm][0]
    some = [event for event in events if event[0] < start + DAYS * 86_400]
    end = some[-1][0]
    for jitter in JITTERS:
        added: list[Event] = []
        cases: list[Case] = []
        for place, period in enumerate(PERIODS):
            if end - start < 60 * period:
                continue
            stops = [start + (end - start) * (part + 0.05 * place) for part in (0.5, 0.7)]
            stops = [at for at in stops if at + (stop + 1) * period < end]
            moment = start + draw.random() * period
            while moment < end:
                at = moment + draw.uniform(-jitter, jitter) * period
                if not any(begin <= at < begin + stop * period for begin in stops):
                    added.append((at, BEAT + place))
                moment += period
            cases += [Case("silence", BEAT + place, begin, begin + (stop + 0.5) * period) for begin in stops]
        if added:
            yield Plant(f"{name} {jitter:.0%}", sorted([*some, *added], key=lambda event: event[0]), cases)


def bursts(name: str, events: Sequence[Event], *, times: int = 10, part: float = 0.7) -> Iterator[Plant]:
    """A pattern that is common enough comes ten times as often as in its fullest minute, for one minute."""
    at = events[int(len(events) * part)][0]
    most: dict[int, Counter[float]] = {}
    for moment, pattern in events:
        if moment < at:
            most.setdefault(pattern, Counter())[moment // 60] += 1
    for pattern, counts in sorted(most.items()):
        if len(counts) >= 20:
            number, begin = times * max(counts.values()), at // 60 * 60 + 60
            more = [(begin + 59 * i / number, pattern) for i in range(number)]
            mixed = sorted([*events, *more], key=lambda event: event[0])
            yield Plant(f"{name} {pattern}", mixed, [Case("rate", pattern, begin, begin + 3600)])


def z_score(events: Sequence[Event], window: float, warm: int, least: int = 8) -> list[Alarm]:
    """|z| > 3 of the count of a pattern in a window that is over, against all its windows before, of which there must
    be some; windows in which the whole log said nothing do not count. One alarm an episode."""
    found: list[Alarm] = []
    now: float | None = None
    counts: Counter[int] = Counter()
    past: dict[int, list[int]] = {}
    alarmed: set[tuple[str, int]] = set()
    for n, (moment, pattern) in enumerate(events):
        this = moment // window
        if now is not None and this > now:
            for one in counts:
                past.setdefault(one, [0, 0, 0])
            for one, sums in past.items():
                number = counts[one]
                size, total, squares = sums
                if size >= least:
                    mean = total / size
                    deviation = max(0.0, squares / size - mean * mean) ** 0.5
                    z = (number - mean) / deviation if deviation > 1e-9 else (number - mean) * 1e9
                    kind = "rate" if z > 0 else "silence"
                    if abs(z) <= 3:
                        alarmed -= {("rate", one), ("silence", one)}
                    elif (kind, one) not in alarmed:
                        alarmed.add((kind, one))
                        if n >= warm:
                            found.append((kind, one, (now + 1) * window))
                sums[0] += 1
                sums[1] += number
                sums[2] += number * number
            counts = Counter()
        if now is None or this > now:
            now = this
        counts[pattern] += 1
    return found


def judged(alarms: Sequence[Alarm], cases: Sequence[Case], *, own: bool) -> Found:
    """What alarms found. With `own` those of other patterns do not count, as where many runs repeat the same log."""
    used: set[int] = set()
    hits = 0
    for case in cases:
        good = [
            n
            for n, (kind, pattern, at) in enumerate(alarms)
            if kind == case.kind and pattern == case.pattern and case.begin <= at <= case.until
        ]
        used.update(good)
        hits += bool(good)
    mine = {case.pattern for case in cases}
    false = sum(n not in used and (not own or pattern in mine) for n, (_, pattern, _) in enumerate(alarms))
    return Found(hits, len(cases) - hits, false)
