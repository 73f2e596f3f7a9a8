# Over 600 lines: a sample from its row to the store, over the same streams and settings.
"""Samples of sensors: rows as events, what a brain makes of them, and what its store keeps of them."""

from __future__ import annotations

import doctest
import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sophia
from sophia import names
from sophia._core.decision import Decision
from sophia.config import Settings
from sophia.errors import ConfigError, InputError, SophiaError, StoreCorrupt
from sophia.hdc.sensor import SensorAnomaly
from sophia.organs import sensors
from sophia.setting_kinds import parse_range
from sophia.store import sensor_table
from sophia.store.pending import Pending
from sophia.store.sensor_table import CHANNELS, Sample, SensorRules, SensorTable
from sophia.stream import course, samples, summary
from sophia.stream.blocks import LineSplitter
from sophia.stream.counts import Counts
from sophia.stream.course import Course
from sophia.stream.event import Event
from sophia.stream.formats import Keys
from sophia.stream.samples import SampleDecoder

DAY = [20.0, 21.0, 22.0, 21.0]
FAST = Settings(sensor_warmup=50, sensor_rest=5, gestation_inputs=10)


def decoded(text: str, counts: Counts | None = None, **keys: Any) -> list[Event]:
    decoder = SampleDecoder("pump.csv", counts or Counts(), Keys(**keys))
    splitter = LineSplitter(1 << 20)
    events = []
    for block in (splitter.feed(text.encode()), splitter.finish()):
        events += decoder.feed(block)
    return events


def values(events: list[Event]) -> list[Any]:
    return [None if event.sample is None else [repr(value) for value in event.sample.values] for event in events]


@pytest.mark.parametrize("module", [course, names, samples, sensors, sensor_table, summary])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_header_names_the_columns() -> None:
    text = "Timestamp,Pump,Temp,label,Flow rate\n2026-01-01 00:00:00,a,20.5,ok,3\n2026-01-01 00:05:00,b,-1e3,bad,\n"
    one, two = decoded(text, sensor=("pump",))
    assert one.sample == Sample("a", ("Temp", "Flow rate"), (20.5, 3.0))
    assert (one.text, one.ts, one.label) == ("a: Temp=20.5 Flow rate=3.0", "2026-01-01 00:00:00", "ok")
    assert (two.line, two.n, two.text) == (3, 2, "b: Temp=-1000.0 Flow rate=")
    assert two.sample is not None
    assert math.isnan(two.sample.values[1])


@pytest.mark.parametrize(
    ("text", "channels", "ts"),
    [
        ("1,2\n", ("value",), "1"),
        ("2026-01-01,2,3\n", ("value1", "value2"), "2026-01-01"),
        ("7.5\n", ("value",), None),
        ("value\n7.5\n", ("value",), None),
        ("a;b\n1,5;2\n", ("a", "b"), None),
        ("\ufefftime\tx\n0\t1\n", ("x",), "0"),
        (",x\nMonday,1\n", ("x",), "Monday"),
        ("when,x\nMonday,1\n", ("x",), "Monday"),
        ("date,x,id,scope\n1,2,n7,ann\n", ("x",), "1"),
        ('"ts","x"\n"1","2"\n', ("x",), "1"),
        ("ts,\n1,2\n", ("column2",), "1"),
        ("2026-03-01 00:00;20,5\n", ("value",), "2026-03-01 00:00"),
        ("t;1,5;2,5\n", ("value1", "value2"), "t"),
        ('time;"a,b,c";x\n0;1;2\n', ("a,b,c", "x"), "0"),
        ("ts,25\n0,1\n", ("25",), "0"),
        (",x\n7,1\n", ("x",), "7"),
        ("Unnamed: 0,x\n7,1\n", ("x",), "7"),
        ("\ufeffINDEX,x\n-7,1\n", ("x",), "-7"),
        (",ts,x\n7,2026-03-01,1\n", ("x",), "2026-03-01"),
        ("index,x\n7.5,1\n", ("index", "x"), None),
        ("x,index\n1,7\n", ("x", "index"), None),
        ("index\n7\n", ("index",), None),
        ("ts,x,x,x (2)\n0,1,2,3\n", ("x", "x (3)", "x (2)"), "0"),
    ],
)
def test_columns_are_found(text: str, channels: tuple[str, ...], ts: str | None) -> None:
    counts = Counts()
    (event,) = decoded(text, counts)
    assert event.invalid is None
    assert event.sample is not None
    assert (event.sample.channels, event.ts) == (channels, ts)
    assert event.sample.sensor == "pump.csv"
    assert counts.header == text.count("\n") - 1


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("Date;Time;volt\n16/12/2006;17:24:00;?\n16/12/2006;;1\n", ["16/12/2006 17:24:00", "16/12/2006"]),
        ("volt,time,date\n1,17:24,2006-12-16\n2,17:25,\n", ["2006-12-16 17:24", None]),
        ("Datum;Uhrzeit;volt\n16.12.2006;17.24.00;1\n;17.25.00;1\n", ["16.12.2006 17.24.00", None]),
        ("uhrzeit,volt\n17:24,1\n", ["17:24"]),
        ("datum,volt\n16.12.2006,1\n", ["16.12.2006"]),
        (
            "date,time,volt\n2024-01-01 10:00:00,10:00:00,1\n2024-01-02,10:01,1\n",
            ["2024-01-01 10:00:00", "2024-01-02 10:01"],
        ),
        ("date,time,volt\n2024-01-01T10:00Z,10:00:00,1\n", ["2024-01-01T10:00Z"]),
        ("date,time,volt\n2024-01-01,,1\n2024-01-02,10:01,1\n", ["2024-01-01", "2024-01-02 10:01"]),
        ("date,time,volt\n2024-01-01,3,1\n2024-01-02,4.5,1\n", ["2024-01-01", "2024-01-02"]),
        ("date,time,volt\n2024-01-01,?,1\n", ["2024-01-01"]),
        ("ts,date,time,volt\nnow,1,2,3\n", ["now"]),
        ("day,volt\nmonday,1\n,2\n", ["monday", None]),
        (",volt\n,1\nb,2\n", [None, "b"]),
        (",1\nb,2\n", [None, "b"]),
    ],
)
def test_the_time_of_a_row(text: str, times: list[str | None]) -> None:
    events = decoded(text)
    assert [event.ts for event in events] == times
    assert {event.invalid for event in events} == {None}
    channels = {event.sample.channels for event in events if event.sample}
    assert channels <= {("volt",), ("value",), ("date", "time", "volt")}


