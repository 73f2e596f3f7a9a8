"""What a run writes to: never an input, never a file in use, and any kind of file that --out can name."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sophia

from .conftest import Live, Run, records, until

Start = Callable[..., Live]

TEXT = b"a line\nand another of 7 words, as it is\n"
LINE = f"{shlex.quote(sys.executable)} -W error -m sophia "
HOME = str(Path(sophia.__file__).resolve().parents[1])


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[bytes]:
    """A line of bash, in which `sophia` is the command of this tree."""
    line = line.replace("sophia ", LINE, 1)
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=os.environ | {"PYTHONPATH": HOME}, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes | None]:
    """All that lies in a folder, at any depth."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with inputs and files of every kind that a run may use."""
    for name in (
        "in.log",
        "run.log",
        "summary.json",
        "patterns.jsonl",
        "report.html",
        "g/a/b/x.log",
        "other.html",
        "d.jsonl",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TEXT)
    for name in ("r.toml", "masks", "settings.toml"):
        (tmp_path / name).write_text("")
    (tmp_path / "link").symlink_to("in.log")
    (tmp_path / "hard").hardlink_to(tmp_path / "in.log")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sophia.db").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


NO = "--no-store --report none "


@pytest.mark.parametrize(
    ("line", "words"),
    [
        # a file that is written beside the decisions
        *((f"sophia run {name} {NO} --out d.jsonl", name) for name in ("run.log", "summary.json", "patterns.jsonl")),
        ("sophia run report.html --no-store --out d.jsonl", "report.html"),
        (f"sophia run 'r*.log' {NO} --out d.jsonl", "run.log"),
        (f"sophia run {NO} --out d.jsonl < run.log", "standard input"),
        (f"sophia run in.log run.log.new --follow {NO} --out x/../run.log.new", "is an input"),
        (f"sophia run in.log n/summary.json --follow {NO} --out n/d.jsonl", "n/summary.json"),
        (f"sophia run in.log {NO} --rules summary.json --out d.jsonl", "summary.json"),
        # the decisions themselves
        *((f"sophia run in.log {NO} --out {name}", "is an input") for name in ("in.log", "./in.log", "link", "hard")),
        *((f"sophia run {name} {NO} --out in.log", "is an input") for name in ("link", "hard", "'i*.log'", "./in.log")),
        (f"sophia run 'g/**/*.log' {NO} --out g/a/b/x.log", "is an input"),
        (f"sophia run - {NO} --out in.log < in.log", "standard input"),
        (f"sophia run {NO} --out in.log < in.log", "standard input"),
        (f"sophia run /dev/stdin {NO} --out in.log < in.log", "is an input"),
        (f"sophia run in.log fl.jsonl --follow {NO} --out fl.jsonl", "is an input"),
        (f"sophia run fifo {NO} --out fifo", "is an input"),
        (f"sophia run in.log --json {NO} --out d.jsonl >> d.jsonl", "where the summary goes"),
        (f"sophia run in.log --json {NO} --out /dev/stdout", "both want standard output"),
        # the report
        ("sophia run other.html --no-store --report other.html", "--report other.html is an input"),
        ("sophia run --no-store --report other.html < other.html", "standard input"),
        ("sophia run in.log --no-store --out z.html --report z.html", "--report z.html is the file of --out"),
        ("sophia run in.log --no-store --report x.html --rules x.html", "--rules"),
        # its own decisions, read as they are written
        (f"sophia run in.log {NO} --out - >> in.log", "read its own decisions"),
        (f"sophia run in.log {NO} --out - >> hard", "read its own decisions"),
        (f"sophia run in.log {NO} --out /dev/stdout >> in.log", "read its own decisions"),
        (f"sophia run in.log {NO} --out /dev/fd/9 9>> in.log", "read its own decisions"),
        (f"sophia run {NO} --out - < in.log >> in.log", "read its own decisions"),
        (f"sophia run in.log {NO} --follow --out - >> in.log", "read its own decisions"),
        # what the run uses
        (f"sophia run in.log {NO} --rules r.toml --out r.toml", "the file of --rules"),
        (f"sophia run in.log {NO} --config settings.toml --out ./settings.toml", "the file of --config"),
        (f"sophia run in.log {NO} --mask masks --out masks", "the file of --mask"),
        (f"sophia run in.log {NO} --model model --out model/intents.sophia", "the file of --model"),
        # a store
        ("sophia run in.log --report none --store s --out s/x", "lies in the store s"),
        ("sophia run in.log --report none --store new --out new/deep/x", "lies in the store new"),
        ("sophia run in.log --report none --store new --out new", "is the store new"),
        ("sophia run in.log --report none --store new/mind --out new", "above the store new/mind"),
        ("sophia run in.log --no-store --report s/x.html", "lies in the store"),
        (f"sophia run in.log {NO} --out s/sophia.db", "lies in the store"),
        (f"sophia run in.log {NO} --out s/x", "lies in the store"),
        # what cannot be opened
        (f"sophia run in.log {NO} --out /dev/fd/9", "not open for writing"),
        (f"sophia run in.log {NO} --out /dev/stdin < in.log", "not open for writing"),
        (f"sophia run in.log {NO} --out {'a' * 300}", "File name too long"),
        (f"sophia run in.log {NO} --out x/{'a' * 300}/y", "File name too long"),
        (f"sophia run in.log --no-store --report {'a' * 300}.html", "File name too long"),
    ],
)  # fmt: skip
def test_what_must_not_be_written_is_refused_and_nothing_is_touched(files: Path, line: str, words: str) -> None:
    if "report" in line.replace("--report none", "") and not _can_report():
        pytest.skip("the packages of the report are not installed")
    before = contents(files)
    done = shell(files, line)
    assert done.returncode == 2, done.stderr
    assert words.encode() in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert contents(files) == before


