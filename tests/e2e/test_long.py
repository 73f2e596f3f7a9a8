"""Long streams, huge lines, packed bombs: the memory of a run has a bound, and nothing of it is hidden."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sophia

from .conftest import DEADLINE, Live, records
from .long_stream import SHAPES, lines

MB = 1 << 20
# A process in between: the peak that a child inherits is that of the process which has started it.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
sys.stderr.write(f"peak {peak if sys.platform == 'darwin' else peak * 1024}\\n")
sys.exit(code)
"""


def measured(folder: Path, name: str, *arguments: str) -> tuple[int, float, dict[str, Any]]:
    """Exit code, peak of resident megabytes, and the summary of a run; its decisions go to d.jsonl."""
    command = [
        sys.executable,
        "-m",
        "sophia",
        "run",
        name,
        "--out",
        "d.jsonl",
        "--no-store",
        "--report",
        "none",
        *arguments,
    ]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, *command],
        capture_output=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])},
        timeout=4 * DEADLINE,
    )
    said = done.stderr.decode()
    assert "Traceback" not in said
    peak = int(said.rsplit("peak ", 1)[1]) / MB
    return done.returncode, peak, json.loads((folder / "summary.json").read_text())


def write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)


HUGE: dict[str, tuple[Callable[[], Iterator[bytes]], dict[str, int], list[int], int]] = {
    # pieces, bad events by reason, lines that are named, events
    "no line break at all": (lambda: (b"x" * MB for _ in range(100)), {"too-long-line": 1}, [1], 1),
    "in the middle": (
        lambda: iter([b"one\n", *[b"word " * (MB // 5)] * 100, b"\nthree\n"]),
        {"too-long-line": 1},
        [2],
        3,
    ),
    "wide characters": (
        lambda: iter(["\U0001f600".encode(), *["caf\u00e9 ".encode() * (MB // 6)] * 100]),
        {"too-long-line": 1},
        [1],
        1,
    ),
    "JSON": (
        lambda: iter([b'{"text": "', *[b"x" * MB] * 100, b'"}\n{"text": "ok"}\n']),
        {"too-long-line": 1},
        [1],
        2,
    ),
    "CSV with a quote that stays open": (
        lambda: iter([b'id,text\n1,"', *[b"abcdefgh" * (MB // 8)] * 100]),
        {"too-long-line": 1},
        [2],
        1,
    ),
    "only NULs": (
        lambda: iter([b"fine\n" * 1000, *[b"\0" * 90 + b"\n"] * 30]),
        {"nul": 30},
        [*range(1001, 1021)],
        1030,
    ),
    "NULs without an end": (lambda: iter([b"fine\n" * 1000, *[b"\0" * MB] * 50]), {"too-long-line": 1}, [1001], 1001),
    "only line breaks": (lambda: (b"\n" * MB for _ in range(20)), {}, [], 0),
}


@pytest.mark.parametrize("case", HUGE)
def test_huge_lines_take_bounded_memory_and_are_named(tmp_path: Path, case: str) -> None:
    pieces, bad, places, events = HUGE[case]
    write(tmp_path / "in.log", pieces())
    code, peak, summary = measured(tmp_path, "in.log")
    assert code == 0
    assert peak < 450  # wide characters: the line, its normal form and three views without disguises
    assert summary["inputs"]["bad"] == bad
    assert [place["line"] for place in summary["bad_lines"]] == places
    assert summary["decisions"] == events
    assert (tmp_path / "d.jsonl").read_bytes().count(b"\n") == events


def test_a_line_under_the_bound_is_kept_whole_and_not_learned(tmp_path: Path) -> None:
    write(tmp_path / "in.log", [b"a" * (15 * MB), b"\n", b"fine\n"])
    code, peak, summary = measured(tmp_path, "in.log")
    assert (code, summary["whys"]) == (0, {"novel": 1, "too-long": 1})
    assert peak < 350


class TestGzip:
    def test_a_bomb(self, tmp_path: Path) -> None:
        """Half a gigabyte out of half a megabyte, once as one line and once as many."""
        for text, decisions in ((b"x" * MB, 1), (b"\n" * MB, 0)):
            with gzip.open(tmp_path / "bomb.gz", "wb", compresslevel=1) as file:
                for _ in range(500 if decisions else 50):
                    file.write(text)
            code, peak, summary = measured(tmp_path, "bomb.gz")
            assert (code, summary["decisions"]) == (0, decisions)
            assert peak < 350

    def test_cut_off(self, tmp_path: Path) -> None:
        packed = gzip.compress("\n".join(lines(5000)).encode())
        (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
        code, _, summary = measured(tmp_path, "cut.gz", "--quiet")
        assert code == 3
        assert 1000 < summary["decisions"] < 5000
        (error,) = summary["inputs"]["errors"]
        assert "cut.gz: the gzip data ends too early" in error
        assert len(records((tmp_path / "d.jsonl").read_bytes())) == summary["decisions"]


class Long:
    """A run that is fed from here: its memory and time are read at every tenth of the stream."""

    def __init__(self, live: Live, count: int) -> None:
        self._pid = live.process.pid
        feeder = threading.Thread(target=self._feed, args=(live.process.stdin, count), daemon=True)
        feeder.start()
        self.resident = [self._resident()]
        self.cpu = [self._cpu()]
        for n in range(1, count + 1):
            record = live.record() if n in (1, count) else live.skip()
            if n % (count // 10) == 0:
                self.resident.append(self._resident())
                self.cpu.append(self._cpu())
        assert record["n"] == count
        self.peak = self._status("VmHWM")
        feeder.join()
        live.process.stdin.close()

    @staticmethod
    def _feed(pipe: Any, count: int) -> None:
        waiting: list[str] = []
        for line in lines(count):
            waiting.append(line)
            if len(waiting) == 1000:
                pipe.write(("\n".join(waiting) + "\n").encode())
                waiting.clear()
        pipe.flush()

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(name)

    def _resident(self) -> float:
        return self._status("VmRSS")

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


@needs_proc
@pytest.mark.parametrize("store", ["--no-store", "--store=mind"])
def test_memory_does_not_grow_with_the_stream(start: Callable[..., Live], store: str) -> None:
    """Without the exact cache, which is full only after 200,000 different lines: what is new may cost, no other."""
    arguments = ("run", "-", "--out", "-", "--quiet", "--no-cache", "--workers", "2", store)
    live = start(*arguments, stdin=subprocess.PIPE)
    long = Long(live, 100_000)
    assert long.peak < 400
    assert long.resident[10] - long.resident[3] < 12
    assert live.end() == 0


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("store", ["--no-store", "--store=mind"])
def test_a_million_lines(start: Callable[..., Live], store: str) -> None:
    live = start("run", "-", "--out", "-", "--quiet", store, stdin=subprocess.PIPE)
    long = Long(live, 1_000_000)
    tenths = [after - before for before, after in zip(long.cpu, long.cpu[1:], strict=False)]
    # for whoever runs it with -s: no clock decides a test
    sys.stdout.write(f"{store}: resident MB {[round(mb) for mb in long.resident]}, peak {long.peak:.0f}\n")
    sys.stdout.write(
        f"CPU s of each tenth {[round(s, 2) for s in tenths]}, last / first {tenths[-1] / tenths[0]:.2f}\n"
    )
    assert long.peak < 400
    assert long.resident[10] - long.resident[5] < 25
    assert live.end() == 0
    summary = json.loads(next(live.folder.glob("sophia-out/*/summary.json")).read_text())
    assert summary["decisions"] == 1_000_000
    assert summary["whys"]["novel"] >= SHAPES + 10_000 * 0.95
