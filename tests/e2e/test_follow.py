# Over 600 lines: every way a followed input can change, over one harness of files and processes.
"""`sophia run --follow`: files that are written, replaced, cut and deleted meanwhile; FIFOs, sockets, descriptors.

Records do not hold their text, so a line carries an `id` where the test asks which came.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import sophia

from .conftest import DEADLINE, Live, Run, records, without

Start = Callable[..., Live]
FOLLOW = ("--follow", "--out", "-", "--no-store")


def said(name: object, text: str = "") -> str:
    """A JSON line that comes back by its id."""
    return json.dumps({"text": text or f"this is what {name} says", "id": str(name)}) + "\n"


def ids(decisions: list[dict[str, Any]]) -> list[str]:
    return [decision["id"] for decision in decisions]


def append(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield Path(folder)


class TestFiles:
    def test_what_is_there_and_then_each_line_at_once(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "app.log"
        log.write_text("".join(said(i) for i in range(1000)))
        live = start("run", "app.log", *FOLLOW)
        assert ids(live.records(1000)) == [str(i) for i in range(1000)]
        for i in range(20):
            append(log, said(f"more-{i}"))
            assert live.record()["id"] == f"more-{i}"
        assert live.end(signal.SIGTERM) == 143
        assert live.rest() == []
        summary = json.loads(next(tmp_path.glob("sophia-out/*/summary.json")).read_text())
        assert summary["inputs"]["events"] == 1020
        assert summary["inputs"]["bytes"] == {"app.log": log.stat().st_size}

    def test_the_same_decisions_as_without(self, start: Start, command: Run, tmp_path: Path) -> None:
        random.seed(5)
        text = "".join(f"worker {i % 7} finished job {i * 37} in {i % 90} ms\n" for i in range(3000)).encode()
        (tmp_path / "whole.log").write_bytes(text)
        log = tmp_path / "app.log"
        live = start("run", "app.log", *FOLLOW)
        at = 0
        while at < len(text):
            end = min(len(text), at + random.choice((1, 30, 5_000, 40_000)))
            append(log, text[at:end])
            at = end
        decisions = live.records(3000)
        live.end(signal.SIGTERM)
        whole = records(command("run", "whole.log", "--report", "none", "--out", "-", "--no-store", "--quiet").stdout)
        assert without(decisions, "us", "source") == without(whole, "us", "source")

    def test_an_unfinished_line_waits_and_is_given_out_at_the_end(self, start: Start, tmp_path: Path) -> None:
        log, other = tmp_path / "app.log", tmp_path / "other.log"
        append(log, said("one") + said("two")[:20])
        append(other, said("other"))
        live = start("run", "app.log", "other.log", *FOLLOW)
        assert sorted(ids(live.records(2))) == ["one", "other"]
        append(log, said("two")[20:])
        assert live.record()["id"] == "two"
        append(log, "the end has no line break")
        for turn in range(3):  # the other is read after it, in the same turns
            append(other, said(turn))
            assert live.record()["id"] == str(turn)
        assert live.silent()
        assert live.end(signal.SIGTERM) == 143
        (last,) = live.rest()
        assert (last["why"], last["source"], last["line"]) == ("invalid", "app.log", 3)  # no JSON, but decided

    def test_replaced_by_rename(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "app.log"
        append(log, said("old"))
        live = start("run", "app.log", *FOLLOW)
        assert live.record()["id"] == "old"
        for turn in range(3):
            with log.open("ab", buffering=0) as writer:  # a daemon that has not been told yet
                log.rename(tmp_path / f"app.log.{turn}")
                writer.write(said(f"late-{turn}").encode())
                assert live.record()["id"] == f"late-{turn}"
            append(log, said(f"new-{turn}"))
            new = live.record()
            assert (new["id"], new["source"], new["line"]) == (f"new-{turn}", "app.log", 1)
        assert live.said().count("was replaced") == 3
        assert live.end(signal.SIGTERM) == 143

    def test_the_old_one_is_read_to_its_end_first(self, start: Start, tmp_path: Path) -> None:
        """A lot is in the old one when the new one is already there, and its last line has no line break."""
        log = tmp_path / "app.log"
        append(log, said("first"))
        live = start("run", "app.log", *FOLLOW)
        live.record()
        expected = [str(i) for i in range(20_000)] + ["new"]
        live.process.send_signal(signal.SIGSTOP)
        append(log, "".join(said(i) for i in range(20_000))[:-1])
        log.rename(tmp_path / "app.log.1")
        append(log, said("new"))
        live.process.send_signal(signal.SIGCONT)
        got = ids(live.records(20_001))
        assert sorted(got) == sorted(expected)
        assert got[:19_999] == expected[:19_999]
        live.end(signal.SIGTERM)

    def test_a_writer_that_changes_to_the_new_file_later(self, start: Start, tmp_path: Path) -> None:
        """Two writers, of which one still writes into the old file when the new one has lines."""
        log = tmp_path / "app.log"
        append(log, said("start"))
        live = start("run", "app.log", *FOLLOW)
        live.record()
        with log.open("ab", buffering=0) as slow:
            log.rename(tmp_path / "app.log.1")
            append(log, said("new"))
            assert live.record()["id"] == "new"
            slow.write(said("late").encode())
            assert live.record()["id"] == "late"
        live.end(signal.SIGTERM)

    @pytest.mark.parametrize("refill", [0, 1, 3, 400])
    def test_cut(self, start: Start, tmp_path: Path, refill: int) -> None:
        """copytruncate, also when the file has grown past its old size before anyone looks."""
        log = tmp_path / "app.log"
        append(log, "".join(said(f"old-{i}") for i in range(3)))
        live = start("run", "app.log", *FOLLOW)
        live.records(3)
        live.process.send_signal(signal.SIGSTOP)
        with log.open("r+b") as file:
            file.truncate(0)
            file.write("".join(said(f"new-{i}") for i in range(refill)).encode())
        live.process.send_signal(signal.SIGCONT)
        assert ids(live.records(refill)) == [f"new-{i}" for i in range(refill)]
        if not refill:
            live.until(lambda: "was cut" in live.said())
        append(log, said("after"))
        after = live.record()
        assert (after["id"], after["line"]) == ("after", refill + 1)
        assert live.said().count("was cut") == 1
        live.end(signal.SIGTERM)

    def test_cut_under_a_writer_that_does_not_append(self, start: Start, tmp_path: Path) -> None:
        """The file is then full of NULs up to the writer's place; the run goes on."""
        log = tmp_path / "app.log"
        with log.open("wb", buffering=0) as writer:
            writer.write(said("one").encode() * 50)
            live = start("run", "app.log", *FOLLOW)
            live.records(50)
            os.truncate(log, 0)
            writer.write(said("two").encode() + said("three").encode())
            assert live.record()["why"] == "invalid"
            assert live.record()["id"] == "three"
        live.end(signal.SIGTERM)

    def test_appears_later_vanishes_and_comes_back(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "app.log"
        live = start("run", log, *FOLLOW)
        live.until(lambda: "not there yet" in live.said())
        log.parent.mkdir()
        append(log, said("first"))
        assert live.record()["id"] == "first"
        log.unlink()
        live.until(lambda: "was deleted" in live.said())
        append(log, said("again"))
        assert live.record()["id"] == "again"
        log.unlink()
        log.mkdir()
        live.until(lambda: "Is a directory" in live.said())
        log.rmdir()
        append(log, said("third"))
        assert live.record()["id"] == "third"
        log.rename(tmp_path / "aside")
        append(tmp_path / "aside", said("moved"))
        assert live.record()["id"] == "moved"
        (tmp_path / "aside").rename(log)
        append(log, said("back"))
        assert live.record()["id"] == "back"
        assert live.end(signal.SIGTERM) == 143

    def test_deleted_files_are_let_go(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "app.log"
        append(log, said("old"))
        live = start("run", "app.log", *FOLLOW)
        live.record()
        folder = Path(f"/proc/{live.process.pid}/fd")
        if not folder.exists():
            pytest.skip("needs /proc")

        def holds() -> bool:
            return any("app.log" in str(fd.readlink()) for fd in folder.iterdir() if fd.is_symlink())

        assert holds()
        log.unlink()
        live.until(lambda: not holds())
        live.end(signal.SIGTERM)

    def test_a_link_that_is_pointed_elsewhere(self, start: Start, tmp_path: Path) -> None:
        for name in ("a", "b"):
            append(tmp_path / name, said(name))
        (tmp_path / "app.log").symlink_to("a")
        live = start("run", "app.log", *FOLLOW)
        assert live.record()["id"] == "a"
        (tmp_path / "new").symlink_to("b")
        (tmp_path / "new").rename(tmp_path / "app.log")
        assert live.record()["id"] == "b"
        live.end(signal.SIGTERM)

    def test_many_rotations_lose_and_double_nothing(self, start: Start, tmp_path: Path) -> None:
        """Any mix of small writes, renames and new files, faster than the polls."""
        random.seed(11)
        log = tmp_path / "app.log"
        live = start("run", "app.log", *FOLLOW)
        live.until(lambda: "not there yet" in live.said())
        got: list[str] = []
        total = 0
        for turn in range(12):
            first = total
            for _ in range(random.randrange(1, 6)):
                append(log, "".join(said(total + i) for i in range(7)))
                total += 7
            # not before this file was seen: of two that come within one look nobody could know the first
            while not got or int(got[-1]) < first:
                got += ids(live.records(1))
            log.rename(tmp_path / f"app.log.{turn}")
        got += ids(live.records(total - len(got)))
        assert sorted(map(int, got)) == list(range(total))
        live.end(signal.SIGTERM)

    def test_broken_bytes_and_huge_lines_do_not_stop_it(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "app.log"
        append(log, b"caf\xc3\xa9\n")
        live = start("run", "app.log", *FOLLOW)
        live.record()
        append(log, b"caf\xe9 \xff\xfe\n")
        assert live.record()["why"] == "invalid"
        append(log, b"nul \0 inside\n")
        assert live.record()["why"] == "invalid"
        append(log, b"x" * 200_000 + b"\n")
        assert live.record()["why"] == "too-long"
        append(log, b"fine\n")
        assert live.record()["why"] == "novel"
        live.end(signal.SIGTERM)

    def test_limit(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "app.log"
        append(log, said(1) + said(2))
        live = start("run", "app.log", *FOLLOW, "--limit", "3")
        live.records(2)
        append(log, said(3) + said(4))
        assert live.record()["id"] == "3"
        assert live.end() == 0
        assert live.rest() == []


class TestFormats:
    def test_several_inputs_each_with_its_own_format_and_line(self, start: Start, tmp_path: Path) -> None:
        """Pieces of lines of three inputs come in turns; each is put together on its own."""
        one, two, three = (tmp_path / name for name in ("a.jsonl", "b.csv", "c.log"))
        append(one, said("j1"))
        append(two, 'id,text\nc1,"two\nlines"\n')
        append(three, "plain\n")
        live = start("run", "a.jsonl", "b.csv", "c.log", *FOLLOW)
        first = live.records(3)
        assert ids(first)[:2] == ["j1", "c1"]
        line = said("j2")
        append(one, line[:9])
        append(two, 'c2,"open')
        append(three, "pla")
        append(one, line[9:])
        assert live.record()["id"] == "j2"
        append(three, "in\n")
        assert live.record()["why"] == "known-pattern"
        append(two, '\nclosed"\n')
        assert live.record()["id"] == "c2"
        assert live.end(signal.SIGTERM) == 143
        summary = json.loads(next(tmp_path.glob("sophia-out/*/summary.json")).read_text())
        assert summary["inputs"]["formats"] == {"a.jsonl": "jsonl", "b.csv": "csv", "c.log": "lines"}
        assert summary["inputs"]["bad"] == {}

    def test_a_busy_input_does_not_starve_the_others(self, start: Start, tmp_path: Path) -> None:
        append(tmp_path / "busy.log", "".join(said(f"busy-{i}") for i in range(30_000)))
        append(tmp_path / "calm.log", said("calm"))
        live = start("run", "busy.log", "calm.log", *FOLLOW)
        assert "calm" in ids(live.records(10_000))
        live.end(signal.SIGTERM)

    @pytest.mark.parametrize("way", ["cut", "renamed"])
    @pytest.mark.parametrize("header", ["", "text,id\n"])
    def test_csv_after_a_new_beginning(self, start: Start, tmp_path: Path, way: str, header: str) -> None:
        """Most writers of CSV write the header once, at their start; some into each file."""
        log = tmp_path / "app.csv"
        append(log, "id,text\n1,hello there\n")
        live = start("run", "app.csv", *FOLLOW)
        assert live.record()["id"] == "1"
        if way == "cut":
            os.truncate(log, 0)
            live.until(lambda: "was cut" in live.said())
        else:
            log.rename(tmp_path / "old.csv")
        append(log, f"{header}{'good bye,2' if header else '2,good bye'}\n")
        assert live.record()["id"] == "2"
        live.end(signal.SIGTERM)

    def test_another_format_after_a_rotation(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "app.log"
        append(log, "plain words\n")
        live = start("run", "app.log", *FOLLOW)
        live.record()
        log.rename(tmp_path / "old.log")
        append(log, said("json"))
        assert live.record()["id"] == "json"
        live.end(signal.SIGTERM)


class TestRefused:
    def test_gzip(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "app.log.gz").write_bytes(gzip.compress(b"text\n"))
        done = command("run", "--report", "none", "app.log.gz", "--follow", "--out", "d.jsonl")
        assert done.returncode == 2
        assert b"app.log.gz: gzip data cannot be followed; read it without --follow" in done.stderr
        assert not (tmp_path / "d.jsonl").exists()

    def test_what_is_there_and_no_text(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "data.bin").write_bytes(b"a\0b")
        assert command("run", "data.bin", "--follow").returncode == 3
        assert command("run", tmp_path, "--follow").returncode == 3
        assert command("run", "*.log", "--follow").returncode == 3
        assert command("run", "", "--follow").returncode == 3

    @pytest.mark.parametrize("content", [b"a\0b", gzip.compress(b"text\n", mtime=0), "text".encode("utf-16")])
    def test_a_file_that_turns_out_to_be_no_text_stops_nobody(
        self, start: Start, tmp_path: Path, content: bytes
    ) -> None:
        append(tmp_path / "good.log", said("good"))
        live = start("run", "late.log", "good.log", *FOLLOW)
        live.record()
        append(tmp_path / "late", content)
        (tmp_path / "late").rename(tmp_path / "late.log")
        live.until(lambda: live.said().count("late.log:") == 2)
        append(tmp_path / "good.log", said("better"))
        assert live.record()["id"] == "better"
        append(tmp_path / "late", said("text now"))
        (tmp_path / "late").rename(tmp_path / "late.log")
        assert live.record()["id"] == "text now"
        assert live.end(signal.SIGTERM) == 143
        summary = json.loads(next(tmp_path.glob("sophia-out/*/summary.json")).read_text())
        assert len(summary["inputs"]["errors"]) == 1


class TestFifo:
    def test_writers_come_and_go(self, start: Start, tmp_path: Path) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        live = start("run", "fifo", *FOLLOW)
        for turn in range(5):
            with fifo.open("wb", buffering=0) as writer:
                writer.write(said(f"{turn}-a").encode())
                assert live.record()["id"] == f"{turn}-a"
                writer.write(said(f"{turn}-b").encode()[:-1])  # its end is the end of the line
            assert live.record()["id"] == f"{turn}-b"
        fifo.open("wb").close()  # one that says nothing
        with fifo.open("wb", buffering=0) as writer:
            writer.write(said("last").encode())
        assert live.record()["id"] == "last"
        assert live.end(signal.SIGINT) == 130

    def test_without_follow_the_first_writer_ends_it(self, start: Start, tmp_path: Path) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        for text in (said(1) + said(2), ""):
            live = start("run", "fifo", "--out", "-", "--no-store")
            with fifo.open("wb", buffering=0) as writer:
                writer.write(text.encode())
            assert ids(live.rest()) == ["1", "2"][: text.count("\n")]
            assert live.end() == 0

    def test_a_second_writer_before_the_first_has_gone(self, start: Start, tmp_path: Path) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        live = start("run", "fifo", "--out", "-", "--no-store")
        with fifo.open("wb", buffering=0) as one, fifo.open("wb", buffering=0) as two:
            one.write(said(1).encode())
            one.close()
            assert live.record()["id"] == "1"
            two.write(said(2).encode())
            assert live.record()["id"] == "2"
        assert live.end() == 0

    def test_a_file_and_a_fifo_and_standard_input_at_once(self, start: Start, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        live = start("run", "fifo", "app.log", "-", *FOLLOW, stdin=subprocess.PIPE)
        append(tmp_path / "app.log", said("file"))
        assert live.record()["id"] == "file"
        live.process.stdin.write(said("stdin").encode())
        live.process.stdin.flush()
        assert live.record()["id"] == "stdin"
        live.process.stdin.close()  # ends that one only
        (tmp_path / "fifo").write_text(said("fifo"))
        assert live.record()["id"] == "fifo"
        append(tmp_path / "app.log", said("file again"))
        assert live.record()["id"] == "file again"
        live.end(signal.SIGTERM)


class TestSocket:
    @pytest.mark.parametrize("follow", [(), ("--follow",)])
    def test_read_as_a_stream(self, start: Start, short: Path, follow: tuple[str, ...]) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(short / "s"))
            server.listen()
            server.settimeout(DEADLINE)
            live = start("run", short / "s", "--out", "-", "--no-store", *follow)
            for turn in range(2 if follow else 1):  # with --follow it connects again
                connection, _ = server.accept()
                with connection:
                    for i in range(3):
                        connection.sendall(said(f"{turn}-{i}").encode())
                        assert live.record()["id"] == f"{turn}-{i}"
                    connection.sendall(said(f"{turn}-last").encode()[:-1])
                assert live.record()["id"] == f"{turn}-last"
            if follow:
                live.process.send_signal(signal.SIGTERM)
            assert live.end() == (143 if follow else 0)

    def test_refused(self, command: Run, start: Start, short: Path) -> None:
        path = short / "s"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            done = command("run", "--report", "none", path, "--no-store", "--out", "-")
            assert done.returncode == 3
            assert b"nobody listens" in done.stderr
            live = start("run", path, *FOLLOW)
            live.until(lambda: "nobody listens" in live.said())
            server.listen()
            server.settimeout(DEADLINE)
            connection, _ = server.accept()
            with connection:
                connection.sendall(said("at last").encode())
                assert live.record()["id"] == "at last"
            live.end(signal.SIGTERM)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(short / "d"))
            done = command("run", "--report", "none", short / "d", "--no-store", "--out", "-")
            assert done.returncode == 3
            assert b"stream sockets" in done.stderr

    def test_a_signal_while_it_waits_for_a_server(self, start: Start, short: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(short / "s"))
            server.listen()
            live = start("run", short / "s", "--no-store")
            live.until(lambda: list(live.folder.glob("sophia-out/*/patterns.jsonl.*.part")))
            assert live.end(signal.SIGTERM) == 143


class TestDescriptors:
    def test_standard_input_by_its_names(self, command: Run) -> None:
        for name in ("-", "/dev/stdin", "/dev/fd/0"):
            for follow in ((), ("--follow",)):
                done = command(
                    "run",
                    "--report",
                    "none",
                    name,
                    "--out",
                    "-",
                    "--no-store",
                    "--quiet",
                    *follow,
                    stdin=said(1).encode() * 3,
                )
                assert done.returncode == 0, done.stderr
                assert done.stdout.count(b"\n") == 3

    def test_a_socket_as_standard_input(self, start: Start) -> None:
        for name in ("-", "/dev/stdin", "/dev/fd/0"):
            for follow in ((), ("--follow",)):
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    live = start("run", name, "--out", "-", "--no-store", *follow, stdin=theirs.fileno())
                    ours.sendall(said(1).encode())
                    assert live.record()["id"] == "1"
                    ours.shutdown(socket.SHUT_WR)
                    assert live.end() == 0

    def test_process_substitution(self, tmp_path: Path) -> None:
        run = f"{shlex.quote(sys.executable)} -m sophia run --report none --out - --no-store --quiet"
        home = str(Path(sophia.__file__).resolve().parents[1])
        for follow in ("", "--follow"):
            script = f"{run} {follow} <(echo one; echo two) <(sleep 0.2; printf three)"
            done = subprocess.run(
                ["bash", "-c", script],
                capture_output=True,
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": home},
                timeout=DEADLINE,
                check=True,
            )
            assert done.stdout.count(b"\n") == 3
            assert done.stderr == b""

    def test_a_file_as_standard_input_is_followed(self, start: Start, tmp_path: Path) -> None:
        log = tmp_path / "app.log"
        append(log, said(1))
        with log.open("rb", buffering=0) as file:
            live = start("run", "-", *FOLLOW, stdin=file)
        assert live.record()["id"] == "1"
        append(log, said(2))
        assert live.record()["id"] == "2"
        live.end(signal.SIGTERM)
        with log.open("rb", buffering=0) as file:  # somebody has read the first line before
            file.seek(len(said(1)))
            live = start("run", "-", *FOLLOW, stdin=file)
        assert live.record()["id"] == "2"
        append(log, said(3))
        assert live.record()["id"] == "3"
        os.truncate(log, 0)
        append(log, said(4))
        assert live.record()["id"] == "4"
        assert live.said().count("was cut") == 1
        live.end(signal.SIGTERM)

    def test_devices(self, command: Run) -> None:
        done = command("run", "--report", "none", "/dev/null", "--out", "-", "--no-store", "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert (
            command(
                "run", "/dev/null", "--report", "none", "--follow", "--out", "-", "--no-store", "--quiet"
            ).returncode
            == 0
        )
        assert command("run", "/dev/zero", "--out", "-", "--no-store").returncode == 3

    def test_a_terminal(self, start: Start) -> None:
        import pty

        master, slave = pty.openpty()
        live = start("run", "-", *FOLLOW, stdin=slave)
        os.close(slave)
        with os.fdopen(master, "r+b", buffering=0) as terminal:
            terminal.write(said("typed").encode())
            assert live.record()["id"] == "typed"
            terminal.write(b"\x04")
            assert live.end() == 0


def test_a_slow_writer_into_a_pipe_gets_each_decision_at_once(start: Start) -> None:
    live = start("run", "-", "--out", "-", "--no-store", stdin=subprocess.PIPE)
    pipe: IO[bytes] = live.process.stdin  # type: ignore[assignment]
    for i in range(10):
        pipe.write(said(i).encode())
        pipe.flush()
        assert live.record()["id"] == str(i)
    pipe.close()
    assert live.end() == 0


def test_from_a_settings_file(start: Start, command: Run, tmp_path: Path) -> None:
    (tmp_path / "sophia.toml").write_text("[run]\nfollow = true\nno_store = true\n")
    append(tmp_path / "app.log", said(1))
    live = start("run", "app.log", "--config", "sophia.toml", "--out", "-")
    live.record()
    append(tmp_path / "app.log", said(2))
    assert live.record()["id"] == "2"
    live.end(signal.SIGTERM)
    assert command("demo", "--report", "none", "--config", "sophia.toml").returncode == 0  # the sample does not grow


def test_a_bounded_rate_and_a_sample(start: Start, tmp_path: Path) -> None:
    append(tmp_path / "app.log", "".join(said(i) for i in range(40)))
    live = start("run", "app.log", *FOLLOW, "--rate", "0.01")
    live.record()
    assert live.end(signal.SIGTERM) == 143
    assert live.rest() == []
    live = start("run", "app.log", *FOLLOW, "--sample", "0.5")
    taken = ids([live.record()])
    append(tmp_path / "app.log", "".join(said(i) for i in range(40, 80)))
    while int(taken[-1]) < 60:
        taken += ids([live.record()])
    assert live.end(signal.SIGTERM) == 143
    taken += ids(live.rest())
    assert 20 < len(taken) < 60


def test_strict(start: Start, tmp_path: Path) -> None:
    append(tmp_path / "app.log", said(1))
    live = start("run", "app.log", *FOLLOW, "--strict")
    live.record()
    append(tmp_path / "app.log", "{\n" + said(3))
    assert live.end() == 3
    assert live.rest() == []
    assert "app.log:2: not-json" in live.said()


def test_killed_and_locked(start: Start, command: Run, tmp_path: Path) -> None:
    """A second process on the store is refused; after kill -9 the store opens and knows what was acknowledged."""
    log = tmp_path / "app.log"
    append(log, said("a", "how do I open the door"))
    live = start("run", "app.log", "--follow", "--out", "-", "--store", "mind")
    live.record()
    assert command("run", "app.log", "--store", "mind").returncode == 4
    assert live.end(signal.SIGKILL) == -signal.SIGKILL
    again = start("run", "app.log", "--follow", "--out", "-", "--store", "mind")
    assert again.record()["why"] == "known-pattern"
    assert again.end(signal.SIGINT) == 130


def test_stopped_by_another_thread(tmp_path: Path) -> None:
    from sophia.stream.readers import follow_batches

    log = tmp_path / "app.log"
    append(log, "one\ntwo\nhalf")
    told: list[str] = []
    reader = follow_batches([log, tmp_path / "none.log"], tell=told.append)
    assert [event.text for event in next(reader)] == ["one", "two"]
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    timer = threading.Timer(0.05, reader.stop)
    timer.start()
    assert [event.text for batch in reader for event in batch] == ["half"]
    timer.join()
    assert reader.stopped
    assert len(told) == 1
    assert len(os.listdir("/dev/fd")) < before  # noqa: PTH208
    assert list(reader) == []