def test_an_index_that_is_named_as_something_else_is_no_time() -> None:
    (event,) = decoded("index,x\n7,1\n", value=("Index",))
    assert event.sample is not None
    assert (event.ts, event.sample.channels) == (None, ("index",))
    (event,) = decoded("index,x\n7,1\n", sensor=("index",))
    assert event.sample == Sample("7", ("x",), (1.0,))
    (event,) = decoded("sensor,x\npump,1\n")
    assert (event.ts, event.sample) == (None, Sample("pump", ("x",), (1.0,)))


def test_a_column_of_values_is_no_clock() -> None:
    (event,) = decoded("date,time,volt\n2024-01-01,3.5,2\n", value=("Time",))
    assert event.sample is not None
    assert (event.ts, event.sample.channels, event.sample.values) == ("2024-01-01", ("time",), (3.5,))


def test_a_successor_knows_the_column_of_the_clock() -> None:
    one, two = (SampleDecoder("pump.csv", Counts(), Keys()) for _ in range(2))
    splitter = LineSplitter(1 << 20)
    one.feed(splitter.feed(b"date,time,volt\n2026-01-01,10:00,1\n"))
    two.adopt_header(one)
    (event,) = two.feed(splitter.feed(b"2026-01-01,11:00,2\n"))
    assert (event.ts, event.invalid) == ("2026-01-01 11:00", None)


def test_named_columns_are_the_channels() -> None:
    (event,) = decoded("ts,x,status,y\n0,1,ok,2\n", value=("Y", "x"))
    assert event.sample is not None
    assert (event.sample.channels, event.sample.values) == (("y", "x"), (2.0, 1.0))


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("ts,x,status\n0,1,ok\n", {}, r"pump.csv:2: column 'status' holds 'ok', no number; --value-key NAME"),
        ("ts,x\n0,1\n", {"value": ("z",)}, r"there is no column 'z'; .* of ts, x"),
        ("ts,id\n0,n1\n", {}, "no column of numbers"),
        ('{"a": 1}\n', {}, "this is JSON; --format sensor reads CSV"),
        ("ts,x\rab", {}, "CR alone"),
        ("ts," + ",".join(f"x{i}" for i in range(CHANNELS + 1)) + "\n0" + ",1" * (CHANNELS + 1), {}, "more than 1,024"),
    ],
)
def test_a_table_that_is_none(text: str, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        decoded(text, **keys)


@pytest.mark.parametrize("gap", ["", " ", "NaN", "nan", "NA", "N/A", "#N/A", "#na", "n.a.", "null", "None", "-"])
def test_gaps(gap: str) -> None:
    events = decoded(f"ts,x,y\n0,1,2\n1,{gap},2\n2,2,{gap}\n")
    assert [event.invalid for event in events] == [None] * 3
    assert values(events) == [["1.0", "2.0"], ["nan", "2.0"], ["2.0", "nan"]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,x,2", "not-a-number"),
        ("1,inf,2", "not-a-number"),
        ("1,-Infinity,2", "not-a-number"),
        ("1,1e999,2", "not-a-number"),
        ("1,1_000,2", "not-a-number"),
        ("1,0x10,2", "not-a-number"),
        ("1,2,3,4", "not-csv"),
        ("1", "not-csv"),
        ("1;2;3", "not-csv"),
        ('1,"2,3', "not-csv"),
        ("1,\0,2", "nul"),
    ],
)
def test_a_row_that_is_none_is_a_gap_and_told(row: str, reason: str) -> None:
    counts = Counts()
    events = decoded(f"ts,x,y\n0,1,2\n{row}\n2,1,2\n", counts)
    assert [event.invalid for event in events] == [None, reason, None]
    assert values(events)[1] == ["nan", "nan"]
    assert counts.bad == {reason: 1}


