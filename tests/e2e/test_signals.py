"""Signals, and standard streams that are closed, gone or strange: the command always ends as it should."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import sophia
from sophia.cli.main import main
from sophia.stream.demo import demo_path

from .conftest import DEADLINE, Live, records, without

BORN = "sophia: the brain was born after 200 inputs of 1 pattern"
BORN_IN_STORE = f"{BORN}; `sophia status --store mind` says what is usual"

Start = Callable[..., Live]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
FILES = {"decisions.jsonl", "patterns.jsonl", "summary.json"}


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a line of sh in which `sophia` is this interpreter's."""
    home = Path(sophia.__file__).resolve().parents[1]
    script = f'sophia() {{ {shlex.quote(sys.executable)} -W error -m sophia "$@"; }}\n{script}'
    environment = os.environ | {"PYTHONPATH": str(home)} | environment
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, cwd=folder, env=environment, timeout=DEADLINE, check=False
    )


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_signal_ends_the_run_with_everything_written(
    start: Start, tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    report = "report.html" if number == signal.SIGTERM or workers == "1" else "none"
    live = start("run", "-", "--workers", workers, "--store", "mind", "--report", report, stdin=subprocess.PIPE)
    live.process.stdin.write(b"one line\nanother line\nno end")
    live.process.stdin.flush()
    live.until(lambda: any(path.stat().st_size for path in tmp_path.glob("sophia-out/*/decisions.jsonl")))
    assert live.end(number) == CODES[number]
    (folder,) = tmp_path.glob("sophia-out/*")
    assert {path.name for path in folder.iterdir()} >= FILES
    if report != "none":
        assert "another line" in (tmp_path / report).read_text()
    assert not list(folder.glob("*.part"))
    decisions = records((folder / "decisions.jsonl").read_bytes())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["decisions"] == len(decisions) == 2
    assert summary["interrupted"] is True
    assert sum(pattern["count"] for pattern in records((folder / "patterns.jsonl").read_bytes())) == 2
    assert "interrupted" in live.said()
    assert "Traceback" not in live.said()
    with sophia.open(tmp_path / "mind") as brain:  # nobody holds it, and it knows what was decided
        assert brain.route("one line", kind="line").why == "known-pattern"


@pytest.mark.parametrize("number", CODES)
def test_a_signal_while_a_fifo_waits_for_its_first_writer(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "fifo")
    for follow in ([], ["--follow"]):
        live = start("run", "fifo", "--no-store", *follow)
        live.until(lambda: list(tmp_path.glob("sophia-out/*/patterns.jsonl.*.part")))
        assert live.end(number) == CODES[number], live.said()
        assert "0 inputs" in live.said()
        assert "Traceback" not in live.said()


def test_a_signal_in_the_middle_of_a_file_leaves_whole_lines_only(start: Start, tmp_path: Path) -> None:
    """The line of which a part was read is not decided: its other half is in the file."""
    lines = [f"worker {i} has finished its job with a text of some length {'x' * (i % 700)}" for i in range(40_000)]
    (tmp_path / "big.log").write_text("\n".join(lines))
    live = start("run", "big.log", "--out", "-", "--no-store", "--quiet", "--workers", "1")
    live.record()
    live.process.send_signal(signal.SIGTERM)
    decided = 1 + len(live.rest())
    assert live.end() == 143
    assert decided < len(lines)
    summary = json.loads(next(tmp_path.glob("sophia-out/*/summary.json")).read_text())
    assert summary["decisions"] == decided == summary["inputs"]["events"]


def test_what_was_taken_from_a_pipe_is_decided(start: Start) -> None:
    """No line that was read is lost: the reading ends, what was read is decided, and then the run."""
    live = start("run", "-", "--out", "-", "--no-store", "--batch", "1", stdin=subprocess.PIPE)
    text = b"".join(b"line %d of many\n" % i for i in range(3000))
    live.process.stdin.write(text)
    live.process.stdin.flush()
    live.record()
    live.process.send_signal(signal.SIGINT)
    decisions = 1 + len(live.rest())
    assert live.end() == 130
    left = text.count(b"\n") - decisions
    summary = json.loads(next(live.folder.glob("sophia-out/*/summary.json")).read_text())
    assert summary["inputs"]["events"] == decisions
    assert summary["inputs"]["bytes"]["-"] <= len(text)
    assert left == 0 or summary["inputs"]["bytes"]["-"] < len(text)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(start: Start, tmp_path: Path, second: signal.Signals) -> None:
    """The output is a pipe that nobody reads, so the run cannot end: the first signal waits, the second does not."""
    (tmp_path / "big.log").write_bytes(b"a line of a log that is long enough\n" * 20_000)
    out, into = os.pipe()
    try:
        live = start("run", "big.log", "--out", "-", "--no-store", stdout=into)
        size = bytearray(4)
        live.until(
            lambda: not fcntl.ioctl(out, termios.FIONREAD, size) and int.from_bytes(size, sys.byteorder) >= 60_000
        )
        live.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            live.process.wait(0.5)
        assert live.end(second) == CODES[second]
        assert live.said() == f"{BORN}\n"
    finally:
        os.close(out)
        os.close(into)


def test_a_background_job_of_a_script(tmp_path: Path) -> None:
    """A shell without job control has it ignore SIGINT, which is taken all the same; `nohup` SIGHUP, which is not."""
    run = f"{shlex.quote(sys.executable)} -m sophia run in --out d.jsonl --no-store --quiet --report none"
    script = f"""
        trap '' HUP
        mkfifo in; {run} & exec 3>in
        while ! ls patterns.jsonl.*.part > ls 2>&1; do sleep 0.01; done
        kill -HUP $!
        echo one line >&3
        while ! [ -s d.jsonl ]; do sleep 0.01; done
        kill -INT $!
        wait $!
    """
    done = shell(script, tmp_path)
    assert (done.returncode, done.stderr) == (130, b"")
    assert len(records((tmp_path / "d.jsonl").read_bytes())) == 1


def test_in_a_thread_that_is_not_the_main_one(tmp_path: Path) -> None:
    from sophia.cli.main import main

    codes: list[int] = []
    arguments = [
        "run",
        str(demo_path()),
        "--out",
        str(tmp_path / "d.jsonl"),
        "--no-store",
        "--quiet",
        "--report",
        "none",
    ]
    thread = threading.Thread(target=lambda: codes.append(main(arguments)))
    thread.start()
    thread.join()
    assert codes == [0]
    assert (tmp_path / "summary.json").exists()


class TestClosedStreams:
    @pytest.fixture(autouse=True)
    def log(self, tmp_path: Path) -> None:
        (tmp_path / "big.log").write_bytes(b"".join(b"user %d logged in from 192.0.2.7\n" % i for i in range(30_000)))

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    @pytest.mark.parametrize("workers", ["1", "2"])
    @pytest.mark.parametrize("store", ["--no-store", "--store=mind"])
    def test_head(self, tmp_path: Path, unbuffered: str, workers: str, store: str) -> None:
        run = f"sophia run --report none - --out - {store} --workers {workers}"
        script = f"cat big.log | {run} | head -1; echo ${{PIPESTATUS[1]}}"
        done = shell(script, tmp_path, PYTHONUNBUFFERED=unbuffered)
        line, code = done.stdout.splitlines()
        assert json.loads(line)["n"] == 1
        born = BORN_IN_STORE if store == "--store=mind" else BORN
        assert code == b"0"
        assert done.stderr.decode() in ("", f"{born}\n")  # the reader may go before it can be said
        summary = json.loads(next(tmp_path.glob("sophia-out/*/summary.json")).read_text())
        assert summary["output_closed"] is True
        assert summary["interrupted"] is False
        assert summary["decisions"] < 30_000
        assert not list(tmp_path.glob("sophia-out/*/*.part"))
        if store == "--store=mind":  # of one mind about what the pipe has taken
            with sophia.open(str(tmp_path / "mind")) as brain:
                assert sum(pattern.count for pattern in brain.thalamus.patterns.patterns()) == summary["decisions"]

    def test_the_reader_goes_while_the_input_is_quiet(self, tmp_path: Path) -> None:
        """Nothing has to be written for it to be seen."""
        for follow in ("", "--follow"):
            run = f"sophia run --report none in --out - {follow} --no-store > >(head -1)"
            script = f"mkfifo in; {run} & exec 3>in; echo hello >&3; wait $!"
            done = shell(script, tmp_path)
            assert (done.returncode, done.stderr) == (0, b"")
            assert done.stdout.count(b"\n") == 1
            (tmp_path / "in").unlink()

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_standard_output_closed_from_the_start(self, tmp_path: Path, unbuffered: str) -> None:
        commands = ("run big.log --report none --out - --store mind", "route hello --store mind", "doctor --store mind")
        for arguments in (*commands, "--version", "--help", "demo --report none --out -"):
            done = shell(f"sophia {arguments} >&-", tmp_path, PYTHONUNBUFFERED=unbuffered)
            said = f"{BORN_IN_STORE}\n" if arguments.startswith("run") else ""
            if arguments.startswith("demo"):
                said = f"{BORN.replace('1 pattern', '80 patterns')}\n"
            assert (done.returncode, done.stdout, done.stderr.decode()) == (0, b"", said), arguments
        with sophia.open(tmp_path / "mind"):
            pass  # nobody has written into it by the number of standard output

    def test_short_outputs_into_a_pipe_without_a_reader(self, tmp_path: Path) -> None:
        for arguments in ("route hello --no-store", "doctor", "--version", "--help"):
            done = shell(f"sophia {arguments} | true; echo ${{PIPESTATUS[0]}}", tmp_path)
            assert (done.stdout, done.stderr) == (b"0\n", b""), arguments

    @pytest.mark.parametrize("redirection", ["2>&-", "2> >(true)", "2>/dev/full"])
    def test_standard_error_that_cannot_be_written(self, tmp_path: Path, redirection: str) -> None:
        done = shell(f"sophia run --report none big.log --out d.jsonl --store mind {redirection}", tmp_path)
        assert done.returncode == 0
        assert (tmp_path / "d.jsonl").read_bytes().count(b"\n") == 30_000
        assert (tmp_path / "summary.json").exists()
        assert shell(f"sophia run --report none nowhere.log {redirection}", tmp_path).returncode == 3
        assert shell(f"sophia run --report none --nonsense {redirection}", tmp_path).returncode == 2

    def test_standard_input_closed(self, tmp_path: Path) -> None:
        done = shell("sophia run --report none big.log --out d.jsonl --store mind <&-", tmp_path)
        assert done.returncode == 0
        assert (tmp_path / "d.jsonl").read_bytes().count(b"\n") == 30_000
        done = shell("sophia run --report none - --out d.jsonl --no-store --quiet <&-", tmp_path)
        assert done.returncode == 3
        done = shell("sophia run --report none - --out d.jsonl --no-store <&-", tmp_path)
        assert b"standard input is closed" in done.stderr

    def test_all_closed(self, tmp_path: Path) -> None:
        done = shell("sophia run --report none big.log --out d.jsonl --store mind <&- >&- 2>&-", tmp_path)
        assert done.returncode == 0
        assert (tmp_path / "d.jsonl").read_bytes().count(b"\n") == 30_000

    def test_a_full_disk_behind_standard_output_is_an_error(self, tmp_path: Path) -> None:
        done = shell("sophia run --report none big.log --out - --no-store --quiet >/dev/full", tmp_path)
        assert done.returncode == 5
        assert b"No space left" in done.stderr
        assert b"Traceback" not in done.stderr

    def test_a_pipe_that_its_reader_has_made_non_blocking(self, start: Start, tmp_path: Path) -> None:
        """Part of a write is taken, the rest when there is room: no record is lost or cut."""
        out, into = os.pipe()
        os.set_blocking(into, False)
        live = start("run", "big.log", "--out", "-", "--no-store", "--quiet", stdout=into)
        os.close(into)
        with os.fdopen(out, "rb") as pipe:
            assert [record["n"] for record in records(pipe.read())] == list(range(1, 30_001))
        assert live.end() == 0
        assert live.said() == ""


LOCALES = [
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:strict"},
]


@pytest.mark.parametrize("environment", LOCALES, ids=str)
class TestLocale:
    def test_names_of_any_bytes(self, tmp_path: Path, environment: dict[str, str]) -> None:
        text = "grüße aus köln \U0001f600\ncaf\xe9\n"
        names = [b"caf\xc3\xa9.log", b"caf\xe9.log", b"two\nlines.log", b"tab\t\x1b[31mred.log", b"-.log"]
        for name in names:
            Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text(text, encoding="utf-8")
        script = """
            sophia run $'caf\\xc3\\xa9.log' $'caf\\xe9.log' $'two\\nlines.log' $'tab\\t\\e[31mred.log' ./-.log \\
                --report none --store $'m\\xe4nd' --out $'\\xf6ut\\n/d.jsonl' && sophia doctor --store $'m\\xe4nd'
        """
        done = shell(script, tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
        assert b"\x1b" not in done.stderr
        folder = os.fsencode(tmp_path) + b"/\xf6ut\n/"
        with open(folder + b"summary.json", encoding="utf-8") as file:  # noqa: PTH123
            summary = json.load(file)
        assert list(summary["inputs"]["bytes"]) == [
            "café.log", "caf\ufffd.log", "two\\x0alines.log", "tab\\x09\\x1b[31mred.log", "./-.log",
        ]  # fmt: skip
        with open(folder + b"patterns.jsonl", "rb") as file:  # noqa: PTH123
            assert {p["template"] for p in records(file.read())} >= set(text.splitlines())
        done = shell(
            "sophia run --report none $'nowh\\xe4re\\n.log'; sophia run --report none 'küche.log'",
            tmp_path,
            **environment,
        )
        assert b"Traceback" not in done.stderr
        assert done.stderr.count(b"\n") == 2

    def test_the_same_decisions_as_anywhere(self, tmp_path: Path, environment: dict[str, str]) -> None:
        (tmp_path / "in.log").write_text("grüße aus köln\nжелезо\n日本語 12\n日本語 13\n", encoding="utf-8")
        script = "sophia run --report none in.log --out - --no-store --quiet"
        here = records(shell(script, tmp_path, **environment).stdout)
        assert without(here, "us") == without(records(shell(script, tmp_path, LC_ALL="C.UTF-8").stdout), "us")
        script = "sophia route 'Grüße aus Köln?' --scope 'zoë' --no-store"
        one = records(shell(script, tmp_path, **environment).stdout)
        assert one[0]["why"] == "novel"
        assert one[0]["scope"] == "zoë"


def test_an_interrupt_before_a_command_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sophia.cli.main._parser", interrupted)
    assert main(["run", "-"]) == 130
