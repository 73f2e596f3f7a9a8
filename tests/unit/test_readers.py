# Over 600 lines: every input format and fault, over one way to read them.
"""Rules of the readers, one by one."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sophia.errors import ConfigError, InputError
from sophia.stream import REASONS, Counts, Event, Keys, Source, read_batches, resolve
from sophia.stream.event import BAD_UTF8, CUT, NUL, PLAIN, SURROGATE
from sophia.stream.readers import follow_batches
from sophia.stream.sources import MAGICS


class Pieces(Source):
    """Bytes in the pieces in which they are given."""

    __slots__ = ("_pieces",)

    def __init__(self, *pieces: bytes, name: str = "pieces", live: bool = False) -> None:
        super().__init__(name=name)
        self._pieces = pieces
        self.live = live

    def raw(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.bytes_read += len(piece)
            yield piece


def read(*pieces: bytes, **options: object) -> tuple[list[Event], Counts]:
    reader = read_batches([Pieces(*pieces)], **options)  # type: ignore[arg-type]
    events = [event for batch in reader for event in batch]
    counts = reader.counts
    assert counts.lines == counts.events + counts.blank + counts.header + counts.continued
    assert counts.events == len(events)
    assert [event.n for event in events] == list(range(1, len(events) + 1))
    assert sum(counts.bad.values()) == sum(event.invalid is not None for event in events) == counts.bad_total
    assert set(counts.bad) <= set(REASONS)
    for event in events:
        for value in event.astuple():
            if isinstance(value, str):
                value.encode()
    return events, counts


def one(line: bytes | str, **options: object) -> Event:
    events, _ = read(line if isinstance(line, bytes) else line.encode(), **{"format": "jsonl", **options})
    assert len(events) == 1
    return events[0]


class TestLines:
    def test_line_ends_blank_lines_tabs_and_the_last_line(self) -> None:
        events, counts = read(b"a\tb\r\n\r\n  \n\n c\rd \r\r\nlast")
        assert [(e.line, e.text) for e in events] == [(1, "a\tb"), (5, " c\rd "), (6, "last")]
        assert (counts.lines, counts.blank, counts.formats) == (6, 3, {"pieces": "lines"})
        assert all(e.flags == PLAIN and e.invalid is None and e.scope == "" for e in events)

    def test_byte_order_mark_is_dropped_at_the_start_only(self) -> None:
        events, _ = read("\ufeffone\n\ufefftwo\n".encode())
        assert [e.text for e in events] == ["one", "\ufefftwo"]

    def test_bytes_that_are_not_utf8_flag_their_line_and_no_other(self) -> None:
        events, counts = read(b"caf\xc3\xa9\ncaf\xe9 x\n\nplain\n")
        assert [(e.text, e.flags, e.invalid) for e in events] == [
            ("café", PLAIN, None),
            ("caf\ufffd x", PLAIN | BAD_UTF8, "not-utf8"),
            ("plain", PLAIN, None),
        ]
        assert counts.bad == {"not-utf8": 1}

    def test_encoded_surrogates_and_overlong_forms_are_not_utf8(self) -> None:
        events, _ = read(b"\xed\xa0\x80\n\xc0\xaf\n")
        assert [e.invalid for e in events] == ["not-utf8", "not-utf8"]

    def test_nul_after_the_beginning_is_flagged(self) -> None:
        head = b"x" * 50 + b"\n"
        events, _ = read(head * 100 + b"a\0b\n")
        assert (events[-1].text, events[-1].flags, events[-1].invalid) == ("a\0b", PLAIN | NUL, "nul")
        assert all(e.invalid is None for e in events[:-1])

    @pytest.mark.parametrize("piece", [1, 7, 1000])
    def test_a_line_over_the_bound_is_cut_and_the_next_is_whole(self, piece: int) -> None:
        data = b"ok\n" + b"y" * 40 + b"\r\n" + b"z" * 16 + b"\n" + "é".encode() * 9 + b"\nlast" + b"!" * 90
        pieces = [data[i : i + piece] for i in range(0, len(data), piece)]
        events, counts = read(*pieces, max_line=16, format="lines")
        assert [(e.text, e.invalid) for e in events] == [
            ("ok", None),
            ("y" * 16, "too-long-line"),
            ("z" * 16, None),
            ("é" * 8, "too-long-line"),
            ("last" + "!" * 12, "too-long-line"),
        ]
        assert counts.lines == 5

    def test_a_cut_does_not_split_a_character(self) -> None:
        events, _ = read(("a" * 14 + "\U0001f600").encode() + b"\nb", max_line=16, format="lines")
        assert (events[0].text, events[0].flags) == ("a" * 14, PLAIN | CUT)

    def test_a_long_line_is_not_held_in_memory(self) -> None:
        import tracemalloc

        piece = b"q" * 65536

        class Endless(Pieces):
            def raw(self) -> Iterator[bytes]:
                for _ in range(1000):
                    yield piece
                yield b"\nend\n"

        tracemalloc.start()
        try:
            reader = read_batches([Endless()], max_line=100_000)
            events = [event for batch in reader for event in batch]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert [len(e.text or "") for e in events] == [100_000, 3]
        assert peak < 2_000_000

    def test_empty_input_and_only_blank_lines(self) -> None:
        assert read(b"")[1].lines == 0
        events, counts = read(b"\n \n\t")
        assert (events, counts.lines, counts.blank, counts.formats) == ([], 3, 3, {"pieces": "lines"})


class TestJsonl:
    # the same faults as a stream in the wild has, in bytes of our own
    STREAM = (
        b'{"text": "first"}\n'
        b'{"text": "hello", "user": "mia"}\n'
        b"\n"
        b'{"text": ""}\n'
        b'{"text": null}\n'
        b'{"text": 3.5}\n'
        b'{"msg": "other key"}\n'
        b'{"text": "open\n'
        b"plain words\n"
        b'{"text": "broken \xff\xfe bytes"}\n'
        b'{"text": "a \\u0000 b"}\n'
        b'{"text": "pair \\ud83d\\ude00 half \\ud83d!"}\n'
        b'["a", "list"]\n'
        b'{"text": "crlf"}\r\n'
        b'\xef\xbb\xbf{"text": "marked"}\n'
        b'{"text": "one", "text": "two"}\n'
        b'{"text": "' + b"w" * 70000 + b'"}\n'
        b'{"text": "no line break"}'
    )

    def test_every_fault_has_its_reason_and_every_line_is_counted(self) -> None:
        events, counts = read(self.STREAM)
        assert counts.formats == {"pieces": "jsonl"}
        assert [(e.line, e.invalid) for e in events] == [
            (1, None),
            (2, None),
            (4, "empty"),
            (5, "not-a-string"),
            (6, "not-a-string"),
            (7, None),
            (8, "not-json"),
            (9, "not-json"),
            (10, "not-utf8"),
            (11, "nul"),
            (12, "not-utf8"),
            (13, "not-an-object"),
            (14, None),
            (15, None),
            (16, None),
            (17, None),
            (18, None),
        ]
        by_line = {e.line: e for e in events}
        assert by_line[2].scope == "mia"
        assert by_line[7].text == "other key"
        assert (by_line[10].text, by_line[10].flags) == ("broken \ufffd\ufffd bytes", BAD_UTF8)
        assert (by_line[11].text, by_line[11].flags) == ("a \0 b", NUL)
        assert (by_line[12].text, by_line[12].flags) == ("pair \U0001f600 half \ufffd!", SURROGATE)
        assert by_line[14].text == "crlf"
        assert by_line[15].text == "marked"
        assert by_line[16].text == "two"
        assert len(by_line[17].text or "") == 70000
        assert (counts.lines, counts.blank) == (18, 1)

    @pytest.mark.parametrize("key", ["text", "message", "msg", "content", "log", "query", "prompt"])
    def test_text_keys(self, key: str) -> None:
        assert one(json.dumps({"other": 1, key: "t"})).text == "t"

    def test_the_first_text_key_that_is_not_null_is_taken(self) -> None:
        assert one('{"prompt": "c", "message": "b", "text": "a"}').text == "a"
        assert one('{"message": "b", "text": null}').text == "b"
        assert one('{"message": "b", "text": 1}').invalid == "not-a-string"
        assert one('{"id": 1}').invalid == "no-text"
        assert one("{}").invalid == "no-text"
        assert one('{"text": [{"type": "text"}]}').invalid == "not-a-string"

    def test_own_keys(self) -> None:
        event = one('{"text": "no", "body": "yes", "org": "o"}', keys=Keys(text=("body",), scope=("org",)))
        assert (event.text, event.scope) == ("yes", "o")
        with pytest.raises(ValueError, match="at least one key"):
            Keys(text=())

    def test_all_fields_under_all_names(self) -> None:
        event = one(
            '{"text": "t", "id": "i", "user": "u", "session": "s", "timestamp": "2026-01-02", '
            '"response": "r", "label": "spam"}'
        )
        assert event.astuple() == (
            1,
            "pieces",
            1,
            "t",
            "u",
            "s",
            "2026-01-02",
            "r",
            "i",
            "spam",
            0,
            None,
            None,
        )
        assert one('{"text": "t", "tenant": "c", "user": "b", "scope": "a"}').scope == "a"
        assert one('{"text": "t", "time": 1.5, "ts": 7}').ts == "7"
        assert one('{"text": "t", "context": "a", "session": "b"}').context == "a"
        assert one('{"text": "t", "answer": "a", "response": "b"}').answer == "a"

    @pytest.mark.parametrize(
        ("value", "scope"),
        [
            ("7", "7"),
            ("-0", "0"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("true", "true"),
            ("false", "false"),
            ('{"b": [1, "\u00e9"], "a": null}', '{"a":null,"b":[1,"\u00e9"]}'),
            ("[]", "[]"),
            ("null", ""),
            ('""', ""),
            ('" a "', " a "),
        ],
    )
    def test_a_scope_that_is_no_string(self, value: str, scope: str) -> None:
        assert one(f'{{"text": "t", "scope": {value}}}').scope == scope

    def test_empty_optional_fields_are_absent(self) -> None:
        event = one('{"text": "t", "answer": "", "id": "", "ts": "", "label": ""}')
        assert (event.answer, event.id, event.ts, event.label) == (None, None, None, None)
        assert one('{"text": "t", "id": 0, "label": false}').id == "0"

    @pytest.mark.parametrize("field", ["scope", "context", "id", "ts", "answer", "label"])
    def test_half_a_surrogate_pair_in_any_field_makes_the_line_invalid(self, field: str) -> None:
        # two scopes that differ only there must not become one
        event = one(f'{{"text": "t", "{field}": "x\\udc00y"}}')
        assert (getattr(event, field), event.invalid, event.flags) == ("x\ufffdy", "not-utf8", SURROGATE)
        nested = one(f'{{"text": "t", "{field}": {{"k": "\\ud800"}}}}')
        assert (getattr(nested, field), nested.invalid) == ('{"k":"\ufffd"}', "not-utf8")

    @pytest.mark.parametrize("text", ["", "  ", "\\n\\t", "\\u3000"])
    def test_text_of_white_space_is_empty(self, text: str) -> None:
        assert one(f'{{"text": "{text}"}}').invalid == "empty"

    @pytest.mark.parametrize(
        "line",
        [
            "{" * 5 + '"text"',
            '{"a":' * 100_000,
            "[" * 100_000,
            '{"text": "t", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
            '{"text": "t", "x": ' + "9" * 5000 + "}",
            '{"text": "t"} {"text": "u"}',
            '{"text": "t"},',
            '{"text": "bad \\x escape"}',
            '{"text": "bad \\u12 escape"}',
            "{'text': 'single'}",
            '{"text" "t"}',
            "\ufeff{",
            "nan",
        ],
    )
    def test_not_json(self, line: str) -> None:
        event = one(line)
        assert (event.text, event.invalid) == (None, "not-json")

    @pytest.mark.parametrize("line", ["42", '"text"', "null", "true", "[]", "NaN"])
    def test_not_an_object(self, line: str) -> None:
        assert one(line).invalid == "not-an-object"

    def test_what_strict_json_would_refuse_but_is_kept(self) -> None:
        assert one('{"text": "tab\there"}').text == "tab\there"
        assert one('{"text": "t", "score": NaN, "scope": -Infinity}').scope == "-Infinity"
        assert one(' \ufeff {"text": "t"} \t').text == "t"

    def test_a_cut_line_is_not_parsed(self) -> None:
        event = one('{"text": "t"}' + " " * 90, max_line=20)
        assert (event.text, event.invalid, event.flags) == (None, "too-long-line", CUT)

    def test_unpaired_and_paired_escapes(self) -> None:
        assert one('{"text": "\\ud83d\\ude00"}').invalid is None
        assert one('{"text": "\\ude00\\ud83d"}').text == "\ufffd\ufffd"
        assert one('{"text": "a\\ud83d"}').text == "a\ufffd"


class TestCsv:
    def test_header_in_any_case_and_rfc_4180(self) -> None:
        data = (
            b"LineId,Time,Content,User\r\n"
            b'1,10:00,"a, ""quoted"" text",ana\r\n'
            b"\r\n"
            b'2,10:01,"two\r\nlines\r\n\r\nmore",\r\n'
            b"3,10:02,last,bo"
        )
        events, counts = read(data)
        assert [(e.line, e.text, e.scope, e.ts) for e in events] == [
            (2, 'a, "quoted" text', "ana", "10:00"),
            (4, "two\nlines\n\nmore", "", "10:01"),
            (8, "last", "bo", "10:02"),
        ]
        assert (counts.lines, counts.blank, counts.header, counts.continued) == (8, 1, 1, 3)
        assert counts.formats == {"pieces": "csv"}

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_delimiters(self, delimiter: str) -> None:
        events, _ = read(f"\ufeffid{delimiter}text\n7{delimiter}hi\n".encode())
        assert [(e.id, e.text) for e in events] == [("7", "hi")]

    def test_all_columns(self) -> None:
        events, _ = read(b"text,id,tenant,session,timestamp,response,label\nt,i,c,s,z,r,l\nt,,,,,,\n")
        assert events[0].astuple()[3:10] == ("t", "c", "s", "z", "r", "i", "l")
        assert events[1].astuple()[3:10] == ("t", "", "", None, None, None, None)

    def test_rows_that_do_not_fit(self) -> None:
        events, _ = read(b"id,text,x\n1\n2,t\n3,t,x,,\n4,a, b,c\n5,,x\n6,caf\xe9,x\n")
        assert [(e.id, e.text, e.invalid) for e in events] == [
            ("1", None, "no-text"),
            ("2", "t", None),
            ("3", "t", None),
            (None, None, "not-csv"),
            ("5", "", "empty"),
            ("6", "caf\ufffd", "not-utf8"),
        ]

    def test_a_quote_that_is_never_closed(self) -> None:
        """It must not hide what comes after it."""
        events, counts = read(b'text,scope\nfine,a\n"open,b\nmore,c\n\nlast,d\n')
        assert [(e.line, e.text, e.scope, e.invalid) for e in events] == [
            (2, "fine", "a", None),
            (3, None, "", "not-csv"),
            (4, "more", "c", None),
            (6, "last", "d", None),
        ]
        assert (counts.continued, counts.blank) == (0, 1)
        events, counts = read(b'text\n"open\none\ntwo\nthree\n', limit=3)
        assert [(e.line, e.text) for e in events] == [(2, None), (3, "one"), (4, "two")]

    def test_an_endless_record_is_bounded(self) -> None:
        events, counts = read(b'text\n"' + b"x" * 9 + b"\n" + b"y" * 9 + b"\nfine\n", max_line=16)
        assert [(e.line, e.text, e.invalid) for e in events] == [
            (2, None, "too-long-line"),
            (3, "y" * 9, None),
            (4, "fine", None),
        ]
        assert counts.continued == 0

    def test_lines_that_end_with_cr_alone(self) -> None:
        with pytest.raises(InputError, match=r"pieces:1: its lines end with CR alone"):
            read(b"text,scope\rrow one,b\r", format="csv")

    def test_a_cell_may_be_longer_than_the_csv_modules_bound(self) -> None:
        events, _ = read(b'text\n"' + b"x" * 200_000 + b'"\n')
        assert len(events[0].text or "") == 200_000

    def test_no_text_column(self) -> None:
        with pytest.raises(InputError, match=r"pieces:1: the CSV header has no column 'text' or .*timestamp,value"):
            read(b"timestamp,value\n1,2\n", format="csv")

    def test_a_comma_in_a_table_of_one_column_is_text(self) -> None:
        events, _ = read(b'prompt\none, two\n"three, ""four""\nfive"\n')
        assert [e.text for e in events] == ["one, two", 'three, "four"\nfive']

    def test_own_column(self) -> None:
        events, _ = read(b"Body,text\na,b\n", keys=Keys(text=("BODY",)))
        assert [e.text for e in events] == ["a"]


class TestAuto:
    @pytest.mark.parametrize(
        ("first", "expected"),
        [
            ('{"text": "a"}', "jsonl"),
            ('  {"text": "a"}', "jsonl"),
            ("{broken", "jsonl"),
            ("text", "csv"),
            ("id,Message", "csv"),
            ('"id","content"', "csv"),
            ("LineId,Date,Content,EventId", "csv"),
            ("Hello, content", "lines"),
            ("id,,text", "lines"),
            ("text,text", "lines"),
            ("timestamp,value", "lines"),
            ('["text"]', "lines"),
            ("Dec 10 06:55:46 host sshd[1]: text", "lines"),
        ],
    )
    def test_first_line_that_is_not_blank(self, first: str, expected: str) -> None:
        _, counts = read(f"\n \r\n{first}\nx\n".encode())
        assert counts.formats == {"pieces": expected}

    def test_each_source_has_its_own(self) -> None:
        reader = read_batches(
            [Pieces(b"a\n", name="x"), Pieces(b'{"text": "b"}\n', name="y"), Pieces(b"text\nc", name="z")]
        )
        events = [e for batch in reader for e in batch]
        assert [(e.n, e.source, e.line, e.text) for e in events] == [
            (1, "x", 1, "a"),
            (2, "y", 1, "b"),
            (3, "z", 2, "c"),
        ]
        assert reader.counts.formats == {"x": "lines", "y": "jsonl", "z": "csv"}


class TestBatches:
    def test_files_give_full_batches_across_chunks_and_files(self) -> None:
        pieces = [b"%d\n" % i for i in range(70)]
        reader = read_batches([Pieces(*pieces, name="a"), Pieces(*pieces, name="b")], batch=50)
        assert [len(batch) for batch in reader] == [50, 50, 40]

    def test_a_live_input_gives_what_has_arrived(self) -> None:
        reader = read_batches([Pieces(b"a\nb", b"\nc\nd\n", b"e", live=True)], batch=2)
        assert [[e.text for e in batch] for batch in reader] == [["a"], ["b", "c"], ["d"], ["e"]]

    @pytest.mark.parametrize("limit", range(6))
    def test_limit_counts_exactly(self, limit: int) -> None:
        events, counts = read(b"a\n\nb\nc\n\nd\n", limit=limit)
        assert len(events) == min(limit, 4)
        assert counts.lines == (events[-1].line if limit < 5 and events else 6 if limit == 5 else 0)

    @pytest.mark.parametrize("follow", [False, True])
    @pytest.mark.parametrize(
        ("data", "limit", "taken"),
        [
            (b"a\n\nb\r\nc\n\nd\n", 1, 2),
            (b"a\n\nb\r\nc\n\nd\n", 2, 6),
            (b"a\n\nb\r\nc\n\nd\n", 4, 11),
            (b"a\nb\nc", 2, 4),
            (b"a\nb\nc", 3, 5),
            (b"a\nb\n", 9, 4),
            (b'text\na\n"b\nc"\nd\n', 2, 13),
            (b"x" * 90 + b"\n" + b"y\n" * 100_000, 7, 103),
        ],
    )
    def test_the_bytes_up_to_the_limit_are_counted(
        self, tmp_path: Path, data: bytes, limit: int, taken: int, follow: bool
    ) -> None:
        """Not the block that they were read with."""
        path = tmp_path / "in"
        path.write_bytes(data)
        if follow and data in (b"a\nb\nc", b"a\nb\n"):
            return  # a followed input has no end to be reached
        reader = (follow_batches if follow else read_batches)([path], limit=limit)
        assert sum(len(events) for events in reader) <= limit
        reader.close()
        assert reader.counts.bytes == {str(path): taken}

    def test_limit_in_a_table_with_an_open_record(self) -> None:
        events, counts = read(b'text\na\n"b\nc"\nd\n', limit=2)
        assert [e.text for e in events] == ["a", "b\nc"]
        assert counts.lines == 4

    def test_no_byte_is_waited_for_after_the_limit(self) -> None:
        def endless() -> Iterator[bytes]:
            yield b"a\nb\n"
            pytest.fail("read on")

        source = Pieces(live=True)
        source._pieces = endless()  # type: ignore[assignment]
        assert [len(batch) for batch in read_batches([source], limit=2)] == [2]

    @pytest.mark.parametrize(
        ("option", "value"), [("format", "xml"), ("batch", 0), ("limit", -1), ("sources", ["x", Pieces()])]
    )
    def test_wrong_options(self, option: str, value: object) -> None:
        options = {"sources": [Pieces()], option: value}
        with pytest.raises(ConfigError):
            read_batches(**options)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="max_line"):
            list(read_batches([Pieces(b"x")], max_line=1))


class TestFiles:
    def test_several_in_order_and_a_glob_in_sorted_order(self, tmp_path: Path) -> None:
        for name in ("b.log", "a.log", "c.txt"):
            (tmp_path / name).write_text(name)
        (tmp_path / "d.log").mkdir()
        sources = resolve([str(tmp_path / "c.txt"), str(tmp_path / "*.log"), tmp_path / "c.txt"])
        assert [Path(s.name).name for s in sources] == ["c.txt", "a.log", "b.log", "c.txt"]
        reader = read_batches(sources)
        assert [e.text for batch in reader for e in batch] == ["c.txt", "a.log", "b.log", "c.txt"]
        assert reader.counts.bytes == {
            str(tmp_path / name): size for name, size in [("c.txt", 10), ("a.log", 5), ("b.log", 5)]
        }

    def test_a_file_whose_name_looks_like_a_glob(self, tmp_path: Path) -> None:
        (tmp_path / "a[1].log").write_text("x")
        assert len(resolve([tmp_path / "a[1].log"])) == 1

    def test_errors_before_anything_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "ok.log").write_text("x")
        for name, words in (
            ("no.log", "no such file"),
            ("*.nothing", "no file matches"),
            ("", "is a directory; name its files"),
        ):
            with pytest.raises(InputError, match=words):
                resolve([tmp_path / "ok.log", os.path.join(tmp_path, name)])  # noqa: PTH118
        with pytest.raises(InputError, match="empty name"):
            resolve([""])
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(InputError, match="cannot be read"):
            resolve([tmp_path / "loop"])

    def test_standard_input_only_once_and_not_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigError, match="only once"):
            resolve(["-", "-"])
        monkeypatch.setattr(os, "isatty", lambda fd: True)
        with pytest.raises(ConfigError, match="no input"):
            resolve([])
        monkeypatch.setattr(os, "isatty", lambda fd: False)
        assert [s.name for s in resolve([])] == ["-"]

    def test_a_file_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "x.log").write_text("x")

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(InputError, match=r"x\.log: cannot be read: Permission denied"):
            resolve([tmp_path / "x.log"])

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"text\0", "a binary file .byte 5 is NUL"),
            (b"x\n" * 2047 + b"x\0", "a binary file"),
            ("text".encode("utf-16"), "iconv -f UTF-16"),
            (b"\x28\xb5\x2f\xfdabc", "zstdcat"),
            (b"BZh91AY", "bzcat"),
            (gzip.compress(b"a\0b", mtime=0), "a binary file"),
        ],
    )
    def test_binary_files_are_refused_with_a_hint(self, tmp_path: Path, data: bytes, words: str) -> None:
        path = tmp_path / "data.bin"
        path.write_bytes(data)
        with pytest.raises(InputError, match=words):
            resolve([path])

    def test_binary_from_a_pipe_whatever_the_pieces(self) -> None:
        with pytest.raises(InputError, match="byte 4 is NUL"):
            read(b"a", b"bc\0")
        with pytest.raises(InputError, match="byte 4096 is NUL"):
            read(*[b"x"] * 4095, b"\0")
        assert read(*[b"x"] * 4096, b"\0")[1].bad == {"nul": 1}

    @pytest.mark.parametrize("magic", [magic for magic, _ in MAGICS])
    def test_what_is_no_text_is_known_from_a_pipe_whatever_the_pieces(self, magic: bytes) -> None:
        with pytest.raises(InputError, match="not text but") as whole:
            read(magic + b"abc\n")
        for size in (1, 2, 3):
            data = magic + b"abc\n"
            with pytest.raises(InputError) as pieces:
                read(*[data[at : at + size] for at in range(0, len(data), size)])
            assert str(pieces.value) == str(whole.value)
        text = magic[:1].decode("latin-1").encode()  # what only begins like it is text
        assert [event.text for event in read(text, b"\n")[0]] == [text.decode()]

    def test_a_file_name_that_is_not_utf8(self, tmp_path: Path) -> None:
        path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.log")
        Path(path).write_text("x")
        event = next(iter(read_batches([path])))[0]
        assert event.source.endswith("caf\ufffd.log")

    def test_a_source_that_fails_later(self, tmp_path: Path) -> None:
        paths = [tmp_path / name for name in ("a", "b", "c")]
        for path in paths:
            path.write_text(path.name)
        sources = resolve(paths)
        paths[1].unlink()
        reader = read_batches(sources)
        assert [e.text for e in next(reader)] == ["a"]
        with pytest.raises(InputError, match="b: cannot be read"):
            next(reader)
        reader = read_batches(sources, keep_going=True)
        assert [e.text for batch in reader for e in batch] == ["a", "c"]
        assert len(reader.counts.errors) == 1
        assert reader.counts.as_dict()["errors"] == reader.counts.errors

    def test_close_closes_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("x\n" * 1000)
        before = len(os.listdir("/dev/fd"))  # noqa: PTH208
        reader = read_batches([tmp_path / "a"], batch=10)
        next(reader)
        reader.close()
        assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208
        assert list(reader) == []


class TestGzip:
    DATA = b"".join(b"line %d of a packed file\n" % i for i in range(5000))

    def test_read_through_whatever_the_name(self, tmp_path: Path) -> None:
        path = tmp_path / "a.log"
        path.write_bytes(gzip.compress(self.DATA))
        reader = read_batches([path])
        assert sum(len(batch) for batch in reader) == 5000
        assert reader.counts.bytes == {str(path): path.stat().st_size}

    def test_a_name_alone_does_not_make_it_gzip(self, tmp_path: Path) -> None:
        path = tmp_path / "a.gz"
        path.write_text("plain\n")
        assert next(iter(read_batches([path])))[0].text == "plain"

    @pytest.mark.parametrize("piece", [1, 3, 1000])
    def test_members_padding_and_any_pieces(self, piece: int) -> None:
        data = gzip.compress(self.DATA[:999]) + gzip.compress(self.DATA[999:2000]) + b"\0" * 600
        data += gzip.compress(self.DATA[2000:]) + b"\0" * 5
        events, _ = read(*[data[i : i + piece] for i in range(0, len(data), piece)])
        assert events == read(self.DATA)[0]

    def test_a_small_file_that_unpacks_to_much(self) -> None:
        data = gzip.compress(b"\n" * 10_000_000)
        _, counts = read(data)
        assert counts.blank == 10_000_000

    def test_truncated(self) -> None:
        data = gzip.compress(self.DATA)
        reader = read_batches([Pieces(data[: len(data) // 2]), Pieces(b"next", name="b")], keep_going=True)
        events = [e for batch in reader for e in batch]
        assert 1000 < len(events) < 5000
        whole = self.DATA.decode().splitlines()
        assert [e.text for e in events[:-2]] == whole[: len(events) - 2]
        assert whole[len(events) - 2].startswith(events[-2].text or "?")
        assert events[-1].text == "next"
        assert len(reader.counts.errors) == 1
        assert "truncated" in reader.counts.errors[0]

    def test_truncated_at_every_place_of_a_small_one(self) -> None:
        data = gzip.compress(b"one\ntwo\n")
        for end in range(3, len(data)):
            with pytest.raises(InputError, match="ends too early"):
                read(data[:end])

    def test_broken(self) -> None:
        data = bytearray(gzip.compress(self.DATA))
        data[-6] ^= 1  # the checksum
        with pytest.raises(InputError, match="broken gzip"):
            read(bytes(data))
        with pytest.raises(InputError, match="broken gzip"):
            read(gzip.compress(b"a\n") + b"trailing words")
        with pytest.raises(InputError, match="broken gzip"):
            read(b"\x1f\x8b but no gzip")

    @pytest.mark.parametrize("size", [3, 100_000, 2_000_000])
    @pytest.mark.parametrize("broken", [-6, -2], ids=["checksum", "length"])
    def test_what_came_before_a_wrong_end_is_read(self, size: int, broken: int) -> None:
        """Every text of the input, and a place at its end, however few pieces it came in."""
        lines = [f"line {i} of {size}" for i in range(size // 20 + 1)]
        data = bytearray(gzip.compress("\n".join(lines).encode()))
        data[broken] ^= 1
        reader = read_batches([Pieces(bytes(data))], keep_going=True)
        assert [event.text for batch in reader for event in batch] == lines
        (said,) = reader.counts.errors
        place = int(said.partition("after byte ")[2].partition(":")[0])
        assert len(data) - 8 <= place < len(data)
        assert ("its checksum is wrong" in said) == (broken == -6)
        assert "Error -3" not in said

    def test_a_zlib_stream_is_not_gzip(self) -> None:
        with pytest.raises(InputError, match="binary"):
            read(zlib.compress(b"x" * 100 + b"\0" * 100))


class TestPipes:
    def test_each_line_of_a_slow_writer_at_once(self) -> None:
        out, into = os.pipe()
        reader = read_batches([Source(fd=out, name="pipe")])
        try:
            for text in (b"one\n", b'{"a": 1}\n', b"three\nfour\n"):
                os.write(into, text)
                batch = next(reader)  # would block for ever if it waited for more
                assert "\n".join(e.text or "" for e in batch).encode() + b"\n" == text
            os.write(into, b"no end")
            os.close(into)
            assert [e.text for e in next(reader)] == ["no end"]
            assert list(reader) == []
        finally:
            os.close(out)

    def test_a_writer_that_stops_inside_lines_and_characters(self) -> None:
        data = "eins\nzwölf\r\n\U0001f600 vier\nfünf".encode() * 50
        out, into = os.pipe()

        def write() -> None:
            for i in range(len(data)):
                os.write(into, data[i : i + 1])
            os.close(into)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            events = [e for batch in read_batches([Source(fd=out, name="pieces")]) for e in batch]
        finally:
            writer.join()
            os.close(out)
        assert events == read(data)[0]

    def test_standard_input_of_a_process(self, tmp_path: Path) -> None:
        program = (
            "from sophia.stream import read_batches\n"
            "for batch in read_batches():\n"
            "    print(*[f'{e.source}:{e.line}:{e.text}' for e in batch], sep='\\n', flush=True)\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for i in (1, 2, 3):
                process.stdin.write(f"line {i}\n")
                process.stdin.flush()
                assert process.stdout.readline() == f"-:{i}:line {i}\n"
            process.stdin.close()
            assert process.stdout.read() == ""
        assert process.returncode == 0
        path = tmp_path / "in.log"
        path.write_text("a\nb")
        with path.open() as file:
            done = subprocess.run(
                [sys.executable, "-c", program], stdin=file, capture_output=True, text=True, check=True
            )
        assert done.stdout == "-:1:a\n-:2:b\n"

    def test_a_pipe_that_another_owner_made_non_blocking(self) -> None:
        out, into = os.pipe()
        os.set_blocking(out, False)
        timer = threading.Timer(0.05, lambda: (os.write(into, b"late\n"), os.close(into)))
        timer.start()
        try:
            events = [e for batch in read_batches([Source(fd=out)]) for e in batch]
        finally:
            timer.join()
            os.close(out)
        assert [e.text for e in events] == ["late"]

    def test_a_fifo(self, tmp_path: Path) -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        sources = resolve([path])  # must not open it: that would wait for a writer
        writer = threading.Thread(target=path.write_text, args=("a\nb\n",))
        writer.start()
        events = [e for batch in read_batches(sources) for e in batch]
        writer.join()
        assert [e.text for e in events] == ["a", "b"]

    def test_a_socket_file_and_a_closed_descriptor(self, tmp_path: Path) -> None:
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "s"))
            with pytest.raises(InputError, match="cannot be read"):
                list(read_batches([tmp_path / "s"]))
        out, into = os.pipe()
        os.close(out)
        os.close(into)
        with pytest.raises(InputError, match="Bad file descriptor"):
            list(read_batches([Source(fd=out)]))


class TestEvent:
    def test_record(self) -> None:
        event = Event(1, "s", 2, "t", scope="u", invalid="nul")
        assert repr(event) == "Event(n=1, source='s', line=2, text='t', scope='u', invalid='nul')"
        assert event == Event(1, "s", 2, "t", scope="u", invalid="nul")
        assert len({event, Event(1, "s", 2, "t", scope="u", invalid="nul"), Event(2, "s", 2, "t")}) == 2
        assert event != "t"
        assert not hasattr(event, "__dict__")

    def test_counts(self) -> None:
        assert repr(Counts()).startswith("Counts(lines=0, events=0")

    def test_source_is_a_path_or_a_descriptor(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            Source("x", fd=0)
        assert list(Source().raw()) == []

    def test_import_loads_nothing_heavy(self) -> None:
        program = (
            "import sys, sophia; before = set(sys.modules); import sophia.stream; print(*(set(sys.modules) - before))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        heavy = {
            "typing",
            "re",
            "json",
            "csv",
            "pathlib",
            "dataclasses",
            "asyncio",
            "numpy",
            "importlib.resources",
        }
        assert "sophia.stream.readers" in done.stdout.split()
        assert heavy.isdisjoint(done.stdout.split())


@pytest.mark.parametrize("name", ["blocks", "demo", "event", "formats", "readers", "table"])
def test_examples(name: str) -> None:
    import doctest
    import importlib

    result = doctest.testmod(importlib.import_module(f"sophia.stream.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


class TestNotes:
    """What a user may have meant otherwise is said; see Counts.notes."""

    def read(self, path: Path, content: str, *text: str) -> list[str]:
        path.write_text(content)
        reader = read_batches([str(path)], keys=Keys(text=text) if text else None)
        for _ in reader:
            pass
        return reader.counts.notes

    def test_a_table_without_a_usual_column_is_read_as_lines_and_that_is_said(self, tmp_path: Path) -> None:
        (note,) = self.read(tmp_path / "q.CSV", "Question,Reply\nhello world,hi\n")
        assert "q.CSV: read as lines" in note
        assert "Question,Reply" in note
        assert "--text-key" in note

    def test_no_column_of_the_name_that_was_given(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no column 'Quesiton'; it has: 'Question,Reply'"):
            self.read(tmp_path / "q.csv", "Question,Reply\nhello world,hi\n", "Quesiton")

    def test_a_table_whose_header_is_not_sure_is_one_where_its_column_was_named(self, tmp_path: Path) -> None:
        assert self.read(tmp_path / "q.csv", "a,,Question\n1,2,hello\n", "question") == []

    @pytest.mark.parametrize("content", ["", "\n \n", "id,Content\n1,hello\n", '{"text": "hello"}\n'])
    def test_nothing_to_say(self, tmp_path: Path, content: str) -> None:
        assert self.read(tmp_path / "q.csv", content) == []

    def test_lines_are_lines_where_the_name_says_nothing(self, tmp_path: Path) -> None:
        assert self.read(tmp_path / "q.log", "Question,Reply\n", "body") == []

    def test_objects_without_a_text_name_their_keys(self, tmp_path: Path) -> None:
        (note,) = self.read(tmp_path / "a.jsonl", '{"ts": 1, "body": "x"}\n{"ts": 2}\n')
        assert "the first one has 'ts', 'body'" in note
        assert self.read(tmp_path / "b.jsonl", '{"ts": 1}\n{"text": "hello"}\n') == []
        assert self.read(tmp_path / "c.jsonl", '{"text": 5}\n') == []
