"""Results of spaces: finite, in the place that is given, and made of numbers and shifts that are some."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sophia._core.arena import HDCArena
from sophia.errors import ShapeError
from sophia.hdc import Level, Sinusoid, Space

models = pytest.mark.parametrize("model", ["bsc", "map", "hrr", "fhrr"])
spectral = pytest.mark.parametrize("model", ["hrr", "fhrr"])


def _raised(model: str, big: Any) -> dict[str, Callable[[Space], Any]]:
    """Calls whose results are not finite."""
    return {
        "bind": lambda s: s.bind(big, big),
        "bind, with NaN": lambda s: s.bind(s.random("a"), nan(s)),
        "bind, a matrix": lambda s: s.bind(s.random_rows(2, "a"), nan(s)),
        "unbind": lambda s: s.unbind(big, (big * 1e-35 * 1e-30).astype(big.dtype)),
        "unbind, with NaN": lambda s: s.unbind(nan(s), s.random("a")),
        "inverse, with NaN": lambda s: s.inverse(nan(s)),
        "permute": lambda s: s.permute(nan(s), 3),
        "rotate": lambda s: s.rotate(nan(s), 3),
        "multibind": lambda s: s.multibind([big, big, big]),
        "multibind, with NaN": lambda s: s.multibind([s.random("a"), nan(s)]),
        "bundle": lambda s: s.bundle([big] * 10 + [nan(s)]),
        "encode_record": lambda s: s.encode_record(s.random_rows(2, "i"), s.level(4), [[0, 1]], weights=[1e300, 1]),
        "encode_record, with NaN": lambda s: s.encode_record(np.stack([nan(s), s.random("a")]), s.level(4), [[0, 1]]),
        "encode_ngrams": lambda s: s.encode_ngrams([[0, 1, 1]], 3, items=np.stack([big, big])),
        "encode_sequence": lambda s: s.encode_sequence([[0, 1, 1]], items=np.stack([big, nan(s)])),
    }


def nan(space: Space) -> Any:
    made = space.random("nan").copy()
    made[5] = np.nan
    return made


@spectral
@pytest.mark.parametrize("what", list(_raised("hrr", np.zeros(1))))
def test_no_result_is_infinite_or_nan(model: str, what: str) -> None:
    space = Space(model, 64)
    big = np.full(64, 3e38, space.random("a").dtype) * space.random("a").real.clip(0.5)
    with pytest.raises(ValueError, match=r"not finite|is zero"):
        _raised(model, big.astype(space.random("a").dtype))[what](space)


@pytest.mark.parametrize("model", ["bsc", "map"])
def test_a_sinusoid_refuses_what_it_has_no_phase_for(model: str) -> None:
    space = Space(model, 2000)
    encoder = Sinusoid(space, 3)
    with pytest.raises(ValueError, match=r"row 1 is beyond 2\^14 from zero"):
        encoder.encode([[1, 2, 3], [1e8, 0, 0]])
    far = encoder.encode([[16_000.0, 0, 0], [16_000.0, 0.0, 9.0], [16_000.0, 0, 0.01]])
    assert abs(space.similarity(far[0], far[1])) < 0.1
    assert space.similarity(far[0], far[2]) > 0.9


@pytest.mark.parametrize(("low", "high"), [(0.0, 5e-324), (-1.7e308, 1.7e308), (1.0, 1.0 + 2**-52), (0, 1e-310)])
def test_any_range_is_a_scale(low: float, high: float) -> None:
    level = Level(Space("bsc", 1000), 11, low, high)
    assert level.index([low, high, -1.7e308, 1.7e308]).tolist() == [0, 10, 0, 10]


@pytest.mark.parametrize(("low", "high"), [("a", 1), (None, 1), (0, np.inf), (1, 1), (2, 1)])
def test_what_is_no_range_is_refused(low: Any, high: Any) -> None:
    with pytest.raises(ValueError, match=r"^low is .*; they must be finite numbers, and high the larger"):
        Level(Space("bsc", 1000), 11, low, high)


@models
def test_a_matrix_is_permuted_in_place(model: str) -> None:
    space = Space(model, 1000)
    rows = space.random_rows(5, "a")
    wanted = space.permute(rows.copy(), 7)
    assert space.permute(rows, 7, out=rows) is rows
    assert (rows == wanted).all()
    space.permute(rows[1:], 1, out=rows[:-1])
    assert (rows[:-1] == space.permute(wanted[1:], 1)).all()


@models
@pytest.mark.parametrize("shifts", [1.5, "1", None, [1]])
def test_shifts_are_whole_numbers(model: str, shifts: Any) -> None:
    space = Space(model, 100)
    for call in (space.permute, space.rotate):
        for operand in (space.random("a"), space.random_rows(3, "a")):
            with pytest.raises(TypeError, match="shifts"):
                call(operand, shifts)
            call(operand, np.int64(-3))


@models
def test_every_buffer_of_bytes_is_one_sequence(model: str) -> None:
    space = Space(model, 500)
    wanted = space.array(space.encode_ngrams(b"abcdef", 3))
    for one in (
        bytearray(b"abcdef"),
        memoryview(b"abcdef"),
        array("B", b"abcdef"),
        array("q", list(b"abcdef")),
        "abcdef",
    ):
        assert (space.array(space.encode_ngrams(one, 3)) == wanted).all()


def test_a_symbol_is_one_character_or_a_number() -> None:
    space = Space("bsc", 100)
    assert space.symbol("a") == space.symbol(97)
    for bad in ("ab", "", 1.5, -1, None):
        with pytest.raises(ValueError, match="symbol is"):
            space.symbol(bad)


def test_a_result_is_in_one_place() -> None:
    space = Space("bsc", 100)
    with pytest.raises(ValueError, match="out and arena"):
        space.random("a", out=space.random("b"), arena=HDCArena())


@models
def test_the_place_of_levels_is_checked(model: str) -> None:
    level = Level(Space(model, 100), 5, 0, 1)
    rows = level.encode([0.1, 0.9])
    for bad in (rows[:1].copy(), rows.astype("c16"), rows[:, :-1].copy()):
        with pytest.raises(ShapeError):
            level.encode([0.1, 0.9], out=bad)
    assert (level.encode([0.1, 0.9], out=np.empty_like(rows)) == rows).all()


@spectral
def test_a_place_that_is_read_only_is_named(model: str) -> None:
    space = Space(model, 100)
    a, out = space.random("a"), space.random("b").copy()
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out: it is read-only"):
        space.bind(a, a, out=out)


@pytest.mark.parametrize("model", ["bsc", "hrr"])
def test_many_are_cleaned_up_in_parts(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space(model, 200)
    memory = space.random_rows(30, "m")
    whole = space.cleanup(memory[::-1].copy(), memory)
    monkeypatch.setattr("sophia.hdc.space._CHUNK", 64)
    parts = space.cleanup(memory[::-1].copy(), memory)
    assert [one.score for one in parts] == pytest.approx([one.score for one in whole], abs=1e-6)
    assert [one.row for one in parts] == [one.row for one in whole]
    assert [one.row for one in whole] == list(range(29, -1, -1))