def test_a_header_again_is_no_row_and_may_change_the_order() -> None:
    counts = Counts()
    events = decoded("ts,a,b\n0,1,2\n\ufeffts,a,b\n1,3,4\nts,b,a\n2,6,5\n", counts)
    assert [event.sample.channels for event in events if event.sample] == [("a", "b")] * 2 + [("b", "a")]
    assert values(events)[2] == ["6.0", "5.0"]
    assert (counts.header, counts.bad) == (3, {})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ts,v\n1,1\n2,2\nts,w\n3,500\n", [("v",), ("v",), ("w",)]),
        ("ts,v\n1,1\nTimestamp,v,w\n3,1,2\n4,1,2\nts,v\n5,1\n", [("v",), ("v", "w"), ("v", "w"), ("v",)]),
        ("x,v\n1,1\ndate,time,w\n2026-01-01,10:00,2\n", [("x", "v"), ("w",)]),
        ("0,1\nts,w\n1,2\n", [("value",), ("w",)]),
        (",v\n0,1\nts,w\n1,2\n", [("v",), ("w",)]),
    ],
)
def test_a_header_of_other_names_begins_other_channels(text: str, found: list[tuple[str, ...]]) -> None:
    counts = Counts()
    events = decoded(text, counts)
    assert [event.sample.channels for event in events if event.sample] == found
    assert {event.invalid for event in events} == {None}
    assert counts.header == text.count("\n") - len(found)


@pytest.mark.parametrize("rest", [b"", b"5,6\n"])
def test_what_stands_before_a_header_that_is_refused_is_handed_out(rest: bytes) -> None:
    decoder, splitter = SampleDecoder("pump.csv", Counts(), Keys()), LineSplitter(99)
    events = decoder.feed(splitter.feed(b"ts,v\n1,1\nts,state\n2,ok\n3,4\n"))
    assert values(events) == [["1.0"]]
    with pytest.raises(InputError, match=r"pump.csv:4: column 'state' holds 'ok', no number"):
        decoder.feed(splitter.feed(rest)) if rest else decoder.finish()


def test_a_row_that_only_begins_like_a_header_is_none() -> None:
    events = decoded("ts,v\n1,1\nts,2\ntime,2026-01-01\nts\nstate,ok\n")
    assert [event.invalid for event in events] == [None, None, "not-a-number", "not-csv", "not-a-number"]
    assert {event.sample.channels for event in events if event.sample} == {("v",)}


def test_names_are_bounded_and_the_sensor_can_be_named() -> None:
    (event,) = decoded(f"ts,{'C' * 5000},sensor\n0,1,{'S' * 5000}\n")
    assert event.sample is not None
    assert [len(name) for name in (event.sample.sensor, *event.sample.channels)] == [256, 256]
    (event,) = decoded("ts,x\n0,1\n", named="pump")
    assert event.sample is not None
    assert event.sample.sensor == "pump"
    many = decoded("ts," + ",".join(f"x{i}" for i in range(CHANNELS)) + "\n0" + ",1" * CHANNELS + "\n")[0]
    assert many.text is not None
    assert many.text.endswith("x63=1.0 and 960 more")


@pytest.mark.parametrize("name", ["sensor", "Device", "machine", "sensor_id", "DEVICE_ID", "machine_id"])
def test_usual_names_of_the_column_of_the_sensor(name: str) -> None:
    (event,) = decoded(f"ts,x,{name}\n0,1,7\n")
    assert event.sample == Sample("7", ("x",), (1.0,))
    (event,) = decoded("ts,x,sensor_id,sensor\n0,1,7,pump\n", value=("x",))
    assert event.sample == Sample("pump", ("x",), (1.0,))


@pytest.mark.parametrize("given", ["sensor", "label", "scope"])
def test_a_column_that_is_named_must_be_there(given: str) -> None:
    with pytest.raises(InputError, match=f"there is no column 'pump'; --{given}-key NAME says .*, of ts, x"):
        decoded("ts,x\n0,1\n", **{given: ("pump",)})
    with pytest.raises(InputError, match=f"there is no column 'a' or 'b'; --{given}-key NAME"):
        decoded("ts,x\n0,1\n", **{given: ("a", "b")})


