"""How much a stream usually changes: windows against the centroid, and their dumps."""

from __future__ import annotations

import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia._core.accumulator import Accumulator
from sophia._core.encode import TextEncoder
from sophia.errors import StoreCorrupt
from sophia.organs.drift import WindowEncoder
from sophia.store.drift_table import DIM, DriftTable

TEA = [f"tea number {name} is ready" for name in ("one", "two", "three", "four")]
WAR = [f"the {name} of the old city fell" for name in ("gate", "tower", "wall", "bridge")]
REFERENCE = "7063da4a28e1718b"
WORDS = st.lists(st.sampled_from(["tea", "cup", "war", "??", "night", ""]), max_size=4).map(" ".join)


def sums(windows: list[list[str]], seed: int = 0) -> list[Accumulator]:
    """What a table is given of windows of texts."""
    return list(WindowEncoder(seed).sums(windows))


def likenesses(windows: list[list[str]], seed: int = 0) -> list[float]:
    """The oracle: each window's cosine with the sum of all before it."""
    encoder, before, found = TextEncoder(DIM, seed=seed), Accumulator("BSC", DIM), []
    for texts in windows:
        window = Accumulator("BSC", DIM)
        for text in texts:
            if any(char.isalnum() for char in text):
                window.add(encoder.encode(text))
        if window.total:
            if before.total:
                found.append(before.similarity(window))
            before.merge(window)
    return found


@given(st.lists(st.lists(WORDS, max_size=5), max_size=8))
def test_mean_and_deviation_are_those_of_the_oracle(windows: list[list[str]]) -> None:
    table, expected = DriftTable(), likenesses(windows)
    table.add(sums(windows))
    told = table.baseline()
    if len(expected) > 1:
        mean = sum(expected) / len(expected)
        deviation = math.sqrt(sum((one - mean) ** 2 for one in expected) / (len(expected) - 1))
        assert told["mean"] == pytest.approx(mean, abs=2e-6)
        assert told["deviation"] == pytest.approx(deviation, abs=2e-6)
    else:
        assert told["deviation"] is None
        assert told["mean"] == (pytest.approx(expected[0], abs=2e-6) if expected else None)


def test_another_subject_is_less_like_what_was_before() -> None:
    table = DriftTable()
    table.add(sums([TEA, TEA[::-1], TEA]))
    usual = table.baseline()["mean"]
    table.add(sums([WAR]))
    assert usual > 0.9
    assert table.baseline()["mean"] < usual - 0.1


def test_threads_levels_and_cuts_give_the_same_bytes(simd: str) -> None:
    windows = [[f"{text} {i % 3}" for text in (TEA, WAR)[i % 5 == 0]] for i in range(40)]
    one, two, three = DriftTable(seed=7), DriftTable(seed=7), DriftTable(seed=7)
    one.add(sums(windows, 7))
    with ThreadPoolExecutor(3) as pool:
        two.add(WindowEncoder(7, pool.map).sums(windows))
    for window in windows:
        three.add(sums([window], 7))
        three = DriftTable.load(three.dump())
    assert one.dump() == two.dump() == three.dump()
    assert hashlib.blake2b(one.dump(), digest_size=8).hexdigest() == REFERENCE  # at every level, on every machine


def test_only_what_changed_wants_a_dump() -> None:
    table = DriftTable()
    assert not table.changed
    table.add(sums([["?!", "..."]]))
    assert not table.changed
    table.add(sums([TEA]))
    assert table.changed
    table.dump()
    assert not table.changed


@given(st.binary(max_size=80))
def test_other_bytes_are_no_dump(data: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="the dump of the drift cannot be read"):
        DriftTable.load(data)


@given(st.data())
def test_a_damaged_dump_is_refused_or_sound(data: st.DataObject) -> None:
    table = DriftTable()
    table.add(sums([TEA, WAR]))
    whole = table.dump()
    place = data.draw(st.integers(0, 120))
    damaged = whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :]
    for block in (damaged, whole[: data.draw(st.integers(0, len(whole) - 1))]):
        try:
            found = DriftTable.load(block)
        except StoreCorrupt:
            continue
        json.dumps(found.baseline())
        assert math.isfinite(found.baseline()["mean"] or 0.0)


def test_an_accumulator_is_restored_from_its_sums() -> None:
    one = Accumulator("BSC", 100)
    one.add(TextEncoder(100).encode("tea"), 3)
    again = Accumulator.restore("BSC", one, one.total)
    assert bytes(memoryview(again)) == bytes(memoryview(one))
    assert again.total == 3
    with pytest.raises(ValueError, match="not a sum of weights that total 2"):
        Accumulator.restore("BSC", one, 2)
    with pytest.raises(ValueError, match="total is -1"):
        Accumulator.restore("BSC", one, -1)
    with pytest.raises(TypeError):
        Accumulator.restore("BSC", 7, 0)  # type: ignore[arg-type]
