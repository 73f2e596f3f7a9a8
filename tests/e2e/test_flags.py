# Over 600 lines: every flag of the command, which share the calls and the inputs.
"""Every flag of `sophia run`, every exit code, every file that it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.stream.demo import demo_path

from .conftest import Run, records, without

HOME = str(Path(sophia.__file__).resolve().parents[1])


def decided(command: Run, *arguments: str | Path, **more: Any) -> list[dict[str, Any]]:
    done = command("run", *arguments, "--out", "-", "--quiet", "--no-store", "--report", "none", **more)
    assert done.returncode == 0, done.stderr.decode()
    return records(done.stdout)


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """One line of every fault, and lines that only look like one."""
    lines = [
        b'{"text": "a good line"}',
        b'{"text": "another", "user": "ana"}',
        b"  ",
        b'{"text": ""}',
        b'{"text": null}',
        b'{"text": 42}',
        b'{"msg": "the text has another name here"}',
        b'{"text": "never closed',
        b"no JSON at all",
        b'{"text": "bytes \xff\xfe that are not UTF-8"}',
        b'{"text": "a \\u0000 inside"}',
        b'{"text": "half a pair \\ud83d of two"}',
        b'["an", "array"]',
        b'{"text": "ends in CR LF"}\r',
        b'\xef\xbb\xbf{"text": "a byte-order mark in the middle"}',
        b'{"text": "one", "text": "the last of two equal keys wins"}',
        b'{"text": "' + b"long " * 14_000 + b'"}',
        b'{"text": "no line break at the end"}',
    ]
    path = tmp_path / "traps.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


REASONS = {
    4: "empty", 5: "not-a-string", 6: "not-a-string", 8: "not-json", 9: "not-json", 10: "not-utf8", 11: "nul",
    12: "not-utf8", 13: "not-an-object", 17: "too-long",
}  # fmt: skip


class TestBadInput:
    def test_each_line_has_its_reason(self, command: Run, traps: Path, tmp_path: Path) -> None:
        done = command("run", "traps.jsonl", "--out", "d.jsonl", "--no-store")
        assert done.returncode == 0
        decisions = records((tmp_path / "d.jsonl").read_bytes())
        assert {d["line"]: d["reason"] for d in decisions} == {
            line: REASONS.get(line) for line in range(1, 19) if line != 3
        }
        assert all(d["source"] == "traps.jsonl" for d in decisions)
        assert all(d["route"] == "deep_thought" and d["answer"] is None for d in decisions if d["reason"])
        summary = summary_of(tmp_path)
        assert summary["inputs"]["lines"] == 18
        assert summary["inputs"]["blank"] == 1
        assert summary["reasons"] == {
            "empty": 1, "not-a-string": 2, "not-an-object": 1, "not-json": 2, "not-utf8": 2, "nul": 1, "too-long": 1,
        }  # fmt: skip
        assert summary["error_rate"] == pytest.approx(10 / 17, abs=1e-6)
        for line, reason in REASONS.items():
            assert f"traps.jsonl:{line}: {reason}\n".encode() in done.stderr
            assert f"traps.jsonl:{line}: {reason}" in (tmp_path / "run.log").read_text()

    @pytest.mark.parametrize("flag", [["--strict"], ["--on-error", "stop"]])
    @pytest.mark.parametrize("batch", ["1", "2", "256"])
    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_strict_stops_at_the_first(
        self, command: Run, traps: Path, tmp_path: Path, flag: list[str], batch: str, workers: str
    ) -> None:
        done = command(
            "run",
            traps,
            *flag,
            "--batch",
            batch,
            "--workers",
            workers,
            "--out",
            "d.jsonl",
            "--store",
            "mind",
            "--quiet",
        )
        assert done.returncode == 3
        assert done.stderr.decode() == f"sophia: {traps}:4: empty\n"
        assert [d["line"] for d in records((tmp_path / "d.jsonl").read_bytes())] == [1, 2]
        summary = summary_of(tmp_path)
        assert summary["stopped"] == f"{traps}:4: empty"
        assert summary["exit_code"] == 3
        assert len((tmp_path / "patterns.jsonl").read_bytes().splitlines()) == 2

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"text": "' + b"x" * 20_001 + b'"}', "too-long"),
            (b'{"text": "a' + "\u0301".encode() * 40 + b'"}', "invalid"),
            (b'{"text": "\\u00a0 "}', "empty"),
            (b'{"text": "\\u0000"}', "nul"),
            (b"{", "not-json"),
        ],
    )
    def test_strict_knows_every_fault(self, command: Run, tmp_path: Path, line: bytes, reason: str) -> None:
        (tmp_path / "in.jsonl").write_bytes(b'{"text": "fine"}\n' + line + b'\n{"text": "never reached"}\n')
        done = command("run", "in.jsonl", "--strict", "--out", "-", "--no-store", "--quiet")
        assert done.returncode == 3
        assert done.stderr.decode() == f"sophia: in.jsonl:2: {reason}\n"
        assert len(records(done.stdout)) == 1
        loose = records(command("run", "in.jsonl", "--out", "-", "--no-store", "--quiet").stdout)
        assert [d["reason"] for d in loose] == [None, reason, None]

    def test_strict_is_content_with_good_input(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("one line\n\n?\nanother line\n")
        assert command("run", "in.log", "--strict", "--no-store").returncode == 0

    def test_strict_and_an_input_that_breaks_off(self, command: Run, tmp_path: Path) -> None:
        import gzip

        packed = gzip.compress("".join(f"line {i} of {os.urandom(20).hex()}\n" for i in range(20_000)).encode())
        (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])
        (tmp_path / "next.log").write_text("the next input\n")
        strict = command("run", "cut.gz", "next.log", "--strict", "--out", "a.jsonl", "--no-store", "--quiet")
        loose = command("run", "cut.gz", "next.log", "--out", "b.jsonl", "--no-store", "--quiet")
        for done in (strict, loose):
            assert done.returncode == 3
            assert b"cut.gz: the gzip data ends too early" in done.stderr
        one, other = (records((tmp_path / name).read_bytes()) for name in ("a.jsonl", "b.jsonl"))
        assert 0 < len(one) == len(other) - 1
        assert other[-1]["source"] == "next.log"

    def test_twenty_of_a_kind_are_named(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.jsonl").write_text("not json\n" * 50 + '{"text": 1}\n')
        done = command("run", "in.jsonl", "--format", "jsonl", "--out", "d.jsonl", "--no-store")
        said = done.stderr.decode().splitlines()
        assert [line for line in said if line.startswith("in.jsonl:")] == [
            *(f"in.jsonl:{i}: not-json" for i in range(1, 21)),
            "in.jsonl:51: not-a-string",
        ]
        assert "  bad inputs: not-a-string 1, not-json 50" in said
        assert len(summary_of(tmp_path)["bad_lines"]) == 21

    @pytest.mark.parametrize("content", [b"\x7fELF\0\0\0\0", "größe\n".encode("utf-16"), b"PK\x03\x04 zip"])
    def test_an_input_that_is_not_text_is_exit_3_with_a_hint(
        self, command: Run, tmp_path: Path, content: bytes
    ) -> None:
        (tmp_path / "in.bin").write_bytes(content)
        done = command("run", "in.bin", "--store", "mind")
        assert done.returncode == 3
        assert done.stderr.startswith(b"sophia: in.bin: ")
        assert done.stderr.count(b"\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]


class TestFields:
    def test_the_keys_of_json(self, command: Run, tmp_path: Path) -> None:
        write(
            tmp_path / "in.jsonl",
            {"body": "When does it open?", "who": "ana", "room": "r1", "reply": "At nine.", "text": "not this"},
            {"body": "when does it open", "who": "ana", "room": "r1", "text": "nor this"},
            {"body": "when does it open", "who": "boris", "room": "r1", "text": "nor this"},
            {"body": "when does it open", "who": "ana", "room": "r2", "text": "nor this"},
        )
        flags = ["--text-key", "body", "--scope-key", "who", "--context-key", "room", "--answer-key", "reply"]
        decisions = decided(command, "in.jsonl", *flags)
        assert [d["answer"] for d in decisions] == [None, "At nine.", None, None]
        assert [d["scope"] for d in decisions] == ["ana", "ana", "boris", "ana"]

    def test_the_columns_of_csv(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.csv").write_text("Id,Was,Wer\n7,hello there,ana\n8,hello again,boris\n")
        decisions = decided(command, "in.csv", "--format", "csv", "--text-col", "was", "--scope-key", "WER")
        assert [(d["scope"], d["id"]) for d in decisions] == [("ana", "7"), ("boris", "8")]
        missing = command("run", "in.csv", "--format", "csv", "--text-col", "nothing", "--no-store", "--quiet")
        assert missing.returncode == 3
        assert b"has no column 'nothing'" in missing.stderr

    def test_the_first_key_that_is_present_is_taken(self, command: Run, tmp_path: Path) -> None:
        write(tmp_path / "in.jsonl", {"a": "rm -rf / now"}, {"b": "rm -rf / now"}, {"text": "rm -rf / now"})
        decisions = decided(command, "in.jsonl", "--text-key", "a", "--text-key", "b")
        assert [d["reason"] for d in decisions] == [None, None, "no-text"]

    @pytest.mark.parametrize("format", ["lines", "jsonl"])
    def test_the_format_can_be_said(self, command: Run, tmp_path: Path, format: str) -> None:
        write(tmp_path / "in.jsonl", {"text": "hello"})
        command("run", "in.jsonl", "--format", format, "--out", "d.jsonl", "--no-store")
        assert summary_of(tmp_path)["inputs"]["formats"] == {"in.jsonl": format}

    def test_naive_times_get_the_zone(self, command: Run, tmp_path: Path) -> None:
        stamps = ["2026-07-01 12:00:00", "2026-01-01T12:00", "2026-07-01T12:00:00Z", 1751364000, "yesterday", None]
        write(tmp_path / "in.jsonl", *({"text": f"line {i}", "ts": ts} for i, ts in enumerate(stamps)))
        alone = ["2026-07-01T12:00:00Z", "1751364000", "yesterday", None]
        utc, offset, berlin = (
            [d["ts"] for d in decided(command, "in.jsonl", *flags)]
            for flags in ([], ["--tz=-03:30"], ["--tz", "Europe/Berlin"])
        )
        assert utc == ["2026-07-01 12:00:00+00:00", "2026-01-01T12:00+00:00", *alone]
        assert offset == ["2026-07-01 12:00:00-03:30", "2026-01-01T12:00-03:30", *alone]
        assert berlin == ["2026-07-01 12:00:00+02:00", "2026-01-01T12:00+01:00", *alone]


class TestWhichInputs:
    def test_a_sample_repeats_and_is_counted(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("".join(f"line {i}\n" for i in range(2000)))
        lines = [d["line"] for d in decided(command, "in.log", "--sample", "0.25")]
        assert 400 < len(lines) < 600
        assert [d["line"] for d in decided(command, "in.log", "--sample", "0.25", "--batch", "7")] == lines
        assert [
            d["line"] for d in decided(command, "-", "--sample", "0.25", stdin=Path(tmp_path / "in.log").read_bytes())
        ] == lines
        assert [d["line"] for d in decided(command, "in.log", "--sample", "0.25", "--seed", "9")] != lines
        assert set(lines) < {d["line"] for d in decided(command, "in.log", "--sample", "0.5")}
        command("run", "in.log", "--sample", "0.25", "--out", "d.jsonl", "--no-store")
        summary = summary_of(tmp_path)
        assert summary["decisions"] == len(lines)
        assert summary["inputs"]["left_out"] == 2000 - len(lines)

    def test_a_rate_is_kept_without_being_busy(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("".join(f"line {i}\n" for i in range(30)))
        started = time.monotonic()
        command("run", "in.log", "--rate", "20", "--out", "d.jsonl", "--no-store")
        # 30 inputs at 20 a second, the first batch at once: no machine can be faster than that
        assert time.monotonic() - started >= 1.4
        summary = summary_of(tmp_path)
        assert summary["decisions"] == 30
        assert summary["cpu_seconds"] < summary["seconds"] / 2

    def test_an_interrupt_ends_the_waiting(self, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("".join(f"line {i}\n" for i in range(500)))
        arguments = [
            sys.executable,
            "-m",
            "sophia",
            "run",
            "in.log",
            "--rate",
            "0.01",
            "--out",
            "d.jsonl",
            "--no-store",
        ]
        env = os.environ | {"PYTHONPATH": HOME}
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, cwd=tmp_path, env=env) as process:
            out = tmp_path / "d.jsonl"
            while not out.exists() or not out.stat().st_size:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
        assert len(records(out.read_bytes())) == 1
        assert summary_of(tmp_path)["interrupted"]
        assert "interrupt" in (tmp_path / "run.log").read_text()

    def test_limit_and_max_chars(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("short\na line of more than ten\n" * 5)
        decisions = decided(command, "in.log", "--limit", "4", "--max-chars", "10")
        assert [d["why"] == "too-long" for d in decisions] == [False, True, False, True]


class TestMemory:
    def test_an_answer_lives_as_long_as_its_ttl(self, command: Run, tmp_path: Path) -> None:
        write(tmp_path / "in.jsonl", {"text": "How late is it?", "answer": "Late."})
        write(tmp_path / "again.jsonl", {"text": "how late is it"})
        for ttl, store in (("30d", "long"), ("1s", "short")):
            assert command("run", "in.jsonl", "--ttl", ttl, "--store", store).returncode == 0
            if ttl == "1s":
                time.sleep(1.1)
            done = command("run", "again.jsonl", "--store", store, "--out", "-", "--quiet")
            assert records(done.stdout)[0]["answer"] == ("Late." if ttl == "30d" else None)

    def test_no_store_leaves_the_folder_of_the_run_only(self, command: Run, tmp_path: Path) -> None:
        command("run", demo_path(), "--no-store")
        assert [path.name for path in tmp_path.iterdir()] == ["sophia-out"]

    def test_max_memory_bounds_the_tables(self, command: Run, tmp_path: Path) -> None:
        command("run", demo_path(), "--max-memory", "512M", "--out", "d.jsonl", "--no-store")
        kept = summary_of(tmp_path)["settings"]
        assert 100 << 20 < kept["cache_bytes"] < 512 << 20
        assert kept["pattern_capacity"] * 2200 + kept["cache_bytes"] < 512 << 20

    @pytest.mark.slow
    def test_memory_stays_under_the_bound(self, tmp_path: Path) -> None:
        import random

        words = random.Random(7)
        with (tmp_path / "in.jsonl").open("w") as file:
            for i in range(400_000):
                text = " ".join("".join(words.choices("abcdefghij", k=6)) for _ in range(8))
                file.write(json.dumps({"text": text, "answer": f"answer {i} {text}"}) + "\n")
        arguments = [sys.executable, "-m", "sophia", "run", "in.jsonl", "--max-memory", "256M", "--out", "d.jsonl"]
        env = os.environ | {"PYTHONPATH": HOME}
        subprocess.run([*arguments, "--no-store", "--quiet"], cwd=tmp_path, env=env, check=True)
        assert summary_of(tmp_path)["peak_memory"] < 256 << 20

    def test_the_seed_is_in_the_policy(self, command: Run) -> None:
        one, other = (decided(command, demo_path(), "--limit", "1", "--seed", seed) for seed in ("1", "2"))
        assert one[0]["policy_version"] != other[0]["policy_version"]


class TestGates:
    @pytest.mark.parametrize(
        ("gates", "code", "word"),
        [
            (["danger"], 1, "danger: 1 input"),
            (["novel"], 1, "novel: 2 inputs"),
            (["error-rate>0.01"], 1, "error-rate 0.25 is over 0.01"),
            (["error-rate>25%"], 0, ""),
            (["danger", "error-rate>0.9"], 1, "danger: 1 input"),
            ([], 0, ""),
        ],
    )
    def test_what_fires(self, command: Run, tmp_path: Path, gates: list[str], code: int, word: str) -> None:
        (tmp_path / "in.jsonl").write_text(
            '{"text": "rm -rf / now"}\n{"text": "hello there"}\n{"text": "something else"}\nnot json\n'
        )
        flags = [part for gate in gates for part in ("--fail-on", gate)]
        done = command("run", "in.jsonl", *flags, "--out", "d.jsonl", "--no-store", "--quiet")
        assert done.returncode == code
        assert done.stderr.decode() == (f"sophia: --fail-on {word}\n" if word else "")
        assert summary_of(tmp_path)["failed_on"] == ([word] if word else [])
        assert len(records((tmp_path / "d.jsonl").read_bytes())) == 4

    def test_quiet_input_fires_nothing(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "empty.log").write_text("")
        gates = ["--fail-on", "danger", "--fail-on", "novel", "--fail-on", "error-rate>0"]
        assert command("run", "empty.log", *gates, "--no-store").returncode == 0


class TestScore:
    def test_precision_and_recall(self, command: Run, tmp_path: Path) -> None:
        rows = [
            *({"text": f"connection {i} closed", "label": "-"} for i in range(8)),
            {"text": "rm -rf / now", "label": "ATTACK"},
            {"text": "connection 77 closed", "label": "MISSED"},
            {"text": "what is this?"},
        ]
        write(tmp_path / "in.jsonl", *rows)
        done = command("run", "in.jsonl", "--score", "--out", "d.jsonl", "--no-store")
        score = summary_of(tmp_path)["score"]
        assert (score["labelled"], score["unlabelled"]) == (10, 1)
        danger = score["danger"]
        assert (danger["tp"], danger["fp"], danger["fn"], danger["tn"]) == (1, 0, 1, 8)
        assert (danger["precision"], danger["recall"], danger["f1"]) == (1.0, 0.5, 0.6667)
        decisions = records((tmp_path / "d.jsonl").read_bytes())
        raised = score["raised"]
        assert raised["tp"] + raised["fp"] == sum(d["route"] == "deep_thought" for d in decisions[:10])
        assert {row["label"]: row["inputs"] for row in score["labels"]} == {"-": 8, "ATTACK": 1, "MISSED": 1}
        assert b"danger rule  precision 1.000, recall 0.500, f1 0.667 (of 2 alerts 1 found)" in done.stderr
        assert b"alert labels never raised: MISSED" in done.stderr

    def test_another_column(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.csv").write_text("text,class\nhello there,ham\nrm -rf / now,spam\n")
        command("run", "in.csv", "--score", "--label-key", "class", "--out", "d.jsonl", "--no-store")
        danger = summary_of(tmp_path)["score"]["danger"]
        assert (danger["tp"], danger["tn"], danger["f1"]) == (1, 1, 1.0)

    def test_without_labels(self, command: Run, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("hello\n")
        done = command("run", "in.log", "--score", "--out", "d.jsonl", "--no-store")
        assert b"score: no input has a label" in done.stderr
        assert summary_of(tmp_path)["score"]["raised"]["f1"] is None


class TestWhatIsTold:
    def test_the_summary_as_json(self, command: Run, tmp_path: Path) -> None:
        done = command("run", demo_path(), "--json", "--quiet", "--no-store", "--cost-per-call", "0.02")
        told = json.loads(done.stdout)
        (folder,) = (tmp_path / "sophia-out").iterdir()
        assert told == summary_of(folder)
        assert told["saved"]["calls"] == told["served_from_memory"] > 0
        assert told["saved"]["cost"] == pytest.approx(0.02 * told["served_from_memory"])

    def test_one_standard_output_for_one_thing(self, command: Run, tmp_path: Path) -> None:
        done = command("run", demo_path(), "--json", "--out", "-")
        assert done.returncode == 2
        assert b"--json and --out -" in done.stderr
        assert not list(tmp_path.iterdir())

    def test_what_a_run_wrote_down(self, command: Run, tmp_path: Path) -> None:
        command("run", demo_path(), "--store", "mind", "--ttl", "1h")
        (folder,) = (tmp_path / "sophia-out").iterdir()
        lines = (folder / "run.log").read_text().splitlines()
        assert [line.split()[1] for line in lines if line.split()[1] != "bad"] == [
            "start",
            "settings",
            "inputs",
            "birth",
            "end",
        ]
        assert '"ttl": 3600.0' in lines[1]
        assert f"sophia {sophia.__version__}" in lines[0]
        assert lines[-1].endswith("exit 0")

    def test_a_fault_of_ours_is_exit_5_with_a_traceback_in_the_log(self, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("hello\n")
        code = (
            "import sys, sophia.stream.writer as w\n"
            "def broken(*a): raise ZeroDivisionError('a fault\\nof ours')\n"
            "w.record_line = broken\n"
            "from sophia.cli.main import main\n"
            "sys.exit(main(['run', 'in.log', '--no-store', '--workers', sys.argv[1]]))\n"
        )
        for workers in ("1", "2"):
            done = subprocess.run(
                [sys.executable, "-c", code, workers],
                capture_output=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": HOME}, check=False,
            )  # fmt: skip
            assert done.returncode == 5
            assert done.stderr.count(b"\n") == 1
            assert b"ZeroDivisionError: a fault of ours" in done.stderr
            log = Path(tmp_path, done.stderr.decode().partition("(traceback in ")[2].rstrip(")\n"))
            assert "Traceback (most recent call last)" in log.read_text()
            assert "in broken" in log.read_text()

    @pytest.mark.parametrize("mode", ["auto", "plain", "none"])
    def test_no_terminal_no_escapes(self, command: Run, tmp_path: Path, mode: str) -> None:
        done = command("run", demo_path(), "--progress", mode, "--no-store")
        assert done.returncode == 0
        assert b"\x1b" not in done.stderr
        assert b"inputs read as jsonl" in done.stderr

    def test_a_locale_that_is_not_utf8(self, command: Run, tmp_path: Path) -> None:
        write(tmp_path / "größe.jsonl", {"größe": "naïve café", "scope": "größe"})
        locale = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        done = command("run", "größe.jsonl", "--text-key", "größe", "--no-store", "--json", **locale)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["reasons"] == {}
        decisions = decided(command, "größe.jsonl", "--text-key", "größe", **locale)
        assert (decisions[0]["source"], decisions[0]["scope"]) == ("größe.jsonl", "größe")
        asked = command("route", "Où est la gare?", "--answer", "Là-bas.", "--store", "mind", **locale)
        assert json.loads(asked.stdout)["why"] == "novel"
        again = command("route", "où est la gare", "--store", "mind")
        assert json.loads(again.stdout)["answer"] == "Là-bas."

    def test_standard_error_may_be_closed(self, tmp_path: Path) -> None:
        env = os.environ | {"PYTHONPATH": HOME}
        for redirect in ("2>&-", "2>/dev/full", "2>&1 | head -n 1"):
            line = f'"{sys.executable}" -m sophia run "{demo_path()}" --out d.jsonl --no-store {redirect}'
            subprocess.run(["sh", "-c", line], cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60)
            assert len(records((tmp_path / "d.jsonl").read_bytes())) == summary_of(tmp_path)["decisions"] > 1900


class TestTerminal:
    @pytest.mark.parametrize("kind", ["rich", "plain ANSI"])
    @pytest.mark.parametrize("colour", [True, False])
    def test_a_block_is_drawn_and_taken_away(self, tmp_path: Path, kind: str, colour: bool) -> None:
        (tmp_path / "in.jsonl").write_text("".join(f'{{"text": "job {i} is done"}}\n' for i in range(60)) + "bad\n")
        code = "import sys; from sophia.cli.main import main; sys.exit(main(sys.argv[1:]))"
        if kind != "rich":
            code = "import sys; sys.modules['rich'] = None; " + code
        arguments = ["run", "in.jsonl", "--rate", "100", "--out", "d.jsonl", "--no-store"]
        said = _on_a_terminal([sys.executable, "-c", code, *arguments], tmp_path, {} if colour else {"NO_COLOR": "1"})
        assert "inputs" in said
        assert "MiB" in said
        assert any(f"\x1b[{code}m" in said for code in (32, 33, 36)) == colour  # green, yellow, cyan
        assert said.count("in.jsonl:61: not-json") == 1
        shown = _screen(said)
        assert shown[0] == "in.jsonl:61: not-json"
        assert shown[1].startswith("61 inputs read as jsonl")
        assert not [line for line in shown if "MiB" in line]

    def test_plain_lines_now_and_then(self, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("".join(f"job {i} is done\n" for i in range(100)))
        code = (
            "import sys, sophia.cli.progress as progress\n"
            "progress._PLAIN_SECONDS = 0.0\n"
            "from sophia.cli.main import main\n"
            "sys.exit(main(sys.argv[1:]))\n"
        )
        arguments = ["run", "in.log", "--batch", "25", "--workers", "1", "--out", "d.jsonl", "--no-store"]
        said = _on_a_terminal([sys.executable, "-c", code, *arguments, "--progress", "plain"], tmp_path, {})
        lines = said.splitlines()
        told = [int(line.partition(" inputs, ")[0]) for line in lines[:4]]  # so many were written by then
        assert told == sorted(told)
        assert set(told) <= {0, 25, 50, 75, 100}
        for word in ("/s, p50 ", "us, p99 ", "reflex ", "novel ", ", danger 0, served 0, bad 0, ", " MiB"):
            assert word in lines[3]
        assert "\x1b" not in said

    def test_a_terminal_that_cannot_move_its_cursor(self, tmp_path: Path) -> None:
        (tmp_path / "in.log").write_text("one\ntwo\n")
        arguments = [sys.executable, "-m", "sophia", "run", "in.log", "--out", "d.jsonl", "--no-store"]
        assert "\x1b" not in _on_a_terminal(arguments, tmp_path, {"TERM": "dumb"})


def _on_a_terminal(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command writes to a terminal of 100 columns on standard error."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    env |= {"PYTHONPATH": HOME, "TERM": "xterm"} | environment
    said = b""
    with subprocess.Popen(arguments, stderr=follower, stdout=subprocess.DEVNULL, cwd=folder, env=env) as process:
        os.close(follower)
        while True:
            try:
                chunk = os.read(leader, 65_536)
            except OSError:  # Linux's way of saying that the other side is closed
                break
            if not chunk:
                break
            said += chunk
        assert process.wait(timeout=60) == 0, said
    os.close(leader)
    return said.decode()


def _screen(said: str) -> list[str]:
    """The lines that are left on the screen, for the few codes that a block uses."""
    import re

    lines = [""]
    row = column = 0
    for part in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", said):
        if part == "\n":
            row += 1
            column = 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            number = int(part[2:-1]) if part[2:-1].isdigit() else 1
            if part.endswith("A"):
                row = max(row - number, 0)
            elif part.endswith("J"):
                lines[row:] = [lines[row][:column]]
            elif part.endswith("K"):
                lines[row] = "" if part[2:-1] == "2" else lines[row][:column]
        else:
            lines[row] = lines[row][:column] + part + lines[row][column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


class TestExitCodes:
    @pytest.mark.parametrize(
        "flags",
        [
            ["--batch", "0"], ["--nonsense"], ["--sample", "0"], ["--sample", "1.5"], ["--rate", "0"],
            ["--ttl", "soon"],
            ["--max-memory", "much"], ["--max-memory", "1M"], ["--fail-on", "rain"], ["--fail-on", "error-rate>2"],
            ["--cost-per-call", "-1"], ["--cost-per-call", "nan"], ["--seed", "-1"], ["--seed", str(2**64)],
            ["--tz", "Middle/Earth"], ["--max-chars", "0"], ["--max-chars", str(2**40)], ["--on-error", "cry"],
            ["--progress", "loud"], ["--config", "missing.toml"], ["--rules", "missing.toml"], ["--limit", "0"],
            ["--store", ""], ["--rul", "x"], ["--mask", "missing.txt"], ["--out", "/"], ["--out", "/dev/null/x"],
        ],
        ids=" ".join,
    )  # fmt: skip
    def test_what_cannot_be_used_is_exit_2_and_writes_nothing(
        self, command: Run, tmp_path: Path, flags: list[str]
    ) -> None:
        done = command("run", demo_path(), *flags)
        assert done.returncode == 2
        assert b"Traceback" not in done.stderr
        assert b"internal" not in done.stderr
        assert not list(tmp_path.iterdir())

    def test_version_and_help(self, command: Run) -> None:
        for arguments in (["--version"], ["run", "--version"]):
            assert command(*arguments).stdout.decode() == f"sophia {sophia.__version__}\n"
        help = " ".join(command("run", "--help").stdout.decode().split())
        flags = (
            "--format --text-key --text-col --scope-key --context-key --answer-key --tz --config --rules --store "
            "--no-store --ttl --max-memory --max-chars --limit --sample --workers --batch --rate --seed --strict "
            "--on-error --model --out --score --fail-on --cost-per-call --quiet --progress --json --report --version"
        )
        for flag in flags.split():
            assert f"{flag} " in help or f"{flag}]" in help or f"{flag}," in help, flag
        assert "A label is normal if it is one of" in help

    def test_the_demo_takes_the_same_flags(self, command: Run, tmp_path: Path) -> None:
        done = command("demo", "--fail-on", "danger", "--score", "--sample", "0.5", "--json", "--quiet")
        assert done.returncode == 1
        assert json.loads(done.stdout)["inputs"]["left_out"] > 0
        assert [path.name for path in tmp_path.iterdir()] == ["sophia-out"]
        assert command("demo", "--store", "mind", "--quiet").returncode == 0
        assert (tmp_path / "mind").exists()
        assert command("demo", "--text-key", "x").returncode == 2


def test_two_runs_of_one_command_are_the_same(command: Run, tmp_path: Path) -> None:
    flags = ["--sample", "0.7", "--seed", "3", "--max-chars", "60", "--score", "--max-memory", "200M"]
    one, other = (decided(command, demo_path(), *flags, "--workers", workers) for workers in ("1", "2"))
    assert without(one, "us") == without(other, "us")


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("rememer", "x"), "'remember'"),
        (("store", "consolidat"), "'consolidate'"),
        (("run", "--format", "jsno", "x"), "'jsonl'"),
    ],
)
def test_a_word_that_is_nearly_right(command: Run, arguments: tuple[str, ...], near: str) -> None:
    refused = command(*arguments)
    assert refused.returncode == 2
    assert f"did you mean {near}?" in refused.stderr.decode()


def test_a_word_that_is_far_off(command: Run) -> None:
    refused = command("nothing")
    assert refused.returncode == 2
    assert b"choose from" in refused.stderr
