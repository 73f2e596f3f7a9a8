"""The text encoder on any bytes: features, weights and vectors are those of the oracle, alone and in batches."""

from __future__ import annotations

from oracle import encode as oracle

from fuzz.tape import Tape
from sophia._core.encode import TextEncoder
from sophia._core.idf import IdfTable
from sophia._core.sequence import NgramEncoder

DIM = 130


def seeds() -> list[bytes]:
    return [
        b"\x00disk full on host7\ndisk is fine",
        "\x01\u7528\u6237 \u0e01\u0e02 caf\u00e9\nA\n\u4e00".encode(),
        b"\x00\xff\xfe\xc3 broken \xed\xa0\x80\n\n---\na",
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    as_text = tape.number(1)
    raw = tape.rest()[:400]
    lines: list[str | bytes] = [part.decode(errors="replace") if as_text else part for part in raw.split(b"\n")]
    plain, table = TextEncoder(DIM, seed=2), IdfTable(seed=2)
    kept: list[str | bytes] = []
    for line in lines:
        weights = oracle.weights(line, 2)
        found = [(count, weight) for _, _, count, weight in _features(plain, line)]
        counts = oracle.features(line, 2)
        assert found == [(counts[hash], weight / oracle.ONE) for hash, weight in weights.items()]
        if not weights:
            continue
        kept.append(line)
        assert bytes(memoryview(plain.encode(line))) == oracle.pack(oracle.encode_bits(weights, DIM))
        assert plain.encode_int8(line).tolist() == oracle.encode_levels(weights, DIM)
        table.observe(line)
    if kept:
        assert table.documents == len(kept)
        weighed = TextEncoder(DIM, seed=2, idf=table)
        rows = weighed.encode_many(kept)
        assert [bytes(row) for row in rows] == [bytes(memoryview(weighed.encode(line))) for line in kept]
    for line in lines:
        symbols = oracle.code_points(line) if isinstance(line, str) else list(line)
        if isinstance(line, bytes) and len(symbols) >= 2:
            votes = [(row, 1) for row in oracle.ngram_rows(symbols[:40], 2, DIM)]
            made = NgramEncoder(2, DIM).encode(line[:40])
            assert bytes(memoryview(made)) == oracle.pack(oracle.majority(votes, DIM))


def _features(encoder: TextEncoder, line: str | bytes) -> list[tuple[str, str, int, float]]:
    try:
        return encoder.features(line)
    except ValueError:
        return []  # a text without letters
