"""Sources: files, what is packed, and what comes piece by piece."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from pieces import Pieces, read

from sophia.errors import ConfigError, InputError
from sophia.stream import Source, read_batches, resolve
from sophia.stream.sources import MAGICS


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