@pytest.mark.parametrize("name", ["d.jsonl", "run.log", "summary.json"])
def test_the_file_of_standard_error_is_not_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    done = shell(tmp_path, f"sophia run in.log {NO} --out d.jsonl 2> {name}")
    assert done.returncode == 2
    assert b"is where standard error goes" in (tmp_path / name).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.log", name}


@pytest.mark.parametrize(
    "line",
    [
        f"sophia run in.log {NO} --out - 2>&1 | cat",
        f"sophia run in.log {NO} --out - --quiet > all 2>&1",
        f"sophia run - {NO} --out /dev/null < /dev/null",
        "sophia run in.log --no-store --report none --out run/d.jsonl --json > summary.json",
        f"sophia run in.log {NO} --out notes/run.log.jsonl",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_written(tmp_path: Path, line: str) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    done = shell(tmp_path, line)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["/dev/null", "/dev/stdout", "/dev/fd/1", ">(cat > got)", "fifo", "link-to-fifo", "link-to-null", "-"]
)
def test_an_output_that_is_no_regular_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link-to-fifo").symlink_to("fifo")
    (tmp_path / "link-to-null").symlink_to("/dev/null")
    if "fifo" in name:
        reader = subprocess.Popen(["cat", "fifo"], cwd=tmp_path, stdout=subprocess.PIPE)
    done = shell(tmp_path, f"sophia run {tmp_path}/in.log {NO} --quiet --out {name}; echo $? > code; wait")
    assert (tmp_path / "code").read_text() == "0\n", done.stderr
    assert done.stderr == b""
    if "fifo" in name:
        written = reader.communicate(timeout=60)[0]
    elif name.startswith(">"):
        until(lambda: (tmp_path / "got").read_bytes().count(b"\n") == 2)
        written = (tmp_path / "got").read_bytes()
    else:
        written = done.stdout
    assert len(records(written)) == (0 if "null" in name else 2)
    (folder,) = (tmp_path / "sophia-out").iterdir()
    assert {path.name for path in folder.iterdir()} == {"patterns.jsonl", "alarms.jsonl", "summary.json", "run.log"}
    assert not (tmp_path / "run.log").exists()
    log = Path("/dev/run.log")  # not ours, if it is there
    assert not log.exists() or str(tmp_path) not in log.read_text()


def test_a_redirection_is_added_to_and_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    for _ in range(2):
        done = shell(tmp_path, f"sophia run in.log {NO} --quiet --out /dev/stdout >> d.jsonl")
        assert (done.returncode, done.stderr) == (0, b"")
    assert len(records((tmp_path / "d.jsonl").read_bytes())) == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_wait_for_the_reader_of_a_fifo(start: Start, tmp_path: Path, number: int) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    os.mkfifo(tmp_path / "fifo")
    run = start("run", "in.log", "--out", "fifo", "--store", "mind")
    run.until(lambda: "waiting for its reader" in run.said())
    assert run.end(number) == 128 + number
    assert {path.name for path in tmp_path.iterdir() if "stderr" not in path.name} == {"in.log", "fifo"}


def test_a_reader_of_a_fifo_that_goes_ends_a_run_that_waits_for_input(start: Start, tmp_path: Path) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    os.mkfifo(tmp_path / "fifo")
    run = start("run", "in.log", "--follow", "--out", "fifo", "--no-store")
    reader = subprocess.run(["head", "-n", "2", "fifo"], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert len(records(reader.stdout)) == 2
    assert run.end() == 0


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


class TestTwoRunsInOneFolder:
    def test_the_second_says_what_it_replaces(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_bytes(TEXT)
        first = command("run", "in.log", "--no-store", "--out", "a.jsonl")
        again = command("run", "in.log", "--no-store", "--out", "./a.jsonl")
        second = command("run", "in.log", "--no-store", "--out", "b.jsonl")
        elsewhere = command("run", "in.log", "--no-store", "--out", "c/b.jsonl")
        assert [b"are replaced in" in done.stderr for done in (first, again, second, elsewhere)] == [
            False, False, True, False,
        ]  # fmt: skip
        assert b"the run with --out ./a.jsonl are replaced" in second.stderr
        assert "--out ./a.jsonl are replaced" in (tmp_path / "run.log").read_text()
        assert summary(tmp_path)["settings"]["out"] == "b.jsonl"

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"settings": 3}', '{"settings": {"out": 3}}', "[" * 100_000])
    def test_a_summary_of_somebody_else(self, command: Run, tmp_path: Path, content: str) -> None:
        (tmp_path / "in.log").write_bytes(TEXT)
        (tmp_path / "summary.json").write_text(content)
        done = command("run", "in.log", "--no-store", "--out", "b.jsonl", "--quiet")
        assert (done.returncode, done.stderr) == (0, b"")

    def test_at_once(self, start: Start, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "one")
        os.mkfifo(tmp_path / "two")
        runs = [start("run", name, "--no-store", "--out", f"{name}.jsonl") for name in ("one", "two")]
        for run, name, count in zip(runs, ("one", "two"), (3, 5), strict=True):
            with (tmp_path / name).open("w") as file:
                file.writelines(f"{'word ' * i}of {name}\n" for i in range(count))
                file.flush()
                out = tmp_path / f"{name}.jsonl"
                run.until(lambda out=out, count=count: out.exists() and len(out.read_bytes().splitlines()) == count)
            if name == "one":
                assert run.end() == 0, run.said()
                log = (tmp_path / "run.log").read_text()
        assert runs[1].end() == 0, runs[1].said()
        assert "--out one.jsonl are replaced" in runs[1].said()
        assert summary(tmp_path)["settings"]["out"] == "two.jsonl"
        assert len((tmp_path / "patterns.jsonl").read_bytes().splitlines()) == summary(tmp_path)["patterns"]
        assert log.count(" start ") == 1
        assert not list(tmp_path.glob("*.part"))


def test_what_a_killed_run_left_is_swept(start: Start, command: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    run = start("run", "fifo", "--no-store", "--out", "d.jsonl")
    run.until(lambda: list(tmp_path.glob("patterns.jsonl.*.part")))
    left = sorted(tmp_path.glob("*.part"))
    assert [path.name.partition(".")[0] for path in left] == ["patterns"]
    (tmp_path / "in.log").write_bytes(TEXT)
    assert command("run", "in.log", "--no-store", "--out", "e.jsonl").returncode == 0
    assert all(path.exists() for path in left)  # its run is at work
    run.end(signal.SIGKILL)
    (tmp_path / "mine.part").write_text("")
    assert command("run", "in.log", "--no-store", "--out", "e.jsonl").returncode == 0
    assert {path.name for path in tmp_path.glob("*.part")} == {"mine.part"}


def test_a_folder_that_is_removed_during_the_run(start: Start, tmp_path: Path) -> None:
    import shutil

    os.mkfifo(tmp_path / "fifo")
    run = start("run", "fifo", "--no-store", "--out", "out/d.jsonl")
    with (tmp_path / "fifo").open("w") as file:
        file.write("a line\n")
        file.flush()
        run.until(lambda: Path(tmp_path, "out", "d.jsonl").read_bytes() if Path(tmp_path, "out").exists() else b"")
        shutil.rmtree(tmp_path / "out")
    assert run.end() == 5
    assert "the folder out was removed or renamed during the run" in run.said()
    assert "run.log" not in run.said()
    assert "Errno" not in run.said()
    assert run.said().count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "sophia run in.log --no-store --report none --out - --quiet",
        "sophia run in.log --report none --store mind --out - --quiet --workers 2",
        "sophia run in.log --no-store --report none --json --quiet",
        "sophia route hello --no-store",
        "sophia doctor",
        "sophia store info --json",
        "sophia store info",
        "sophia --version",
    ],
)
def test_a_full_standard_output_is_named_once(tmp_path: Path, line: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "in.log").write_bytes(TEXT)
    if "store info" in line:
        assert shell(tmp_path, "sophia route hello").returncode == 0
    done = shell(tmp_path, f"{line} > /dev/full")
    assert done.returncode == 5
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.count(b"standard output") == 1
    assert done.stderr.count(b"No space left on device") == 1
    assert b"Errno" not in done.stderr


@pytest.mark.parametrize("name", ["/dev/full", "fifo"])
def test_a_full_output_is_named_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    (tmp_path / "fifo").symlink_to("/dev/full")
    done = shell(tmp_path, f"sophia run in.log {NO} --quiet --out {name}")
    assert done.returncode == 5
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.count(f"cannot be written to {name} (No space left on device)".encode()) == 1


FLAGS = ["--out", "--report", "--store", "--rules", "--mask", "--model", "--config"]


@pytest.mark.parametrize("flag", FLAGS)
def test_an_empty_name_is_refused(command: Run, tmp_path: Path, flag: str) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    done = command("run", "in.log", flag, "")
    assert done.returncode == 2
    assert f"argument {flag}: '' is not the name of a file".encode() in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.log"]


@pytest.mark.parametrize("key", [flag[2:] for flag in FLAGS[:-1]])
@pytest.mark.parametrize("value", ['"a\\u0000b"', '""', "3", '["a", ""]'])
def test_a_name_that_no_file_can_have_is_refused_with_its_line(
    command: Run, tmp_path: Path, key: str, value: str
) -> None:
    (tmp_path / "in.log").write_bytes(TEXT)
    section = "thalamus" if key == "mask" else "run"
    (tmp_path / "sophia.toml").write_text(f"[{section}]\n{key} = {value}\n")
    done = command("run", "in.log", "--config", "sophia.toml")
    assert done.returncode == 2
    assert done.stderr.startswith(f"sophia: sophia.toml:2: {key} is ".encode())
    assert {path.name for path in tmp_path.iterdir()} == {"in.log", "sophia.toml"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--no-store", "--store", "x"], "--no-store and --store x exclude each other"),
        (["--store", "loop"], "loop is not a folder"),
        (["--store", "loop/mind"], "Too many levels of symbolic links"),
        (["--store", "in.log"], "in.log is not a folder"),
        (["--store", "a" * 300], "File name too long"),
        (["--out", "loop"], "Too many levels of symbolic links"),
        (["--report", "loop.html"], "Too many levels of symbolic links"),
        (["--report", "."], "--report .: the page is a file whose name ends in .html"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    whole_command: Run, tmp_path: Path, flags: list[str], words: str
) -> None:
    if "--report" in flags and not _can_report():
        pytest.skip("the packages of the report are not installed")
    (tmp_path / "in.log").write_bytes(TEXT)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "loop.html").symlink_to("loop.html")
    done = whole_command("run", "in.log", "--report", "none", *flags)
    assert done.returncode == 2
    assert words.encode() in done.stderr
    assert b"internal" not in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in.log", "loop", "loop.html"}


def _can_report() -> bool:
    from sophia.stream.report import missing

    return not missing()
