"""Measures of any bytes: those of the oracle, and in range."""

from __future__ import annotations

from oracle import salience as oracle

from fuzz.tape import Tape
from sophia._core.idf import IdfTable
from sophia._core.salience import measure


def seeds() -> list[bytes]:
    return [
        b"the cat sat\0the dog ran off",
        "日本語 テキスト\0日本".encode(),
        b"\0\xff\xfe12 a1b",
        b"a\0" + b"xy " * 200,
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    before, text = tape.until(b"\0"), tape.rest()
    table = IdfTable()
    table.observe_words(before)
    found = measure(text, table)
    words = oracle.words(before)
    if len(words) < 4000:  # more are not counted
        assert len(table) == len({*words})
        assert found == (
            oracle.length(text),
            oracle.entropy(text),
            oracle.rarity(text, dict.fromkeys(words, 1), 1),
        )
    assert 0.0 <= found.entropy <= 8.0
    assert 0.0 <= found.rarity <= 1.0
