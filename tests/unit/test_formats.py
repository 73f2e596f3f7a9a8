"""Formats: JSON lines and tables with every fault of theirs, and which of them an input is."""

from __future__ import annotations

import json

import pytest
from pieces import Pieces, one, read

from sophia.errors import InputError
from sophia.stream import Keys, read_batches
from sophia.stream.event import BAD_UTF8, CUT, NUL, SURROGATE


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
