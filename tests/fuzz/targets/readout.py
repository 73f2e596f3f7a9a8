"""Any text to sparse vector to scores: as the oracle has it, explained exactly, and alike at every SIMD level."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache

from oracle import readout as oracle

from fuzz.tape import Tape
from sophia._core import cpu
from sophia._core.lexical import LexicalEncoder
from sophia._core.normaliser import normalise
from sophia._core.readout import Readout
from sophia._core.training import Examples, Weights

GRAMS = ((2, 4), (3, 3), (1, 6), (1, 1))
CLASSES = (3, 4, 5, 40, 170)  # rows of four bytes, of one block, and of more than are kept in registers
KINDS = (351, 325, 128, 169)
KNOWN = ("turn the light on", "lights on please", "what time is it", "Caf\u00e9 \u4e2d\u56fd \U0001f600", "x")


def seeds() -> list[bytes]:
    texts = (
        "turn the time on, please",
        "a" * 29 + " " + "b" * 30 + " " + "c" * 31 + " it's co-op",
        "\u4e2d\u56fd\u8bed \u0e23\u0e32\u0e04\u0e32 e\u0301\u200d\U0001f600",
        "The LIGHT\0on\ud800!",
        "ab " * 700,
    )
    return [bytes([i % 4, i]) + text.encode("utf-8", "surrogatepass") for i, text in enumerate(texts)]


def check(data: bytes) -> None:
    tape = Tape(data)
    grams = tape.pick(GRAMS)
    classes = tape.pick(CLASSES)
    raw = tape.rest()
    plan, encoder, readout = _trained(grams, classes)
    for text in _forms(raw):
        found = [(position, round(value * oracle.UNIT)) for _, _, position, value in encoder.terms(text)]
        assert found == oracle.terms(_read(text), plan, _table(grams))
        scores = readout.scores([text])[0]
        first, best, second, runner, known, seen = readout.best_of(text)
        assert known == len(found) <= seen
        ranked = sorted(range(classes), key=lambda number: (-scores[number], number))
        assert seen == 0 or (first, second) == tuple(ranked[:2])
        assert seen == 0 or (best, runner) == (scores[first], scores[second])
        parts, bias = readout.explain(text, classes - 1)
        assert sum((Fraction(part) for _, _, part in parts), Fraction(bias)) == Fraction(scores[-1])
        for level in cpu.simd_levels():
            with _at(level):
                assert readout.scores([text])[0] == scores
                assert readout.best_of_many([text]) == [(first, best, second, runner, known, seen)]


def _forms(raw: bytes) -> list[str | bytes]:
    """The bytes, and what they spell, lone surrogates among it."""
    try:
        return [raw, raw.decode("utf-8", "surrogatepass")]
    except UnicodeDecodeError:
        return [raw, raw.decode("utf-8", "replace")]


def _read(text: str | bytes) -> str | bytes:
    """What the encoder reads of a text."""
    if isinstance(text, bytes) or text.isascii():
        return text
    try:
        return normalise(text)
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@contextmanager
def _at(level: str) -> Iterator[None]:
    before = cpu.simd_level()
    cpu.set_simd_level(level)
    yield
    cpu.set_simd_level(before)


@cache
def _plan(grams: tuple[int, int]) -> oracle.Plan:
    return oracle.Plan(512, 7, grams, KINDS, 1)


@cache
def _table(grams: tuple[int, int]) -> oracle.Table:
    return oracle.observed([_read(text) for text in KNOWN], _plan(grams))


@cache
def _trained(grams: tuple[int, int], classes: int) -> tuple[oracle.Plan, LexicalEncoder, Readout]:
    plan = _plan(grams)
    kinds = [weight / 256 for weight in plan.kinds]
    encoder = LexicalEncoder(plan.dim, seed=plan.seed, grams=grams, kinds=kinds, idf_power=plan.quarters / 4)
    encoder.observe(KNOWN)
    weights = Weights(encoder, classes)
    weights.train(Examples(encoder, KNOWN, [i % classes for i in range(len(KNOWN))]), seed=1)
    return plan, encoder, Readout([weights])
