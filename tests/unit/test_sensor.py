"""Anomalies of sensors: counts of runs of levels as a plain dictionary has them, and what a stream makes of them."""

from __future__ import annotations

import doctest
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia._core import runs
from sophia._core.runs import RunCounts
from sophia.errors import ShapeError, StoreCorrupt
from sophia.hdc import sensor
from sophia.hdc.sensor import SensorAnomaly

NUMBERS = st.floats(-10, 20, allow_nan=False)


def counted(values: list[float], levels: int, longest: int, low: float, high: float) -> list[float]:
    """The oracle: a dictionary of tuples."""
    seen: Counter[tuple[int, ...]] = Counter()
    line: list[int] = []
    scores = []
    step = levels / (high - low)
    for value in values:
        line.append(min(levels - 1, max(0, int((value - low) * step) if (value - low) * step > 0 else 0)))
        tails = [tuple(line[-k:]) for k in range(1, min(longest, len(line)) + 1)]
        total = 0.0
        for tail in tails:
            total += 1.0 / (1.0 + seen[tail])
        scores.append(total / len(tails))
        seen.update(tails)
    return scores


@pytest.mark.parametrize("module", [runs, sensor])
def test_examples(module: Any) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 1
    assert results.failed == 0


@settings(max_examples=200)
@given(st.lists(NUMBERS, max_size=60), st.integers(2, 12), st.integers(1, 5))
def test_counts_are_those_of_a_dictionary(values: list[float], levels: int, longest: int) -> None:
    made = RunCounts(levels, longest, 0.0, 10.0)
    expected = counted(values, levels, longest, 0.0, 10.0)
    assert made.add_many(np.array(values)).tolist() == expected
    single = RunCounts(levels, longest, 0.0, 10.0)
    assert [single.add(value) for value in values] == expected


def test_counts_go_on_after_a_dump() -> None:
    draw = np.random.default_rng(0)
    made, again = RunCounts(6, 3, 0.0, 1.0), RunCounts(6, 3, 0.0, 1.0)
    made.add_many(draw.uniform(size=500))
    again.restore(made.dump())
    more = draw.uniform(size=500)
    assert (made.add_many(more) == again.add_many(more)).all()
    whole = made.dump()
    for data in (
        b"",
        whole[:-1],
        whole + b"\0",
        (9).to_bytes(8, "little") + whole[8:],
        whole[:8] + b"\xff" * 8 + whole[16:],
    ):
        with pytest.raises(ValueError, match="are no counts of 6 levels and runs of 3"):
            again.restore(data)
    assert again.dump() == whole