def test_columns_of_values_that_are_named_at_once() -> None:
    words = "there is no column 'x,y'; give the flag for each: --value-key x and --value-key y; --value-key NAME says"
    with pytest.raises(InputError, match=words):
        decoded("ts,x,y\n0,1,2\n", value=("x,y",))
    (event,) = decoded('ts,"x,y"\n0,1\n', value=("x,y",))
    assert event.sample is not None
    assert event.sample.channels == ("x,y",)


def test_the_same_header_again_is_no_row() -> None:
    counts = Counts()
    assert len(decoded("ts,x\n0,1\n\nts,x\n1,2\n", counts)) == 2
    assert (counts.header, counts.blank, counts.lines, counts.events) == (2, 1, 5, 2)


def test_a_successor_goes_on_under_the_header_unless_it_has_its_own() -> None:
    first = SampleDecoder("a", Counts(), Keys())
    assert not first.has_header
    first.feed(LineSplitter(99).feed(b"time,x,y\n0,1,2\n"))
    assert first.has_header
    for rows, channels in (
        (b"1,2,3\n", ("x", "y")),
        (b"time,x,y\n1,2,3\n", ("x", "y")),
        (b"time,z\n1,2\n", ("z",)),
        (b"time;z\n1;2\n", ("z",)),
        (b"time,x,y\n1,err,3\n", ("x", "y")),
        (b"2026-01-01,err,3\n", ("x", "y")),
    ):
        after = SampleDecoder("a", Counts(), Keys())
        after.adopt_header(first)
        (event,) = after.feed(LineSplitter(99).feed(rows))
        assert event.sample is not None
        assert event.sample.channels == channels
    after = SampleDecoder("a", Counts(), Keys())
    after.adopt_header(first)
    with pytest.raises(InputError, match="this is JSON"):
        after.feed(LineSplitter(99).feed(b'{"a": 1}\n'))
    bare = SampleDecoder("a", Counts(), Keys())
    bare.feed(LineSplitter(99).feed(b"time,x,y\n"))
    assert bare.has_header
    after = SampleDecoder("a", Counts(), Keys())
    after.adopt_header(bare)
    (event,) = after.feed(LineSplitter(99).feed(b"1,2,3\n"))
    assert event.sample is not None
    assert event.sample.channels == ("x", "y")


@given(st.floats(allow_infinity=False), st.floats(allow_infinity=False))
def test_every_number_is_read_as_it_is(x: float, y: float) -> None:
    (event,) = decoded(f"ts,x,y\n0,{x!r},{y!r}\n")
    assert values([event]) == [[repr(x), repr(y)]]


@given(st.lists(st.tuples(st.integers(1, 900), st.floats(-9, 9), st.booleans()), max_size=60))
def test_a_course_has_the_ends_of_each_stretch(steps: list[tuple[int, float, bool]]) -> None:
    made, place = Course(), -1
    taken: list[tuple[int, float]] = []
    marks: list[tuple[int, float]] = []
    for step, value, mark in steps:
        place += step
        made.add(place, value, mark=mark)
        taken.append((place, value))
        marks += [(place, value)] * mark
    assert len(made.rows) <= 128
    assert len(made.edges()) == len(made.rows) + 1
    for number, row in enumerate(made.rows):
        inside = [value for at, value in taken if at // made.width == number]
        assert row == ((min(inside), max(inside)) if inside else None)
    assert (made.marks, made.marked) == (marks, len(marks))


def table(track: bool = False, **rules: Any) -> SensorTable:
    return SensorTable(SensorRules(**{"warmup": 20, "rest": 3, **rules}), track=track)


def stream(seed: int, count: int) -> list[tuple[str, Sample]]:
    draw = random.Random(seed)

    def number() -> float:
        return math.nan if draw.random() < 0.02 else draw.choice(DAY) + 40 * (draw.random() < 0.02)

    made = []
    for name in draw.choices("ab", k=count):
        channels = ("x", "y")[: 1 + (name == "b")]
        made.append((draw.choice(["s", ""]), Sample(name, channels, tuple(number() for _ in channels))))
    return made


def observe(made: SensorTable, some: list[tuple[str, Sample]]) -> list[Any]:
    return made.observe_many([scope for scope, _ in some], [sample for _, sample in some])


def test_a_table_scores_as_its_sensors_alone() -> None:
    some = stream(1, 900)
    found = observe(table(), some)
    assert sum(reading.score >= 0.75 for reading in found) > 5
    for key in {(scope, sample.sensor) for scope, sample in some}:
        own = [i for i, (scope, sample) in enumerate(some) if (scope, sample.sensor) == key]
        alone = SensorAnomaly(len(some[own[0]][1].values), warmup=20, rest=3)
        scores = alone.score_channels([some[i][1].values for i in own])
        assert [found[i].score for i in own] == scores.max(axis=1).tolist()
        assert [found[i].told for i in own] == (alone.rested(scores.max(axis=1)) >= alone.alarm).tolist()
        assert all(
            found[i].channel == (("x", "y")[int(row.argmax())] if row.any() else None)
            for i, row in zip(own, scores, strict=True)
        )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.lists(st.integers(0, 300), max_size=5), st.booleans())
