"""Rhythms: the compiled table says what the plain one says, to the last bit, whatever comes and however it is kept."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import rhythm as plain

from sophia._core import rhythm as compiled
from sophia._core.rhythm import RhythmTable
from sophia.errors import StoreCorrupt

DAY, YEAR = 86400.0, 365 * 86400.0
START = 1_700_000_000.0

Event = tuple[str, int, float]
LONG = "a long name " * 30


class Twins:
    """The compiled table and the oracle, given the same; asks both and compares the answers."""

    def __init__(self, *, track: bool = True) -> None:
        self.track = track
        self.one, self.other = RhythmTable(track=track), plain.RhythmTable(track=track)
        self.told: Counter[str] = Counter()
        self.keep()

    def observe(self, event: Event, *, alarming: bool = True) -> None:
        found, due = (table.observe(*event, alarming=alarming) for table in (self.one, self.other))
        assert [*found] == [*due]
        assert type(found) is type(due)
        assert [list(map(type, alarm)) for alarm in found] == [list(map(type, alarm)) for alarm in due]
        self.told.update(alarm.kind for alarm in found)

    def forget(self, patterns: set[int]) -> None:
        assert self.one.forget(patterns) == self.other.forget(patterns)

    def check(self, patterns: range) -> None:
        assert len(self.one) == len(self.other)
        assert self.one.dump() == self.other.dump()
        assert [self.one.rhythm(pattern) for pattern in patterns] == [self.other.rhythm(one) for one in patterns]
        for k in (0, 3, 100):
            assert self.one.most_regular(k) == self.other.most_regular(k)

    def keep(self) -> None:
        """Takes a dump, from which on changes are a log."""
        self.log_changes()
        self.dumped, self.log = self.one.dump(), list[bytes]()

    def log_changes(self) -> None:
        changes = self.one.changes()
        assert changes == self.other.changes()
        self.log = [*getattr(self, "log", []), changes]

    def again(self) -> None:
        """Makes both anew, each of what the other one kept."""
        if not self.track:
            return
        self.log_changes()
        self.one = RhythmTable.load(self.dumped, track=True)
        self.other = plain.RhythmTable.load(self.dumped, track=True)
        for changes in self.log:
            if changes:
                self.one.replay(changes)
                self.other.replay(changes)


SOURCES = st.sampled_from(["a", "a", "a", "b", "", LONG + "1", LONG + "2"])
STEPS = st.sampled_from([0.0, 0.0, 0.25, 1.0, 7.5, 60.0, 60.0, 300.0, 3600.0, -0.5, -30.0, -120.0, -121.0, -500.0])
JUMPS = st.sampled_from([DAY, -DAY, YEAR, -YEAR, 3 * DAY + 0.1, 1e7])
# What is done to a table: an input, a run of inputs at a step, or something else.
INPUT = st.tuples(st.just("input"), SOURCES, st.integers(0, 12), STEPS | JUMPS, st.booleans())
RUN = st.tuples(
    st.just("run"), SOURCES, st.integers(0, 12), st.sampled_from([0.01, 1.0, 20.0, 61.0, 300.0, 4000.0]),
    st.integers(1, 120),
)  # fmt: skip
FORGET = st.tuples(st.just("forget"), st.sets(st.integers(1, 14), max_size=3))
OTHER = st.tuples(st.sampled_from(["keep", "log", "again"]))
ACTIONS = st.lists(INPUT | INPUT | RUN | RUN | FORGET | OTHER, max_size=60)


def act(twins: Twins, actions: list[Any]) -> None:
    moments: dict[str, float] = {}
    for what, *given_ in actions:
        if what == "input":
            source, pattern, step, alarming = given_
            moments[source] = moments.get(source, START) + step
            twins.observe((source, pattern, moments[source]), alarming=alarming)
        elif what == "run":
            source, pattern, step, n = given_
            for i in range(n):
                moments[source] = moments.get(source, START) + step
                twins.observe((source, pattern, moments[source]))
                if i % 3:
                    twins.observe((source, 20 + i % 5, moments[source]))
        elif what == "forget":
            twins.forget(*given_)
        elif what == "again":
            twins.again()
        elif twins.track:
            twins.keep() if what == "keep" else twins.log_changes()


@settings(max_examples=200, deadline=None)
@given(ACTIONS, st.booleans(), st.booleans())
def test_any_inputs(actions: list[Any], small: bool, track: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in (compiled, plain) if small else ():
            for name, value in (("_PATTERNS", 16), ("_WAITING", 2), ("_SOURCES", 2), ("_LASTS", 18)):
                patch.setattr(module, name, value)
        twins = Twins(track=track)
        act(twins, actions)
        twins.check(range(30))


def beats(seed: int, days: float) -> list[Event]:
    """Long: heartbeats of many periods that stop now and then, nights and noise, bursts, jumps of the clock, in several
    sources."""
    random_ = random.Random(seed)
    events: list[Event] = []
    for source in random_.sample(["a", "b", "", LONG], random_.randint(1, 3)):
        shift = random_.choice([0.0, 0.0, -YEAR, DAY / 3])
        night = random_.random() < 0.5
        jitter = random_.choice([0.0, 0.1, 1.0])
        stops = [(random_.uniform(0.3, 1) * days * DAY, random_.choice([600.0, 7200.0, DAY])) for _ in range(4)]
        mine: list[tuple[float, int]] = []
        for pattern, period in enumerate(random_.sample([30.0, 60.0, 97.0, 300.0, 1200.0, 3600.0], 4), 1):
            at = random_.random() * period
            stop = random_.choice([*stops, (0.0, 0.0)])
            while at < days * DAY:
                if not stop[0] < at < stop[0] + stop[1] and not (night and 0 < at % DAY < 9 * 3600):
                    moment = at + random_.uniform(-jitter, jitter) * period
                    several = 40 if random_.random() < 0.002 else 1
                    mine += [(moment + i * 0.3, pattern) for i in range(several)]
                at += period
        mine.sort()
        jump = 0.0
        for moment, pattern in mine:
            if random_.random() < 2e-4:
                jump += random_.choice([YEAR, -YEAR, DAY, -DAY, -200.0, 1000.0])
            events.append((source, pattern, START + shift + jump + moment + random_.choice([0.0, 0.0, -2.0])))
            if random_.random() < 3e-4:  # late by an hour
                events += [(source, pattern, START + shift + jump + moment - 3600.0)] * random_.choice([2, 3, 5])
            if random_.random() < 3e-4:  # wrong dates
                events += [(source, pattern, random_.choice([0.0, 4e9, START + 3e7]))] * random_.choice([1, 1, 2, 3])
            if random_.random() < 0.05:
                events.append((source, int(random_.paretovariate(0.5)) % (1 << 64), START + shift + jump + moment))
    # Sources in turn, each in its own order: what is mixed by time would be by shifts and jumps.
    return sorted(events, key=lambda event: event[2]) if random_.random() < 0.3 else events


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([0.5, 2.0, 9.0]), st.sets(st.integers(0, 20_000), max_size=5))
def test_long_streams(seed: int, days: float, cuts: set[int]) -> None:
    twins = Twins()
    for n, event in enumerate(beats(seed, days)):
        twins.observe(event, alarming=n > 300)
        if n in cuts:
            twins.again()
        elif n % 1000 == 0:
            twins.keep()
    twins.check(range(10))


def test_the_long_streams_have_alarms_of_all_kinds() -> None:
    told: Counter[str] = Counter()
    for seed in range(4):
        twins = Twins(track=False)
        for event in beats(seed, 6.0):
            twins.observe(event)
        told += twins.told
    assert min(told[kind] for kind in ("silence", "quiet", "rate")) >= 2


@pytest.mark.parametrize("minutes", range(14, 20))
def test_a_burst_when_minutes_begin_to_be_known(minutes: int) -> None:
    twins = Twins()
    for n in range(minutes):
        twins.observe(("a", 1, START + 60 * n))
    for n in range(40):
        twins.observe(("a", 1, START + 60 * minutes + n))
    assert twins.told["rate"] == (minutes >= 18)
    twins.check(range(3))


def test_deadlines_at_one_time_come_in_the_order_of_patterns() -> None:
    twins, patterns = Twins(), [9, 3, 70, 5, (1 << 64) - 1, 1 << 63]
    for n in range(300):
        for pattern in patterns if n < 200 else ():
            twins.observe(("a", pattern, START + 60 * n))
        for i in range(3):
            twins.observe(("a", 1, START + 60 * n + 20 * i))
    assert twins.told == {"silence": len(patterns)}
    twins.check(range(10))


@pytest.mark.parametrize("rare", range(4, 10))
def test_an_hour_in_which_a_pattern_comes_as_seldom_as_is_just_usual(rare: int) -> None:
    """Comings are every 5 minutes, but in the last hour of a day `rare` in all days: that is usual from 7 on."""
    twins, midnight = Twins(), START // DAY * DAY
    left = rare
    for minute in range(7 * 24 * 60):
        moment = midnight + 60 * minute
        late = minute % (24 * 60) >= 23 * 60
        if minute < 5 * 24 * 60 + 22 * 60 and minute % 5 == 0 and (not late or left):
            left -= late
            twins.observe(("a", 1, moment))
        twins.observe(("a", 2, moment + 1))
    assert twins.told["silence"]
    twins.check(range(3))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 700), st.booleans(), st.booleans())
def test_a_batch_is_as_its_inputs_one_by_one(seed: int, size: int, named: bool, alarming: bool) -> None:
    random_ = random.Random(seed)
    events = beats(seed, 1.0)[:6000]
    one, other = RhythmTable(track=True), RhythmTable(track=True)
    for begin in range(0, len(events), size):
        part = events[begin : begin + size]
        sources = [source if named else "" for source, _, _ in part]
        patterns = [None if random_.random() < 0.01 else pattern for _, pattern, _ in part]
        moments = [None if random_.random() < 0.01 else moment for _, _, moment in part]
        due = [
            (i, alarm)
            for i, (source, pattern, moment) in enumerate(zip(sources, patterns, moments, strict=True))
            if moment is not None
            for alarm in other.observe(source, pattern or 0, moment, alarming=alarming)
        ]
        assert one.observe_many(sources if named else None, patterns, moments, alarming=alarming) == due
    assert one.dump() == other.dump()
    assert one.changes() == other.changes()


def test_a_batch_of_uneven_columns_is_refused_and_learns_nothing() -> None:
    table = RhythmTable(track=True)
    for sources, patterns, moments in ((None, [1], []), (["a"], [1, 2], [1.0, 2.0]), (None, [], [1.0])):
        with pytest.raises(ValueError, match="as many"):
            table.observe_many(sources, patterns, moments)
    assert table.changes() == b""
    assert table.observe_many(None, [], []) == []


FAR = 1e15 - 1


@given(st.lists(st.floats(-FAR, FAR) | st.floats(-1e4, 1e4) | st.sampled_from([FAR, -FAR]), min_size=3, max_size=20))
def test_times_that_no_clock_says(moments: list[float]) -> None:
    twins = Twins()
    for moment in moments:
        for _ in range(3):
            twins.observe(("a", 1, moment))
    twins.check(range(3))
    twins.again()


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), float("-inf"), 1e15, -1e15, 1e300])
def test_what_is_no_time_is_refused_by_both(moment: float) -> None:
    twins = Twins()
    twins.observe(("a", 1, START))
    before = twins.one.dump()
    for table in (twins.one, twins.other):
        for source in ("a", "new"):
            with pytest.raises(ValueError, match=str(moment).replace("+", ".")):
                table.observe(source, 1, moment)
    with pytest.raises(ValueError, match="seconds since 1970"):
        twins.one.observe_many(None, [1], [moment])
    assert twins.one.dump() == twins.other.dump() == before


@pytest.mark.parametrize("pattern", ["x", -1, 1 << 64, None, 1.5])
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    table = RhythmTable(track=True)
    with pytest.raises((TypeError, OverflowError)):
        table.observe("a", pattern, START)
    with pytest.raises((TypeError, OverflowError)):
        table.forget([pattern])
    table.observe("a", 1, START)
    RhythmTable().replay(table.changes())


class Strange(int):
    """Runs code of its own wherever it is looked up."""

    table: RhythmTable

    def __hash__(self) -> int:
        self.table.observe("b", 5, START)
        self.table.forget([5, int(self)])
        return 7

    def __eq__(self, other: object) -> bool:
        self.table.forget([5])
        return True


def test_the_code_of_a_strange_pattern_does_not_run() -> None:
    table = Strange.table = RhythmTable(track=True)
    for n in range(300):
        table.observe("a", Strange(n % 7), START + n)
    assert len(table) == 6
    table.forget([Strange(3)])
    assert len(table) == 5


def test_more_than_a_table_holds_is_refused() -> None:
    """Bytes with a checksum that is right."""
    whole = RhythmTable()
    for source in ("a", "b"):
        for n in range(60):
            whole.observe(source, 1 + n % 12, START + n)
    for name, value in (("_PATTERNS", 8), ("_SOURCES", 1), ("_LASTS", 20)):
        for module, table in ((compiled, RhythmTable), (plain, plain.RhythmTable)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(module, name, value)
                with pytest.raises(StoreCorrupt, match="too many"):
                    table.load(whole.dump())


@given(st.data())
def test_bytes_that_are_no_table_are_told_by_both(data: st.DataObject) -> None:
    twins = Twins()
    for event in beats(3, 0.1):
        twins.observe(event)
    good = data.draw(st.sampled_from([twins.one.dump(), twins.one.changes()]))[12:]
    at = data.draw(st.integers(0, len(good) - 1))
    damaged = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    bad = compiled._sealed(data.draw(st.sampled_from([damaged, good[:at], good + good[:at]])))
    told = []
    for table in (RhythmTable, plain.RhythmTable):
        try:
            table.load(bad)
            told.append(True)
        except StoreCorrupt:
            told.append(False)
    assert told[0] == told[1]


def test_a_pattern_is_a_number_below_2_to_64() -> None:
    table = RhythmTable()
    for _ in range(4):
        table.observe("a", (1 << 64) - 1, START)
    assert table.rhythm((1 << 64) - 1) is not None
    for pattern in (1 << 64, -1):
        with pytest.raises(OverflowError):
            table.observe("a", pattern, START)
    with pytest.raises(TypeError):
        table.observe_many(None, ["b"], [START])  # type: ignore[list-item]