def test_a_pause_ends_the_run() -> None:
    made = RunCounts(4, 2, 0.0, 4.0)
    assert [made.add(0), made.add(1)] == [1.0, 1.0]
    made.pause()
    assert made.add(1) == 0.5  # the level alone was seen once; no pair ends here
    assert (made.levels, made.longest, made.range) == (4, 2, (0.0, 4.0))


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ((1, 2, 0.0, 1.0), "levels is 1"),
        ((8.0, 2, 0.0, 1.0), "levels is 8.0"),
        ((8, 0, 0.0, 1.0), "longest is 0"),
        ((8, 9, 0.0, 1.0), "longest is 9"),
        ((4096, 3, 0.0, 1.0), "68719476736 runs are more than 16777216"),
        ((8, 2, 1.0, 1.0), "high the larger"),
        ((8, 2, 0.0, float("inf")), "must be finite"),
        ((8, 2, float("nan"), 1.0), "must be finite"),
    ],
)
def test_counts_that_cannot_be(given_: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RunCounts(*given_)


def test_nan_has_no_level() -> None:
    made = RunCounts(4, 2, 0.0, 4.0)
    with pytest.raises(ValueError, match="NaN"):
        made.add(float("nan"))
    with pytest.raises(ValueError, match="element 2 is NaN"):
        made.add_many(np.array([0.0, 1.0, np.nan]))
    assert made.add_many(np.array([-np.inf, np.inf])).tolist() == [1.0, 1.0]
    assert made.add(1e308) == pytest.approx((0.5 + 1.0) / 2)


@settings(max_examples=100)
@given(
    st.lists(st.one_of(NUMBERS, st.just(float("nan"))), max_size=80), st.lists(st.integers(0, 80), max_size=6),
    st.sampled_from([None, (0.0, 10.0)]), st.integers(0, 9),
)  # fmt: skip
def test_a_stream_cut_anywhere_scores_the_same(
    values: list[float], cuts: list[int], ends: tuple[float, float] | None, rest: int
) -> None:
    def made() -> SensorAnomaly:
        low, high = ends or (None, None)
        return SensorAnomaly(low=low, high=high, warmup=10, rest=rest, alarm=0.6)

    whole, cut, single = made(), made(), made()
    expected = whole.score_many(values)
    places = sorted({0, len(values), *(place for place in cuts if place < len(values))})
    parts = [cut.score_many(values[a:b]) for a, b in pairwise(places)]
    assert np.concatenate([*parts, []]).tolist() == expected.tolist()
    assert [single.score_one(value) for value in values] == expected.tolist()


def test_an_alarm_is_followed_by_a_rest() -> None:
    line = SensorAnomaly(low=0, high=8, warmup=2, rest=3, alarm=0.75)
    scores = line.score_many([1.0] * 20 + [7.0, 3.0, 5.0, 6.0, 7.0])
    assert scores[:2].tolist() == [0.0, 0.0]
    assert 0 < scores[2] < 0.75
    assert 0 < scores[4] < 0.5
    assert scores[20] == 1.0
    assert (scores[21:24] == 0).all()
    assert scores[24] > 0


def test_a_range_is_learned_and_beyond_it_is_told_apart() -> None:
    draw = np.random.default_rng(0)
    line = SensorAnomaly(warmup=100, rest=0)
    usual = draw.uniform(10, 20, 2000)
    assert not line.ready
    assert line.ranges == [None]
    scores = line.score_many(usual)
    assert line.ready
    assert line.ranges[0][0] < 10 - 19
    assert (scores[:100] == 0).all()
    assert np.median(scores[1000:]) < 0.1
    assert line.score_one(45.0) == 1.0
    assert line.score_one(15.0) < 1.0
    assert line.score_one(-20.0) == 1.0


def test_the_most_unusual_channel_counts() -> None:
    draw = np.random.default_rng(0)
    samples = draw.uniform(0, 8, (400, 3))
    line, each = (SensorAnomaly(3, low=[0, 0, np.nan], high=[8, 9, np.nan], warmup=20, rest=0) for _ in range(2))
    alone = [SensorAnomaly(low=0, high=high, warmup=20, rest=0) for high in (8, 9)] + [SensorAnomaly(warmup=20, rest=0)]
    expected = np.array([one.score_many(column) for one, column in zip(alone, samples.T, strict=True)])
    assert (line.score_many(samples) == expected.max(axis=0)).all()
    assert (each.score_channels(samples) == expected.T).all()
    assert each.ranges[:2] == [(0.0, 8.0), (0.0, 9.0)]
    assert expected[:, 20:].any(axis=1).all()


def test_scores_of_channels_do_not_rest() -> None:
    line = SensorAnomaly(2, low=0, high=8, warmup=2, rest=2)
    samples = np.full((40, 2), 1.0)
    samples[30, 1] = 7.0
    scores = line.score_channels(samples)
    assert scores[30].tolist() == [pytest.approx(scores[29, 0], abs=0.01), 1.0]
    assert (scores[31:] > 0).all()
    told = line.rested(scores.max(axis=1))
    assert told[30] == 1.0
    assert (told[31:33] == 0).all()
    assert (told[33:] > 0).all()


def test_a_channel_that_comes_late_has_a_range_of_its_own() -> None:
    draw = np.random.default_rng(0)
    line, alone = SensorAnomaly(2, warmup=50, rest=0), SensorAnomaly(warmup=50, rest=0)
    samples = np.column_stack([draw.uniform(0, 4, 600), draw.uniform(50, 70, 600)])
    samples[:120, 1] = np.nan
    parts = [line.score_channels(part)[:, 1] for part in np.array_split(samples, 7)]
    again = SensorAnomaly.load(line.dump())
    assert again.dump() == line.dump()
    scores = np.concatenate(parts)
    assert (scores[:170] == 0).all()
    assert (scores[170:] == alone.score_many(samples[120:, 1])[50:]).all()
    assert line.ranges[1] is not None
    assert line.ranges[1][0] < 50 < 70 < line.ranges[1][1]
    assert line.score_channels([[1.0, 500.0]])[0, 1] == 1.0
    waiting = SensorAnomaly(2, warmup=50)
    waiting.score_many(samples[:130])
    assert SensorAnomaly.load(waiting.dump()).dump() == waiting.dump()


def test_a_warm_up_is_bounded() -> None:
    with pytest.raises(ValueError, match="16777216 numbers are the most"):
        SensorAnomaly(1024, warmup=1 << 20)


def test_without_learning_it_goes_on_and_counts_nothing() -> None:
    draw = np.random.default_rng(0)
    line = SensorAnomaly(2, low=[0, np.nan], high=[8, np.nan], warmup=50, rest=0)
    line.learning = False
    assert not line.score_many(draw.uniform(0, 8, (200, 2))).any()
    assert not line.ready
    line.learning = True
    line.score_many(draw.uniform(0, 8, (500, 2)))
    line.learning = False
    before = line.dump()
    odd = [[9.0, 0.0], [0.0, 9.0]] * 3
    first, second = line.score_many(odd), line.score_many([[1.0, 1.0], *odd])
    assert first[5] == second[6]  # not more usual for having come before
    whole = SensorAnomaly.load(before)
    whole.learning = False
    whole.score_many([*odd, [1.0, 1.0], *odd])
    assert whole.dump() == line.dump()


@settings(max_examples=60)
@given(
    st.lists(st.one_of(NUMBERS, st.just(float("nan"))), max_size=60), st.lists(NUMBERS, max_size=30),
    st.sampled_from([None, (0.0, 10.0)]), st.booleans(),
)  # fmt: skip
def test_a_stream_goes_on_after_a_dump(
    values: list[float], more: list[float], ends: tuple[float, float] | None, learning: bool
) -> None:
    low, high = ends or (None, None)
    line = SensorAnomaly(low=low, high=high, warmup=10, rest=3, alarm=0.6)
    line.score_many(values)
    line.learning = learning
    again = SensorAnomaly.load(line.dump())
    assert again.dump() == line.dump()
    assert again.score_many(more).tolist() == line.score_many(more).tolist()
    assert again.dump() == line.dump()


def test_a_damaged_dump_is_refused() -> None:
    for count in (5, 60):
        line = SensorAnomaly(2, low=[0, np.nan], high=[8, np.nan], warmup=20)
        line.score_many(np.random.default_rng(0).uniform(0, 8, (count, 2)))
        whole = line.dump()
        for cut in (*range(0, len(whole), 7), len(whole) - 1):
            with pytest.raises(StoreCorrupt, match="dump of a sensor"):
                SensorAnomaly.load(whole[:cut])
        with pytest.raises(StoreCorrupt):
            SensorAnomaly.load(whole + b"\0")
        for place in range(8, len(whole)):  # one bit may leave a number that could be; it never does harm
            flipped = bytearray(whole)
            flipped[place] ^= 0x41
            try:
                SensorAnomaly.load(bytes(flipped)).score_many(np.ones((3, 2)))
            except (StoreCorrupt, ShapeError):
                continue


def test_ranges_as_wide_as_numbers_are() -> None:
    line = SensorAnomaly(warmup=4, rest=0)
    assert not line.score_many([1e308, -1e308, 5e-324, 0.0]).any()
    assert line.score_many([0.0, -1e308]).max() <= 1.0
    with pytest.raises(ValueError, match="distance are finite"):
        SensorAnomaly(low=-1e308, high=1e308)
    with pytest.raises(ValueError, match="distance must be finite"):
        RunCounts(8, 2, -1e308, 1e308)


def test_a_flat_line_and_gaps_are_no_anomaly() -> None:
    line = SensorAnomaly(warmup=20, rest=0)
    assert (line.score_many(np.full(20, 5.0)) == 0).all()
    assert line.score_many(np.full(200, 5.0))[-1] < 0.05
    assert line.score_many([np.nan, np.nan]).tolist() == [0.0, 0.0]
    assert line.score_one(5.0) < 0.05
    nothing = SensorAnomaly(warmup=5)
    assert (nothing.score_many([np.nan] * 5) == 0).all()
    assert nothing.ready


def test_what_is_refused() -> None:
    line = SensorAnomaly(2, warmup=5)
    for samples, error, words in (
        (np.zeros((3, 3)), ShapeError, r"shape \[3, 3\]; it must be \[n, 2\]"),
        ([1.0, 2.0], ShapeError, "must be"),
        ([[0.0, np.inf]], ValueError, "number 0, channel 1 is inf"),
    ):
        with pytest.raises(error, match=words):
            line.score_many(samples)  # type: ignore[arg-type]
    for given_, words in (
        ({"channels": 0}, "channels is 0"),
        ({"warmup": 1}, "warmup is 1"),
        ({"rest": -1}, "rest is -1"),
        ({"rest": 1.5}, "rest is 1.5"),
        ({"alarm": 0}, "alarm is 0"),
        ({"low": 0.0}, "give both"),
        ({"low": 1.0, "high": 1.0}, "high the larger"),
    ):
        with pytest.raises(ValueError, match=words):
            SensorAnomaly(**given_)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="low: 2 numbers for 3 channels"):
        SensorAnomaly(3, low=[0, 0], high=1)


def test_a_single_sample_is_one() -> None:
    for channels, shapes in ((1, [(2,), (1, 2), (2, 1), (1, 1, 1), (0,)]), (4, [(), (3,), (2, 2), (4, 1), (1, 1, 4)])):
        one = SensorAnomaly(channels, warmup=20)
        for shape in shapes:
            with pytest.raises(ShapeError, match=rf"^sample: shape .*; it must be \[{channels}\]"):
                one.score_one(np.zeros(shape))  # type: ignore[arg-type]
        assert one.missing == 20
        for right in (np.zeros(channels), np.zeros((1, channels)), *([0.0] if channels == 1 else [])):
            assert one.score_one(right) == 0.0  # type: ignore[arg-type]