def test_cut_logged_and_dumped_it_is_the_same(seed: int, cuts: list[int], dumps: bool) -> None:
    some = stream(seed, 300)
    whole, cut, copy = table(), table(track=True), table()
    expected = observe(whole, some)
    found: list[Any] = []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 300], strict=True):
        found += observe(cut, some[start:end])
        copy.replay(changes) if (changes := cut.changes()) else None
        if dumps:
            cut = SensorTable.load(cut.dump(), track=True)
            cut.rules = whole.rules
    assert found == expected
    assert whole.dump() == cut.dump() == copy.dump()
    assert cut.changes() == b""


def test_room_is_made_by_who_was_silent_longest_however_it_is_cut() -> None:
    wide = tuple(f"x{i}" for i in range(400))
    some = [("", Sample(name, wide, (float(i),) * 400)) for i, name in enumerate("abcabdacbbad")]
    once, single = table(), table()
    observe(once, some)
    for one in some:
        observe(single, [one])
    assert once.dump() == single.dump()
    assert (len(once), once.channels) == (2, 800)
    assert once.let_go == single.let_go > 4
    assert once.forget("") == 2
    assert once.channels == 0


def test_another_given_range_begins_anew_and_other_rules_go_on() -> None:
    made = table(ranges=(("x", 0.0, 100.0),))
    some = [("", Sample("a", ("x",), (value,))) for value in DAY * 10]
    observe(made, some)
    made.rules = made.rules._replace(rest=0, alarm=0.5)
    before = observe(made, some[:4])
    assert all(reading.score < 0.3 for reading in before)
    made.rules = made.rules._replace(ranges=(("", 0.0, 100.0),))
    assert all(0 < reading.score < 0.3 for reading in observe(made, some[:4]))  # the same for x
    made.rules = made.rules._replace(ranges=(("x", 0.0, 50.0),))
    assert [reading.score for reading in observe(made, some[:4])] == [0.0] * 4  # warming up
    assert len(made) == 1


def test_a_rest_that_was_made_shorter_can_be_kept() -> None:
    made = table(rest=1000)
    some = [("", Sample("a", ("x",), (value,))) for value in [*DAY * 10, 90.0]]
    observe(made, some)
    made.rules = made.rules._replace(rest=3)
    again = SensorTable.load(made.dump())
    again.rules = made.rules
    usual = [("", Sample("a", ("x",), (20.0,)))] * 3
    assert observe(again, usual) == observe(made, usual)
    assert again.dump() == made.dump()


def test_users_are_told_what_was_not_judged() -> None:
    settings = Settings(sensor_warmup=100, sensor_range=("nosuch=0:1", "x=0:9", "0:5"))
    made = sensors.Sensors(settings, lambda _: None, None, track=False)
    assert made.notes() == ["no sensor has a channel 'nosuch', 'x', for which a range is given"]
    observe(made.table, [("", Sample("a", ("x",), (1.0,)))] * 40)
    observe(made.table, [("", Sample("b", ("x",), (1.0,)))] * 100)
    assert "nosuch" in made.notes()[1]
    assert made.notes()[0].startswith("1 sensor is still warming up, and nothing was judged of it: up to 60 samples")
    for i in range(CHANNELS):
        observe(made.table, [("", Sample(f"c{i}", ("x",), (1.0,)))])
    assert any("had to make room" in note for note in made.notes())


@pytest.mark.parametrize(
    ("ranges", "numbers", "told"),
    [
        (("pm25=-5:5",), [7.0] * 2000, ["all 2,000 samples of 'pm25' are outside the range -5:5 that is given"]),
        (("0:0.5",), [math.nan, -1.0, 0.6], ["all 2 samples of 'pm25' are outside the range 0:0.5 that is given"]),
        (("0:1234567.5",), [-1.0], ["the only sample of 'pm25' is outside the range 0:1234567.5 that is given"]),
        (("pm25=-5:5",), [*[7.0] * 2000, 5.0, 7.0], []),
        (("pm25=-5:5",), [math.nan], []),
        (("0:9", "pm25=5:9"), [5.0], []),
        ((), [5.0], []),
    ],
)
@pytest.mark.parametrize("batch", [1, 300])
@pytest.mark.parametrize("learn", [True, False])
def test_a_range_in_which_nothing_lies_is_told(
    ranges: tuple[str, ...], numbers: list[float], told: list[str], batch: int, learn: bool
) -> None:
    made = sensors.Sensors(Settings(sensor_range=ranges), lambda _: None, None, track=False)
    some = [Sample("a", ("pm25",), (number,)) for number in numbers]
    observe(made.table, [("", some[0])])
    for start in range(1, len(some), batch):
        part = some[start : start + batch]
        (made.table.observe_many if learn else made.table.score_many)([""] * len(part), part)
    assert [note for note in made.notes() if "warming" not in note] == [f"{words} (--sensor-range)" for words in told]


