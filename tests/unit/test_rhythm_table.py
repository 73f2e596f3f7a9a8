"""Rhythms of patterns: what falls silent, what comes far too often, and what must not be alarmed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia._core import rhythm as rhythm_table
from sophia._core.rhythm import Alarm, RhythmTable
from sophia.errors import StoreCorrupt

MINUTE, HOUR, DAY, YEAR = 60.0, 3600.0, 86400.0, 365 * 86400.0
START = 1_700_000_000.0 // DAY * DAY  # midnight
BEAT = 7

Event = tuple[str, int, float]


def feed(table: RhythmTable, events: Iterable[Event], *, alarming: bool = True) -> list[Alarm]:
    return [one for event in events for one in table.observe(*event, alarming=alarming)]


def every(step: float, seconds: float, pattern: int = BEAT, start: float = START, source: str = "a") -> list[Event]:
    return [(source, pattern, start + n * step) for n in range(int(seconds / step))]


def mixed(*streams: list[Event]) -> list[Event]:
    return sorted((event for stream in streams for event in stream), key=lambda event: event[2])


def names(alarms: Iterable[Alarm]) -> list[tuple[str, int]]:
    return [(one.kind, one.pattern) for one in alarms]


def test_a_line_that_came_every_5_minutes_has_not_come_for_40() -> None:
    table = RhythmTable()
    others = every(20, 3 * HOUR + 40 * MINUTE, pattern=1)
    alarms = feed(table, mixed(every(5 * MINUTE, 3 * HOUR), others))
    since = START + 3 * HOUR - 5 * MINUTE
    assert alarms == [Alarm("silence", "a", BEAT, since + 15 * MINUTE, since, 300.0, 900.0)]
    rhythm = table.rhythm(BEAT)
    assert rhythm is not None
    # two comings were needed for a row
    assert rhythm == (36, START + 10 * MINUTE, since, 300.0, 300.0, (10, 12, 12, *[0] * 21), 1)
    assert table.rhythm(99) is None
    assert [pattern for pattern, _ in table.most_regular(5)] == [1, BEAT]


def test_an_episode_is_alarmed_once_and_again_after_it_came_back() -> None:
    def beats(start: float) -> list[Event]:
        return every(5 * MINUTE, 6 * HOUR, start=start)

    events = mixed(beats(START), beats(START + 12 * HOUR), every(20, 24 * HOUR, pattern=1))
    assert names(feed(RhythmTable(), events)) == [("silence", BEAT)] * 2


def test_what_comes_in_bursts_has_the_rhythm_of_its_bursts() -> None:
    bursts = [(source, BEAT, at + n * 2.5) for source, _, at in every(HOUR, 20 * HOUR) for n in range(40)]
    others = every(20, 30 * HOUR, pattern=1)
    table = RhythmTable()
    alarms = feed(table, mixed(bursts, others))
    rhythm = table.rhythm(BEAT)
    assert rhythm is not None
    assert rhythm.gap > 3000
    at = [one.at - START for one in alarms if one.pattern == BEAT]
    # the first hour could not be known; then only the true silence is one
    assert len([one for one in at if one < 19 * HOUR]) <= 1
    assert len([one for one in at if 20 * HOUR < one < 24 * HOUR]) == 1


def test_a_night_of_the_source_is_one_alarm_at_most_and_none_once_nights_are_known() -> None:
    events: list[Event] = []
    for day in range(10):
        for pattern, step in ((1, 15.0), (2, MINUTE), (3, 5 * MINUTE), (4, 20 * MINUTE)):
            events += every(step, 12 * HOUR, pattern=pattern, start=START + day * DAY + 8 * HOUR)
    alarms = feed(RhythmTable(), mixed(events))
    assert names(alarms) == [("quiet", 0)]
    assert alarms[0].found == pytest.approx(12 * HOUR, abs=2 * MINUTE)


def test_silence_in_hours_in_which_a_pattern_never_comes_is_none_once_they_are_known() -> None:
    days = [every(5 * MINUTE, 12 * HOUR, start=START + day * DAY + 8 * HOUR) for day in range(9)]
    last = every(5 * MINUTE, 4 * HOUR, start=START + 9 * DAY + 8 * HOUR)
    alarms = feed(RhythmTable(), mixed(*days, last, every(20, 10 * DAY, pattern=1)))
    at = [(one.at - START) / DAY for one in alarms]
    assert {one.pattern for one in alarms} == {BEAT}
    assert len([one for one in at if one < 5]) <= 4
    assert [one for one in at if one >= 5] == [pytest.approx(9.5, abs=0.02)]


def test_a_quiet_source_is_alarmed_as_one_when_it_comes_back() -> None:
    table = RhythmTable()
    events = mixed(*(every(step, 4 * HOUR, pattern=int(step)) for step in (10.0, 30.0, 60.0, 300.0)))
    assert feed(table, events) == []
    last = events[-1][2]
    alarms = feed(table, every(10, MINUTE, pattern=10, start=last + 3 * HOUR))
    assert alarms == [Alarm("quiet", "a", 0, last + 3 * HOUR, last, 10.0, 3 * HOUR)]


def nightly(days: int, hour: float, *, jitter: float = 60.0, but: range = range(0), source: str = "a") -> list[Event]:
    chance = random.Random(5)
    return [
        (source, BEAT, START + day * DAY + hour * HOUR + chance.random() * jitter)
        for day in range(days)
        if day not in but
    ]


@pytest.mark.parametrize("hour", [0.0, 2.0, 2.999, 23.99])
def test_a_nightly_job_that_does_not_come_for_some_nights(hour: float) -> None:
    """Gaps and silences count in the hours in which it comes, once those are known; what is told are whole days."""
    events = mixed(nightly(60, hour, but=range(30, 50)), every(60, 60 * DAY, pattern=1))
    table = RhythmTable()
    (alarm,) = feed(table, events)
    assert (alarm.kind, alarm.pattern) == ("silence", BEAT)
    assert START + 31 * DAY < alarm.at < START + 34 * DAY
    assert abs(alarm.usual - DAY) < MINUTE
    rhythm = table.rhythm(BEAT)
    assert rhythm is not None
    assert abs(rhythm.gap - DAY) < MINUTE


def test_a_nightly_source_that_does_not_come_for_some_nights() -> None:
    table = RhythmTable()
    (alarm,) = feed(table, nightly(60, 2.0, but=range(30, 50)))
    assert (alarm.kind, alarm.pattern) == ("quiet", 0)
    assert abs(alarm.usual - DAY) < MINUTE
    assert alarm.found > 20 * DAY


def test_a_nightly_job_that_always_comes_is_never_alarmed() -> None:
    for jitter in (1.0, 600.0, 7200.0):
        events = mixed(nightly(90, 1.5, jitter=jitter), every(60, 90 * DAY, pattern=1))
        assert feed(RhythmTable(), events) == []


def test_what_comes_by_chance_is_hardly_ever_alarmed() -> None:
    chance = random.Random(1)
    events: list[Event] = []
    for pattern in range(1, 13):
        mean, moment = 60.0 * 1.4**pattern, START
        while moment < START + 20 * DAY:
            moment += chance.expovariate(1 / mean)
            events.append(("a", pattern, moment))
    assert len(feed(RhythmTable(), mixed(events))) <= len(events) / 10_000


@pytest.mark.parametrize("wrong", [0.0, 4_070_908_800.0, START - YEAR, START + YEAR, START - DAY])
@pytest.mark.parametrize("times", [1, 2])
def test_a_wrong_date_moves_no_source(wrong: float, times: int) -> None:
    events = every(30, 6 * HOUR)
    lines = [*events[:300], *[("a", BEAT, wrong)] * times, *events[300:500], ("a", BEAT, wrong), *events[500:]]
    table, other = RhythmTable(), RhythmTable()
    assert feed(table, lines) == feed(other, events) == []
    assert table.rhythm(BEAT) == other.rhythm(BEAT)


@pytest.mark.parametrize("step", [60.0, 3600.0])
def test_a_device_that_boots_in_1970(step: float) -> None:
    """A few lines before its clock is set do not make it patient for ever."""
    boot = [("a", 1, 5.0), ("a", 2, 6.0), ("a", 1, 7.0), ("a", 2, 9.0)]
    job = every(step, 200 * step)
    events = [*boot, *mixed(job, every(step / 5, 260 * step, pattern=1), every(step / 4, 260 * step, pattern=2))]
    alarms = feed(RhythmTable(), events)
    assert names(alarms) == [("silence", BEAT)]


def test_lines_that_come_late_are_no_pause() -> None:
    """A buffer that is written every six hours: four lines of an hour ago."""
    events: list[Event] = []
    for moment in range(0, int(3 * DAY), 10):
        events.append(("a", 1 + moment // 10 % 3, START + moment))
        if moment % int(6 * HOUR) == 0:
            events += [("a", 4, START + moment - HOUR + i) for i in range(4)]
    assert feed(RhythmTable(), events) == []


@pytest.mark.parametrize("step", [10 * MINUTE, HOUR])
def test_a_clock_that_is_put_back_by_an_hour(step: float) -> None:
    """Local time at the end of summer: nothing is alarmed falsely, and a job that ends then is missed."""
    change = START + 6 * DAY + 3 * HOUR
    jobs = mixed(every(step, 12 * DAY), every(30, 12 * DAY, pattern=1), every(step, 6 * DAY + 3 * HOUR, pattern=2))
    local = [(source, pattern, at if at < change else at - HOUR) for source, pattern, at in jobs]
    (alarm,) = feed(RhythmTable(), local)
    assert (alarm.kind, alarm.pattern) == ("silence", 2)
    assert change < alarm.at + HOUR < change + 5 * step + HOUR


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
def test_a_date_that_stays_is_believed_at_the_third_line(jump: float) -> None:
    table = RhythmTable()
    alarms = feed(table, every(30, 6 * HOUR) + every(30, 6 * HOUR, start=START + jump))
    assert names(alarms) == ([("quiet", 0)] if jump > 0 else [])
    assert table.rhythm(BEAT).comings == 2 * 6 * 120 - 2  # type: ignore[union-attr]


@pytest.mark.parametrize("jump", [YEAR, -YEAR, DAY, -DAY, -200.0])
def test_a_jump_of_the_clock_is_one_quiet_alarm_at_most(jump: float) -> None:
    def part(start: float) -> list[Event]:
        return mixed(*(every(step, 5 * HOUR, int(step), start) for step in (10.0, 30.0, 60.0, 300.0, 900.0)))

    for shifts in ([0, jump], [0, jump, 0.0]):
        table = RhythmTable()
        alarms = [feed(table, part(START + n * 5 * HOUR + shift)) for n, shift in enumerate(shifts)]
        assert alarms[0] == []
        later = [one for part in alarms[1:] for one in part]
        assert names(later) == [("quiet", 0)] * (jump > 0 or (len(shifts) == 3 and jump <= -DAY))
        assert all(one.found > 0 and one.at > one.since for one in later)


def test_inputs_may_be_out_of_order_by_seconds() -> None:
    random_ = random.Random(1)
    events = mixed(every(5 * MINUTE, 10 * HOUR), every(7, 10 * HOUR, pattern=1))
    shuffled = [(source, pattern, at + random_.uniform(-20, 20)) for source, pattern, at in events]
    assert feed(RhythmTable(), shuffled) == []


def test_sources_have_clocks_of_their_own_and_share_what_is_usual() -> None:
    table = RhythmTable()
    feed(table, mixed(every(5 * MINUTE, 4 * HOUR), every(20, 4 * HOUR, pattern=1)))
    back = START - YEAR
    events = mixed(every(5 * MINUTE, HOUR, start=back, source="b"), every(20, 3 * HOUR, 1, back, "b"))
    alarms = feed(table, events)
    assert [(one.source, *names([one])[0], one.since) for one in alarms] == [("b", "silence", BEAT, back + 55 * MINUTE)]
    # the other one went on meanwhile
    assert feed(table, mixed(every(5 * MINUTE, HOUR, start=START + 4 * HOUR),
                             every(20, HOUR, 1, START + 4 * HOUR))) == []  # fmt: skip
    assert len(table) == 2


def test_what_comes_far_too_often_is_alarmed_once() -> None:
    table = RhythmTable()
    assert feed(table, mixed(every(20, HOUR), every(7, HOUR, pattern=1))) == []
    begin = START + HOUR
    alarms = feed(table, every(1, 2 * MINUTE, start=begin))
    assert alarms == [Alarm("rate", "a", BEAT, begin + 9, begin, 3.0, 10.0)]
    assert feed(table, every(20, HOUR, start=begin + 2 * MINUTE)) == []
    assert names(feed(table, every(0.5, MINUTE, start=begin + 2 * HOUR))) == [("quiet", 0), ("rate", BEAT)]


def test_nothing_is_alarmed_before_alarming_and_nothing_of_that_time_after() -> None:
    table = RhythmTable()
    steps = (50.0, 60.0, 120.0, 300.0)
    others = every(10, 8 * HOUR, pattern=1)
    events = mixed(*(every(step, 4 * HOUR, pattern=int(step)) for step in steps), others)
    assert feed(table, events, alarming=False) == []
    assert feed(table, every(10, HOUR, pattern=1, start=START + 8 * HOUR)) == []
    again = START + 9 * HOUR
    events = mixed(*(every(step, 2 * HOUR, int(step), again) for step in steps), every(10, 5 * HOUR, 1, again))
    assert sorted(names(feed(table, events))) == [("silence", int(step)) for step in steps]


def test_an_outage_does_not_blind_for_ever() -> None:
    parts = [every(MINUTE, 4 * HOUR), every(MINUTE, 4 * HOUR, start=START + 28 * HOUR)]
    alarms = feed(RhythmTable(), mixed(*parts, every(10, 40 * HOUR, pattern=1)))
    assert names(alarms) == [("silence", BEAT)] * 2
    assert alarms[1].at - START - 32 * HOUR < 10 * MINUTE


def test_patterns_and_sources_are_bounded_and_the_least_recent_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rhythm_table, "_PATTERNS", 16)
    monkeypatch.setattr(rhythm_table, "_LASTS", 64)
    monkeypatch.setattr(rhythm_table, "_WAITING", 16)
    table = RhythmTable(track=True)
    twin = RhythmTable()
    for n in range(3000):
        table.observe(f"source {n % 100}", 1 + n // 9, START + n)
        table.observe("a", BEAT, START + n)
        if n % 7 == 0:
            twin.replay(table.changes())
            assert same(twin, table)
    assert len(table) <= 16
    assert table.rhythm(BEAT) is not None
    assert table.rhythm(1) is None
    assert len(table.dump()) < 64 * 1200 + 16 * 1000


def test_once_or_twice_is_not_worth_a_row() -> None:
    table = RhythmTable()
    feed(table, [("a", pattern, START + pattern / 100) for pattern in range(20_000)])
    assert len(table) == 0
    feed(table, [("a", 5, START + 200 + n) for n in range(3)])
    assert len(table) == 1
    assert table.observe("a", 0, START + 300) == ()


def test_nothing_piles_up_for_changes_that_nobody_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rhythm_table, "_PATTERNS", 16)
    monkeypatch.setattr(rhythm_table, "_WAITING", 16)
    table = RhythmTable()
    feed(table, [(f"source {n % 90}", 1 + n // 9, START + n) for n in range(3000)])
    kept = (table._lasts, table._changed, table._met, table._gone, table._closed, table._touched)
    assert [len(each) for each in kept] == [0] * 6
    assert table.changes() == b""


def test_deadlines_are_bounded_too() -> None:
    table = RhythmTable()
    feed(table, mixed(*(every(step, 30 * HOUR, pattern=int(step)) for step in (20.0, 70.0, 301.0, 1007.0))))
    assert len(table._sources["a"].heap) <= 2 * 4 + 65


def test_what_is_forgotten_is_gone_from_the_next_table_too() -> None:
    table, twin = RhythmTable(track=True), RhythmTable()
    feed(table, mixed(every(5 * MINUTE, 4 * HOUR), every(20, 4 * HOUR, pattern=1), [("a", 9, START + 1)]))
    twin.replay(table.changes())
    assert table.forget([BEAT, 9, 12345]) == 2
    twin.replay(table.changes())
    assert table.rhythm(BEAT) is twin.rhythm(BEAT) is None
    assert same(table, twin)
    assert feed(table, every(20, 4 * HOUR, pattern=1, start=START + 4 * HOUR)) == []


def test_changes_are_rows_and_not_events() -> None:
    table = RhythmTable(track=True)
    assert table.changes() == b""
    feed(table, every(0.1, HOUR))
    changes = table.changes()
    assert len(changes) < 2000
    assert table.changes() == b""
    twin = RhythmTable()
    for _ in range(3):
        twin.replay(changes)
        assert same(table, twin)
    assert same(RhythmTable.load(table.dump()), table)


def same(one: RhythmTable, other: RhythmTable) -> bool:
    """Whether two tables hold the same, in whatever order."""

    slots = ("moment", "clock", "end", "long", "due", "window", "second", "n", "loud", "silent")

    def state(table: RhythmTable) -> object:
        usual = {key: each.packed() for key, each in table._usual.items()}
        sources = {
            name: (
                each.usual.packed(), each.moment, each.end, each.skipped, each.second, each.turn,
                each.held, each.holds, each.was,
                {key: [getattr(last, slot) for slot in slots] for key, last in each.lasts.items()},
            )
            for name, each in table._sources.items()
        }  # fmt: skip
        return usual, sources, list(table._waiting.items()), table._turn

    return state(one) == state(other)


def stream(seed: int, n: int) -> list[Event]:
    """Some of everything: heartbeats that stop, bursts, noise, jumps, several sources."""
    random_ = random.Random(seed)
    moments = {source: START + 1000 * place for place, source in enumerate("abc")}
    events: list[Event] = []
    stopped: set[tuple[str, int]] = set()
    for _ in range(n):
        source = random_.choice("aaab")
        moments[source] += random_.choice((0, 1, 15, 15, 20, 40))
        kind = random_.random()
        if kind < 0.002:
            moments[source] += random_.choice((-YEAR, -DAY, -90, HOUR, DAY, YEAR))
        if kind > 0.99:
            stopped = {(source, random_.randrange(1, 30))}
        at = moments[source]
        for _ in range(30 if kind > 0.995 else 1):
            pattern = random_.randrange(1, 5) if random_.random() < 0.7 else int(random_.paretovariate(0.6))
            if (source, pattern) not in stopped:
                events.append((source, min(pattern, 1 << 60), at + random_.uniform(-3, 3)))
    return events


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3000), min_size=1, max_size=6), st.booleans())
def test_a_table_that_was_cut_and_read_again_says_the_same(seed: int, cuts: list[int], small: bool) -> None:
    events = stream(seed, 1500)
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(rhythm_table, "_PATTERNS", 24)
            patch.setattr(rhythm_table, "_WAITING", 8)
            patch.setattr(rhythm_table, "_SOURCES", 2)
        whole, cut = RhythmTable(), RhythmTable(track=True)
        dump, log = cut.dump(), list[bytes]()
        for place, (begin, end) in enumerate(pairwise([0, *sorted(cut % len(events) for cut in cuts), len(events)])):
            assert feed(whole, events[begin:end]) == feed(cut, events[begin:end])
            log.append(cut.changes())
            if place % 3 == 2:
                dump, log = cut.dump(), []
            cut = RhythmTable.load(dump, track=True)
            for changes in log:
                if changes:
                    cut.replay(changes)
            assert same(whole, cut)


def test_the_stream_of_the_property_has_alarms_of_all_kinds() -> None:
    kinds = {one.kind for seed in range(30) for one in feed(RhythmTable(), stream(seed, 1500))}
    assert kinds == {"silence", "quiet", "rate"}


@given(st.data())
def test_bytes_that_are_no_table_are_told(data: st.DataObject) -> None:
    table = RhythmTable(track=True)
    feed(table, stream(3, 200))
    good = data.draw(st.sampled_from([table.dump(), table.changes()]))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.sampled_from([good[:at], good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]])
        | st.binary(max_size=200)
        | st.binary(max_size=200).map(rhythm_table._sealed)
    )
    with pytest.raises(StoreCorrupt):
        RhythmTable.load(bad)
