"""Readers against a slow oracle: any bytes, any cuts, any JSON."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import pytest
from fuzz.streams import read, split
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import readers as oracle

from sophia.errors import InputError
from sophia.stream.table import RecordParser

check = settings(max_examples=200, deadline=None)


# bytes in which line ends, quotes, braces, broken UTF-8 and NUL meet often
FRAGMENTS = [
    b"\n", b"\n", b"\r\n", b"\r", b"\r\r\n", b"", b" ", b"\t", b'"', b'""', b",", b";", b"text", b"id,text\n",
    b"a", b"\xc3\xa9", b"\xc3", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xf0\x9f", b"\xef\xbb\xbf",
    b"\xe3\x80\x80", b"\x1c", b"\xc2\x85", b"{", b"}", b'{"text": "x"}\n', b'{"text": "\\ud800"}\n',
    b'{"text": 1}', b'"text": ', b"\\u0000", b"word" * 9,
]  # fmt: skip
messy = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join)
cuts = st.lists(st.integers(0, 10_000), max_size=12)


@check
@given(
    messy,
    cuts,
    st.sampled_from(["auto", "jsonl", "csv", "lines"]),
    st.integers(1, 7),
    st.booleans(),
    st.booleans(),
)
def test_cuts_and_batches_change_nothing(
    data: bytes, cuts: list[int], format: str, batch: int, live: bool, packed: bool
) -> None:
    def outcome(pieces: list[bytes], **options: Any) -> Any:
        try:
            events, counts = read(pieces, format=format, max_line=64, **options)
        except InputError as error:
            return str(error)
        return events, {**counts.as_dict(), "bytes": None}

    whole = outcome([data])
    assert outcome(split(data, cuts), batch=batch, live=live) == whole
    assert outcome([data[i : i + 1] for i in range(len(data))]) == whole
    if packed:
        assert outcome(split(gzip.compress(data), cuts)) == whole


@check
@given(messy, st.integers(0, 8), st.sampled_from(["jsonl", "lines"]))
def test_a_limit_gives_the_beginning(data: bytes, limit: int, format: str) -> None:
    whole, _ = read([data], format=format)
    some, counts = read([data], format=format, limit=limit)
    assert some == whole[:limit]
    if len(some) == limit:
        assert counts.lines == (some[-1].line if some else 0)


@check
@given(messy)
def test_lines_equal_the_oracle(data: bytes) -> None:
    events, counts = read([data], format="lines")
    assert [(e.line, e.text, e.invalid) for e in events] == oracle.plain(data)
    assert counts.lines == len(oracle.lines_of(data))


@check
@given(st.lists(st.sampled_from(["one", "zwölf", "a\tb", "{x", "日本"]), max_size=20), st.data())
def test_mixed_line_ends(texts: list[str], data: st.DataObject) -> None:
    ends = [data.draw(st.sampled_from(["\n", "\r\n", "\r\r\n", "\n\n", "\r\n \n"])) for _ in texts]
    if ends and data.draw(st.booleans()):
        ends[-1] = ""
    stream = "".join(text + end for text, end in zip(texts, ends, strict=True)).encode()
    events, _ = read([stream], format="lines")
    assert [e.text for e in events] == texts


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["\ud800", "x\udfff", "\0", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["text", "message", "prompt", "id", "scope", "user", "context", "ts", "answer", "label", "x"]
) | st.text(max_size=3)


@check
@given(st.lists(st.dictionaries(names, values, max_size=6) | values, max_size=6), st.booleans())
def test_any_json_is_read_and_nothing_raises(rows: list[Any], ascii_only: bool) -> None:
    stream = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows).encode("utf-8", "surrogatepass")
    events, counts = read([stream], format="jsonl")
    assert len(events) == len(rows) == counts.lines
    for row, event in zip(rows, events, strict=True):
        if not isinstance(row, dict):
            assert event.invalid == "not-an-object"
            continue
        if ascii_only:  # else the bytes of a half pair are three broken ones
            scope = next((row[k] for k in ("scope", "user", "tenant") if row.get(k) not in (None, "")), None)
            assert event.scope == oracle.scalar(scope)
        texts = [row[k] for k in oracle.TEXT if k in row]
        chosen = next((t for t in texts if t is not None), None)
        if not texts:
            assert event.invalid == "no-text"
        elif not isinstance(chosen, str):
            assert event.invalid == "not-a-string"
        elif event.invalid is None:
            assert event.text == chosen
        else:
            assert event.invalid in ("empty", "nul", "not-utf8")


cells = st.text(st.sampled_from('ab",;\n \t'), max_size=6)


@check
@given(st.lists(st.lists(cells, min_size=2, max_size=4), min_size=1, max_size=8), st.sampled_from(",;\t"))
def test_records_written_by_the_standard_library(rows: list[list[str]], delimiter: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    parser = RecordParser(delimiter)
    parsed = [parser.feed(line) for line in out.getvalue().split("\n")[:-1]]
    assert [row for row in parsed if row is not None] == rows


@check
@given(st.text(st.sampled_from('ab",'), min_size=1, max_size=12))
def test_quotes_out_of_place_read_as_the_standard_library_reads_them(line: str) -> None:
    row = RecordParser(",").feed(line)
    if row is not None:
        assert row == next(csv.reader([line]))


@check
@given(st.lists(st.tuples(cells, cells), max_size=6))
def test_tables_keep_their_cells(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(["text", "scope"])
    writer.writerows(rows)
    events, counts = read([out.getvalue().encode()])
    assert [(e.text, e.scope) for e in events] == rows
    assert (counts.header, counts.blank) == (1, 0)


@pytest.mark.parametrize("depth", [1, 199, 200, 201, 900, 1000, 5000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"k":', "}"), ('[{"k":', "}]")])
def test_nesting(depth: int, opening: str, closing: str) -> None:
    # the object of the line is the first level
    levels = 3 if len(opening) == 6 else 2
    times = (depth - 1) // (levels - 1)
    value = opening * times + "7" + closing * times
    stream = f'{{"text": "t", "scope": {value}}}\n{{"text": "next"}}\n'.encode()
    events, _ = read([stream])
    deep = 1 + times * (levels - 1)
    assert events[0].invalid == ("not-json" if deep > 200 else None)
    assert (events[1].text, events[1].invalid) == ("next", None)


def test_many_brackets_are_not_depth() -> None:
    events, _ = read([json.dumps({"text": "[[[" * 900, "x": [[1]] * 900, "y": [{}] * 900}).encode()])
    assert events[0].invalid is None