def test_ranges_in_which_nothing_lies_are_told_of_eight_channels() -> None:
    made = sensors.Sensors(Settings(sensor_range=("0:1",)), lambda _: None, None, track=False)
    for number in range(2):
        names = tuple(f"x{i}" for i in range(number * 700, number * 700 + 700))
        observe(made.table, [("", Sample("a", names, (2.0,) * 700))])
    notes = made.notes()
    assert sum("the only sample of 'x" in note for note in notes) == 8
    assert "of 1,016 more channels no sample is within the range that is given" in notes


@pytest.mark.parametrize(("ranges", "told"), [((), 1), (("y=0:9",), 1), (("x=0:99",), 0), (("0:99",), 0)])
def test_anomalies_under_a_range_that_was_learned_are_told(ranges: tuple[str, ...], told: int) -> None:
    given = Settings(sensor_warmup=50, sensor_rest=5, gestation_inputs=10, sensor_range=ranges)
    with sophia.open(None, settings=given) as brain:
        sense(brain, [*DAY * 20, 45.0])
        notes = [note for note in brain.thalamus.sensors.notes() if "learned" in note]
    assert len(notes) == told
    assert all(note.startswith("1 of the anomalies is of a channel whose range was") for note in notes)
    assert all("it means little" in note for note in notes)


def test_notes_of_one_and_of_several() -> None:
    made = sensors.Sensors(Settings(sensor_warmup=100), lambda _: None, None, track=False)
    made._guessed, made.table.let_go = 1, 1
    observe(made.table, [("", Sample("a", ("x",), (1.0,)))] * 99)
    warming, guessed, room = made.notes()
    assert warming.startswith("1 sensor is still warming up, and nothing was judged of it: up to 1 sample is missing")
    assert guessed.startswith("1 of the anomalies is of a channel")
    assert room.startswith("once a sensor had to make room")
    made._guessed, made.table.let_go = 2000, 2000
    observe(made.table, [("", Sample("b", ("x",), (1.0,)))])
    warming, guessed, room = made.notes()
    assert warming.startswith("2 sensors are still warming up, and nothing was judged of them: up to 99 samples are")
    assert guessed.startswith("2,000 of the anomalies are of channels whose range was learned from the first samples:")
    assert room.startswith("2,000 times a sensor had to make room")


def counted(found: list[tuple[str, float]], scope: str = "", batch: int = 4096) -> summary.Summary:
    """A summary of samples that were so unusual, by sensor."""
    made = summary.Summary()
    for start in range(0, len(found), batch):
        events, decisions = [], []
        for n, (name, score) in enumerate(found[start : start + batch], start + 1):
            events.append(Event(n, "all.csv", n, "x=1.0", scope, sample=Sample(name, ("x",), (1.0,))))
            decisions.append(SimpleNamespace(
                sensor=name, anomaly=score, resting=False, scope=scope, channel="x", n=n, ts=None,
            ))  # fmt: skip
        made._add_samples(events, decisions)  # type: ignore[arg-type]
    return made


def by_sensor(made: summary.Summary) -> dict[str, dict[str, int]]:
    found: Any = made.as_dict()["sensors"]
    return found["by_sensor"]  # type: ignore[no-any-return]


def test_a_noisy_sensor_does_not_hide_the_others() -> None:
    made = counted([*[("noisy", 1.0)] * 50, *[(name, 1.0) for name in "abcdefghijklmnopqrs"]])
    assert [one.sensor for one in made.first_anomalies] == [*["noisy"] * 5, *"abcdefghijklmno"]
    assert by_sensor(made)["noisy"] == {"samples": 50, "anomalies": 50}
    assert by_sensor(counted([("ann's pump", 1.0)], scope="ann")) == {}


def test_counts_by_sensor_are_bounded() -> None:
    found = [(f"s{i}", 0.0) for i in range(9000)]
    for i in range(0, 9000, 60):
        found[i] = (f"odd{i % 120}", 1.0)
    made = counted(found)
    assert len(made._sensors) <= 2048
    assert len(by_sensor(made)) == 100
    assert list(by_sensor(made).items())[:2] == [
        ("odd0", {"samples": 75, "anomalies": 75}),
        ("odd60", {"samples": 75, "anomalies": 75}),
    ]
    assert by_sensor(counted(found, batch=7)) == by_sensor(made)


def test_of_a_long_name_the_end_is_shown() -> None:
    long = "plant/" * 40 + "pump 12\x1b"
    words = summary.anomaly_words(summary.Anomaly(1, "all.csv", 2, None, long, "x", 1.0, 1.0))
    assert words.startswith("all.csv:2: \u2026")
    assert words.endswith("/pump 12\ufffd: x is 1 (score 1.00)")
    assert len(words) < 130


