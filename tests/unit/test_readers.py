"""Readers: lines, batches, events, and what a user should be told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pieces import Pieces, read

from sophia.errors import ConfigError, InputError
from sophia.stream import Counts, Event, Keys, Source, read_batches
from sophia.stream.event import BAD_UTF8, CUT, NUL, PLAIN
from sophia.stream.readers import follow_batches


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
