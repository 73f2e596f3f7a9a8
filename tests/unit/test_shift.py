"""The detector of shifts: what its oracle says, window by window, and that it does not grow."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia._core import cpu, hdc
from sophia._core.shift import DIM, WINDOW, KnownPatterns, ShiftDetector, Window
from sophia._core.vector import Hypervector
from tests.oracle import shift as oracle

Made = list[tuple[list[int], Hypervector | None]]


def stream(seed: int, stretches: int, *, blank: float = 0.1, fresh: float = 0.1) -> Made:
    """Windows of several stretches, each with patterns and a text of its own; some say little, some nothing."""
    chance = random.Random(seed)
    made: Made = []
    newest = 1
    for stretch in range(stretches):
        base = hdc.random(f"{seed} {chance.randrange(stretches)}", dim=DIM)
        first, newest = newest, newest + chance.randrange(2, 200)
        joint = chance.randrange(WINDOW)
        for n in range(chance.randrange(5, 60)):
            patterns = [chance.randrange(first, newest) for _ in range(WINDOW)]
            for i in range(WINDOW):
                if chance.random() < fresh:
                    patterns[i], newest = newest, newest + 1
                if chance.random() < blank:
                    patterns[i] = 0
            if not n:  # a stretch begins in the midst of a window
                patterns[:joint] = made[-1][0][:joint] if made else [1] * joint
            if chance.random() < 0.05:
                patterns = [0] * WINDOW
            vector = hdc.bundle(base, hdc.random(f"{seed} {stretch} {n}", dim=DIM), base)
            made.append((patterns, None if chance.random() < 0.03 else vector))
    return made


def shifts(made: Made) -> list[int]:
    detector = ShiftDetector()
    return [detector.add(Window(patterns, lambda vector=vector: vector)) for patterns, vector in made]  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(40))
def test_it_says_what_the_oracle_says(seed: int) -> None:
    made = stream(seed, 6, blank=(0.0, 0.3)[seed % 2], fresh=(0.0, 0.1, 0.9)[seed % 3])
    ours, theirs, found = ShiftDetector(), oracle.ShiftDetector(), 0
    for patterns, vector in made:
        asked: list[str] = []

        def vote(vector: Hypervector | None = vector, asked: list[str] = asked) -> Hypervector | None:
            asked.append("asked")
            return vector

        begun = ours.add(Window(patterns, vote))
        assert begun == theirs.add(oracle.Window(patterns, lambda vector=vector: vector))  # type: ignore[misc]
        assert ours.held == theirs.held
        assert ours.known == len(theirs._known)
        assert len(asked) <= 1
        found += begun > 0
    assert found or seed % 3 == 2


@pytest.mark.levels
def test_levels_do_not_matter() -> None:
    before, seen = cpu.simd_level(), []
    try:
        for level in cpu.simd_levels():
            cpu.set_simd_level(level)
            seen.append(shifts(stream(50, 8)))
    finally:
        cpu.set_simd_level(before)
    assert any(seen[0])
    assert seen == seen[:1] * len(seen)


@given(st.lists(st.lists(st.integers(0, 60), min_size=WINDOW, max_size=WINDOW), max_size=12))
@settings(max_examples=100, deadline=None)
def test_known_patterns_are_a_set_in_order(windows: list[list[int]]) -> None:
    known, expected = KnownPatterns(), dict[int, None]()
    for patterns in windows:
        window = Window(patterns, lambda: None)
        new = {one for one in patterns if one} - expected.keys()
        assert known.unknown(window) == sum(one in new for one in patterns)
        assert known.add(window) == bool(new)
        expected |= dict.fromkeys(sorted(new))
        assert known.unknown(window) == 0
    assert list(known) == list(expected)
    assert len(known) == len(expected)
    assert [one in known for one in range(61)] == [one in expected for one in range(61)]


def test_known_patterns_lose_their_oldest_quarter() -> None:
    known = KnownPatterns()
    numbers = random.Random(1).sample(range(1, 1 << 60), 50_016)  # a thousand windows and a half
    expected: list[int] = []
    for start in range(0, len(numbers) - WINDOW, WINDOW):
        patterns = numbers[start : start + WINDOW]
        assert known.add(Window(patterns, lambda: None))
        expected += sorted(patterns)
        if len(expected) > 1 << 14:
            del expected[: 1 << 12]
        assert len(known) == len(expected) <= 1 << 14
    assert list(known) == expected
    assert all(one in known for one in expected)
    assert not any(one in known for one in set(numbers) - set(expected))


def test_a_detector_does_not_grow() -> None:
    detector = ShiftDetector()
    for start in range(1, 200_000, WINDOW):
        assert not detector.add(Window(range(start, start + WINDOW), lambda: None))
        assert detector.held <= 65
    assert detector.known <= 1 << 14


def test_a_window_is_of_so_many_inputs() -> None:
    window = Window([0, 1, 2, (1 << 64) - 1] * 8, lambda: None)
    assert (window.patterns, window.count, window.vector) == ((0, 1, 2, (1 << 64) - 1) * 8, 24, None)
    for wrong in ([], [1] * 31, [1] * 33):
        with pytest.raises(ValueError, match="a window is of 32 inputs, not"):
            Window(wrong, lambda: None)
    with pytest.raises(OverflowError):
        Window([-1] * WINDOW, lambda: None)
    with pytest.raises(TypeError):
        Window(["1"] * WINDOW, lambda: None)  # type: ignore[list-item]


def test_what_cannot_be_made_is_no_vector_but_an_error() -> None:
    def broken() -> Hypervector:
        raise RuntimeError("no vote")

    windows = [Window(range(start, start + WINDOW), broken) for start in range(1, 10_000, WINDOW)]
    with pytest.raises(RuntimeError, match="no vote"):
        list(map(ShiftDetector().add, windows))
    with pytest.raises(TypeError):
        ShiftDetector().add(None)  # type: ignore[arg-type]
    windows = [Window(range(start, start + WINDOW), lambda: "text") for start in range(1, 10_000, WINDOW)]  # type: ignore[arg-type, return-value]
    with pytest.raises((TypeError, ValueError)):
        list(map(ShiftDetector().add, windows))