def test_scoring_learns_nothing() -> None:
    made = table(track=True)
    some = [("", Sample("a", ("x",), (value,))) for value in DAY * 10]
    strange = [("", Sample("new", ("x",), (1.0,)))]
    observe(made, some)
    made.changes()
    scored = made.score_many(["", ""], [Sample("a", ("x",), (70.0,)), strange[0][1]])
    assert [reading.score for reading in scored] == [1.0, 0.0]
    assert len(made) == 1
    assert made.changes() == b""


@pytest.mark.parametrize("what", ["dump", "changes"])
def test_damaged_bytes_are_refused(what: str) -> None:
    made = table(track=True)
    observe(made, stream(1, 60))
    whole = made.dump() if what == "dump" else made.changes()

    def take(data: bytes) -> None:
        SensorTable.load(data) if what == "dump" else table().replay(data)

    take(whole)
    for cut in range(0, len(whole), 5):
        with pytest.raises(StoreCorrupt, match="of the sensors cannot be read"):
            take(whole[:cut])
    with pytest.raises(StoreCorrupt):
        take(whole + b"\0" * 8)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x15
        try:
            take(bytes(damaged))
        except SophiaError:
            continue


def test_a_pending_record_keeps_samples_and_ranges() -> None:
    sample = Sample("a", ("x",), (math.nan,))
    columns = {"texts": ["x="] * 2, "samples": [sample, None], "lines": [True, True]}
    kept = Pending(1, 1, 0.0, columns, settings={"sensor_range": ("0:1",)})
    found = Pending.unpack(kept.pack())
    assert str(found.columns["samples"]) == str([sample, None])
    assert found.settings == {"sensor_range": ("0:1",)}
    whole = kept.pack()
    size = int.from_bytes(whole[:4], "little")
    head = json.loads(whole[4 : 4 + size])
    for bad in (["a", 0, []], ["a", 0, [None]], [1, 0, [1]], ["a", 1, [1]], ["a", "x", [1]], ["a", 0, [1, 2]], 7):
        text = json.dumps(head | {"samples": [[["x"]], [bad, None]]}).encode()
        with pytest.raises(StoreCorrupt):
            Pending.unpack(len(text).to_bytes(4, "little") + text + whole[4 + size :])
    many = Pending(1, 1, 0.0, {"texts": ["x"] * 99, "samples": [Sample("a", ("x" * 200,), (1.0,))] * 99})
    assert len(many.pack()) < 4000


def sense(brain: sophia.Sophia, numbers: list[float], sensor: str = "a", **more: Any) -> list[Decision]:
    return [brain.sense({"x": number}, sensor=sensor, **more) for number in numbers]


def test_an_unusual_number_is_thought_about() -> None:
    with sophia.open(None, settings=FAST) as brain:
        usual = sense(brain, DAY * 20)
        (odd,) = sense(brain, [45.0])
        rest = sense(brain, [20.0, 46.0])
    assert {one.route for one in usual[20:]} == {"reflex"}
    assert (odd.route, odd.why, odd.verdict, odd.novelty, odd.anomaly) == ("deep_thought", "novel", "allow", 1.0, 1.0)
    assert (odd.sensor, odd.channel, odd.text) == ("a", "x", "a: x=45.0")
    assert [(one.route, one.resting) for one in [odd, *rest]] == [
        ("deep_thought", False), ("deep_thought", True), ("deep_thought", True),
    ]  # fmt: skip
    assert rest[1].anomaly is not None
    assert rest[1].anomaly >= 0.75
    assert odd.to_dict()["anomaly"] == 1.0
    import pickle

    assert pickle.loads(pickle.dumps(odd)) == odd


def test_a_store_goes_on_with_its_sensors(tmp_path: Path) -> None:
    numbers = [*DAY * 20, 45.0, *DAY * 5, 60.0, *DAY]
    with sophia.open(None, settings=FAST) as brain:
        expected = [(one.anomaly, one.route) for one in sense(brain, numbers)]
    found: list[Any] = []
    for start in range(0, len(numbers), 17):
        with sophia.open(tmp_path / "s", settings=FAST) as brain:
            found += [(one.anomaly, one.route) for one in sense(brain, numbers[start : start + 17])]
    assert found == expected


def test_a_crystalline_brain_scores_and_learns_nothing(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "s", settings=FAST.with_changes(sensor_rest=0)) as brain:
        sense(brain, DAY * 20)
        brain.crystallise()
        for _ in range(3):
            assert [one.anomaly for one in sense(brain, [90.0])] == [1.0]
        before = brain.thalamus.dump("sensors")
        assert sense(brain, [1.0], sensor="b")[0].anomaly == 0.0
        brain.liquefy()
        assert brain.thalamus.dump("sensors") == before
        assert sense(brain, [90.0])[0].anomaly == 1.0
        assert sense(brain, [90.0])[0].anomaly < 1.0


