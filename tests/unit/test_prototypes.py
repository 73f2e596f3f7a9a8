"""Class prototypes: sums, scores and rules as the oracle has them, the same bits at every level."""

from __future__ import annotations

import doctest
import signal
import threading
from typing import Any

import numpy as np
import pytest
from oracle import linear as oracle

from sophia._core import hdc, prototypes
from sophia._core.prototypes import RULES, Prototypes
from sophia.errors import ShapeError


def data(n: int, classes: int, dim: int, seed: int = 0, noise: float = 0.7) -> tuple[Any, Any]:
    """Graded rows around a centre a class."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, n)
    centres = draw.normal(size=(classes, dim)) * 20
    return np.clip(centres[labels] + draw.normal(size=(n, dim)) * 20 * noise, -127, 127).astype(np.int8), labels


def test_examples() -> None:
    results = doctest.testmod(prototypes)
    assert results.attempted > 4
    assert results.failed == 0


@pytest.mark.parametrize("dim", [64, 65, 100, 127, 1000])
def test_sums_and_scores_are_those_of_the_oracle(simd: str, dim: int) -> None:
    rows, labels = data(20, 3, dim)
    made, expected = Prototypes(4, dim), oracle.Prototypes(4, dim)
    made.add(rows, labels)
    expected.add(rows, labels.tolist())
    assert made.dump().tobytes() == expected.sums.tobytes()
    found = made.scores(rows)
    assert found.tolist() == [expected.scores(row) for row in rows]
    assert (found[:, 3] == 0).all()  # nothing was seen of it
    assert (made.scores(rows, workers=3) == found).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_each_example_moves_what_the_oracle_moves(simd: str, rule: str, margin: float) -> None:
    rows, labels = data(30, 4, 130, noise=4.0)
    made, expected = Prototypes(4, 130), oracle.Prototypes(4, 130)
    made.add(rows[:10], labels[:10])
    expected.add(rows[:10], labels[:10].tolist())
    for row, label in zip(rows, labels, strict=True):
        moved = made.learn(row[None], np.array([label]), rule=rule, rate=0.5, margin=margin)
        assert moved == expected.learn(row, int(label), rule, 0.5, margin)
        expected.refresh()
        assert made.dump().tobytes() == expected.sums.tobytes()


@pytest.mark.parametrize("rule", RULES)
def test_norms_are_those_of_the_sums_whatever_was_moved(simd: str, rule: str) -> None:
    """Only those of moved classes are worked out anew: none may be left behind."""
    rows, labels = data(60, 7, 333, noise=4.0)
    made = Prototypes(9, 333)
    draw = np.random.default_rng(1)
    for step in range(40):
        some = draw.choice(60, draw.integers(0, 4), replace=False)
        if step % 3 == 0:
            made.add(rows[some], labels[some])
        elif step % 3 == 1:
            made.learn(rows[some], labels[some], rule=rule, rate=0.3, margin=0.3, epochs=int(draw.integers(0, 3)))
        else:
            made = made.grow(made.classes + step % 2)
        assert (made.scores(rows) == Prototypes.restore(made.dump()).scores(rows)).all()


def test_what_was_moved_before_an_interruption_is_worked_out_after_it() -> None:
    rows, labels = data(600, 3, 64, noise=6.0)
    made = Prototypes(4, 64)
    made.add(rows, labels)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            made.learn(rows, labels, margin=2.0, rate=1e-3, epochs=10_000)  # takes minutes
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for each in (made.grow(4), made):
        each.add(rows[:1], np.array([3]))
        assert (each.scores(rows) == Prototypes.restore(each.dump()).scores(rows)).all()


@pytest.mark.parametrize("rule", RULES)
def test_a_pass_learns_and_is_the_same_each_time(simd: str, rule: str) -> None:
    rows, labels = data(400, 5, 512, noise=6.0)
    made, again, other = (Prototypes(5, 512) for _ in range(3))
    for one, seed in ((made, 1), (again, 1), (other, 2)):
        one.add(rows, labels)
        before = (one.scores(rows).argmax(1) == labels).mean()
        assert one.learn(rows, labels, rule=rule, margin=0.2, epochs=10, seed=seed) > 0
        assert (one.scores(rows).argmax(1) == labels).mean() > before
    assert made.dump().tobytes() == again.dump().tobytes()
    assert made.dump().tobytes() != other.dump().tobytes()


def test_every_level_learns_the_same_bits() -> None:
    from sophia._core import cpu

    rows, labels = data(100, 3, 1000, noise=5.0)
    found = set()
    before = cpu.simd_level()
    try:
        for level in cpu.simd_levels():
            cpu.set_simd_level(level)
            made = Prototypes(3, 1000)
            made.add(rows, labels)
            made.learn(rows, labels, margin=0.05, epochs=3)
            found.add((made.dump().tobytes(), made.scores(rows).tobytes()))
    finally:
        cpu.set_simd_level(before)
    assert len(found) == 1


def test_bits_are_signs(simd: str) -> None:
    rows = hdc.random_rows(12, "row", dim=1000)
    signs = 1 - 2 * np.unpackbits(rows, axis=1, bitorder="little")[:, :1000].astype(np.int8)
    labels = np.arange(12) % 3
    packed, plain = Prototypes(3, 1000), Prototypes(3, 1000)
    packed.add(rows, labels)
    plain.add(signs, labels)
    packed.learn(rows, labels, margin=0.6, epochs=2)
    plain.learn(signs, labels, margin=0.6, epochs=2)
    assert packed.dump().tobytes() == plain.dump().tobytes()
    assert (packed.scores(rows) == plain.scores(signs)).all()
    assert (packed.scores([hdc.random("row", i, dim=1000) for i in range(12)]) == packed.scores(rows)).all()


def test_learning_ends_when_nothing_is_wrong() -> None:
    rows, labels = data(50, 3, 2000, noise=0.1)
    made = Prototypes(3, 2000)
    made.add(rows, labels)
    before = made.dump().tobytes()
    assert made.learn(rows, labels, epochs=10_000) == 0
    assert made.dump().tobytes() == before
    alone = Prototypes(1, 2000)
    alone.add(rows, np.zeros(50, int))
    assert alone.learn(rows, np.zeros(50, int), margin=1.0) == 0


def test_zero_rows_are_no_evidence(simd: str) -> None:
    made = Prototypes(2, 100)
    zeros = np.zeros((3, 100), np.int8)
    made.add(zeros, np.array([0, 1, 0]))
    made.learn(zeros, np.array([0, 1, 0]), rule="adapt")
    assert not made.dump().any()
    assert not made.scores(zeros).any()


def test_dump_restore_and_grow() -> None:
    rows, labels = data(40, 3, 300)
    made = Prototypes(3, 300)
    made.add(rows, labels)
    made.learn(rows, labels, margin=0.5)
    again = Prototypes.restore(made.dump())
    assert (again.scores(rows) == made.scores(rows)).all()
    grown = made.grow(5)
    assert (grown.classes, grown.dim) == (5, 300)
    assert (grown.scores(rows)[:, :3] == made.scores(rows)).all()
    assert (grown.scores(rows)[:, 3:] == 0).all()
    with pytest.raises(ValueError, match="there are 3 already"):
        made.grow(2)
    bad = made.dump()
    bad[1, 7] = np.nan
    with pytest.raises(ValueError, match=r"\[1, 7\] is not finite"):
        Prototypes.restore(bad)


def test_what_is_refused() -> None:
    made = Prototypes(2, 100)
    rows = np.zeros((2, 100), np.int8)
    for labels, error, words in (
        (np.array([0, 2]), ValueError, "element 1 is 2; there are 2 classes"),
        (np.array([-1, 0]), ValueError, "element 0 is -1"),
        (np.array([0]), ShapeError, "1 of them for 2 rows"),
        (np.array([0.0, 1.0]), ShapeError, "dtype"),
    ):
        for call in (made.add, made.learn):
            with pytest.raises(error, match=words):
                call(rows, labels)
    with pytest.raises(ShapeError, match="dim=200, the prototypes have dim=100"):
        made.scores(np.zeros((2, 200), np.int8))
    with pytest.raises(ShapeError, match="past bit 99"):
        made.scores(np.full((1, 64), 255, np.uint8))
    labels = np.array([0, 1])
    for named, words in (
        ({"rule": "lehdc"}, "use one of online, adapt"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"margin": -0.1}, "margin -0.1"),
        ({"margin": float("nan")}, "margin nan"),
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": 1.5}, "epochs is 1.5"),
    ):
        with pytest.raises(ValueError, match=words):
            made.learn(rows, labels, **named)  # type: ignore[arg-type]
    for classes in (0, True, 1.0, 1 << 20):
        with pytest.raises(ValueError, match="classes is"):
            Prototypes(classes)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="dim"):
        Prototypes(2, 63)


@pytest.mark.parametrize("model", ["BSC", "MAP"])
def test_sums_at_the_bound_have_finite_products(simd: str, model: str) -> None:
    rows = hdc.random_rows(2, "row", dim=1000, model=model)
    most = np.full((3, 1000), 1e28, np.float32) * np.array([[1], [-1], [0]], np.float32)
    for found in (Prototypes.restore(most).scores(rows), Prototypes.restore(most).products(rows)):
        assert np.isfinite(found).all()
    graded = np.full((1, 1000), -128, np.int8)
    assert Prototypes.restore(most).scores(graded)[0] == pytest.approx([-1, 1, 0])
    for bad in (1.1e28, -1e30, 3e38):
        most[1, 7] = bad
        with pytest.raises(ValueError, match=r"sums: \[1, 7\] is .*, beyond \+-1e\+28"):
            Prototypes.restore(most)


def test_labels_are_copied() -> None:
    """What another thread writes into the caller's array is not looked at again."""
    rows, labels = data(3000, 3, 64)
    ended = threading.Event()
    shared = labels.copy()

    def scribble() -> None:
        while not ended.is_set():
            shared[:] = 1 << 40
            shared[:] = labels

    thread = threading.Thread(target=scribble)
    thread.start()
    made = Prototypes(3, 64)
    done = 0
    for _ in range(300):
        for call in (made.add, made.learn):
            try:
                call(rows, shared)
                done += 1
            except ValueError:
                continue
    ended.set()
    thread.join()
    assert np.isfinite(made.dump()).all()


def test_a_number_is_asked_once() -> None:
    class Changing(int):
        def __index__(self) -> int:
            return 1 << 40

        def __le__(self, other: int) -> bool:
            return True

        __ge__ = __le__
        __int__ = __index__

    made = Prototypes(Changing(3), 64)
    assert made.classes == 3
    for classes in (Changing(0), Changing(1 << 20)):
        with pytest.raises(ValueError, match="classes is"):
            Prototypes(classes, 64)
    rows, labels = data(10, 3, 64)
    with pytest.raises(ValueError, match="epochs is"):
        made.learn(rows, labels, epochs=Changing(1 << 30))