def test_a_stored_answer_is_withheld_from_an_unusual_sample() -> None:
    with sophia.open(None, settings=FAST.with_changes(sensor_rest=0, audit=1.0)) as brain:
        sense(brain, DAY * 20)
        (odd,) = sense(brain, [45.0])
        assert brain.complete(odd, answer="Open the valve.")
        sense(brain, [18.0])  # after which it never came
        again = sense(brain, [45.0])[0]
        assert (again.route, again.answer, again.withheld, again.audit) == ("deep_thought", None, True, False)
        assert brain.audit.open == 0
        for _ in range(30):
            sense(brain, [45.0])
        served = sense(brain, [45.0])[0]
        assert (served.answer, served.why) == ("Open the valve.", "repeat")


def test_a_name_that_a_danger_rule_hits_blinds_nobody() -> None:
    with sophia.open(None, settings=FAST) as brain:
        usual = [brain.sense({"out of memory": x}) for x in DAY * 20]
        odd = brain.sense({"out of memory": 45.0})
    assert {one.why for one in usual} == {"danger"}
    assert (odd.verdict, odd.anomaly, odd.channel) == ("flag", 1.0, "out of memory")


def test_scopes_do_not_share_what_is_usual() -> None:
    with sophia.open(None, settings=FAST) as brain:
        for _ in range(60):
            sense(brain, [20.0], scope="ann")
            sense(brain, [90.0], scope="bob")
        assert sense(brain, [90.0], scope="ann")[0].anomaly == 1.0
        assert sense(brain, [90.0], scope="bob")[0].anomaly < 0.2  # type: ignore[operator]


def test_forgetting_a_scope_forgets_its_sensors(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "s", settings=FAST) as brain:
        sense(brain, DAY * 20, scope="ann", sensor="secret-pump")
        sense(brain, DAY * 20, scope="bob", sensor="plain-pump")
    seen = b"".join(path.read_bytes() for path in (tmp_path / "s").iterdir() if path.is_file())
    assert b"secret-pump" in seen
    done = sophia.forget_scope(tmp_path / "s", "ann")
    assert done.sensors == 1
    seen = b"".join(path.read_bytes() for path in (tmp_path / "s").iterdir() if path.is_file())
    assert b"secret-pump" not in seen
    with sophia.open(tmp_path / "s", settings=FAST) as brain:
        assert len(brain.thalamus.sensors.table) == 1
        assert sense(brain, [90.0], scope="bob", sensor="plain-pump")[0].anomaly == 1.0


@pytest.mark.parametrize(
    "bad", [float("inf"), -float("inf"), "7", None, [1], 10**400, pytest.param(10**5000, id="huge")]
)
def test_what_is_no_number_is_refused_and_nothing_learned(bad: Any) -> None:
    with sophia.open(None, settings=FAST) as brain:
        with pytest.raises(ValueError, match=r"channel 'x' is .* finite number, or NaN"):
            brain.sense({"x": bad})
        for strange in ({}, [1.0], {1: 2.0}):
            with pytest.raises(TypeError):
                brain.sense(strange)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="half a surrogate"):
            brain.sense({"\ud800": 1.0})
        with pytest.raises(TypeError, match="ts takes a str, not int"):
            brain.sense({"x": 1.0}, ts=5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="over the bound"):
            brain.sense({str(i): 1.0 for i in range(CHANNELS + 1)})
        assert not brain.thalamus.has_sensors


def test_names_of_other_classes_of_text_are_names() -> None:
    np = pytest.importorskip("numpy")
    with sophia.open(None, settings=FAST) as brain:
        found = [brain.sense({np.str_("x"): x}, sensor=np.str_("pump")) for x in [*DAY * 20, 45.0]]
    assert (type(found[-1].sensor), type(found[-1].channel)) == (str, str)


def test_settings_of_sensors() -> None:
    for good, found in (("0:1", ("", 0.0, 1.0)), ("a=b=-1:1e3", ("a=b", -1.0, 1000.0))):
        assert parse_range(good) == found
    for bad in ("", "1", "1:1", "2:1", "nan:1", "0:inf", "-1e308:1e308", "=0:1", "a=0", "0:1:2", "0:1_0", 7):
        with pytest.raises(ValueError, match="is no range; write LOW:HIGH"):
            parse_range(bad)
    for name, value in (
        ("sensor_range", ("x",)),
        ("sensor_range", "0:1"),
        ("sensor_warmup", 1),
        ("sensor_rest", -1),
        ("sensor_alarm", 0.0),
        ("sensor_alarm", 1.1),
    ):
        with pytest.raises(ConfigError, match=name):
            Settings(**{name: value})
