"""`sophia run` on real files, pipes and stores."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from page import Page

from sophia._core import cpu
from sophia.stream.demo import demo_path

from .conftest import Run, records, without

KEYS = [
    "n",
    "id",
    "ts",
    "scope",
    "route",
    "why",
    "verdict",
    "novelty",
    "danger",
    "pattern",
    "intent",
    "confidence",
    "runner_up",
    "match",
    "answer",
    "k",
    "policy_version",
    "us",
    "audit",
    "agrees",
    "withheld",
    "danger_score",
    "salience",
]
PLACE = ["source", "line", "reason"]  # fmt: skip


def decided(command: Run, *arguments: str | Path, **more: Any) -> list[dict[str, Any]]:
    done = command("run", *arguments, "--out", "-", "--quiet", "--report", "none", **more)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return records(done.stdout)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 900 lines in a few dozen shapes, with repeats, alarms and CRLF ends."""
    lines = []
    for i in range(300):
        lines.append(
            f"Nov {1 + i % 28} 10:{i % 60:02}:07 web-{i % 4} sshd[{900 + i}]: Accepted publickey for user{i % 9}"
        )
        lines.append(f"worker {i % 7} finished job {i * 37} in {i % 90}.{i % 10} ms")
        lines.append(
            "disk /dev/sda1 is 91% full" if i % 3 else f"cache miss for key 0x{i * 7919:08x} from 192.0.2.{i % 250}"
        )
    path = tmp_path_factory.mktemp("log") / "app.log"
    path.write_bytes(("\r\n".join(lines)).encode())
    return path


def test_one_decision_a_line_with_all_keys(command: Run, log: Path) -> None:
    decisions = decided(command, log, "--no-store")
    assert len(decisions) == 900
    assert [d["n"] for d in decisions] == list(range(1, 901))
    assert all(list(d) == KEYS + PLACE for d in decisions)
    assert decisions[0]["why"] == "novel"
    assert decisions[-1]["route"] == "reflex"
    assert {d["why"] for d in decisions} <= {"novel", "known-pattern", "low-confidence", "danger", "gestating"}
    assert "gestating" not in {d["why"] for d in decisions[200:]}


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--workers", "1"], {}),
        (["--workers", "2"], {}),
        (["--batch", "1"], {}),
        (["--batch", "7", "--workers", "2"], {}),
        ([], {"PYTHONHASHSEED": "7"}),
        *[([], {"SOPHIA_SIMD": level}) for level in cpu.simd_levels()],
    ],
)
@pytest.mark.parametrize("source", ["log", "demo"])
def test_nothing_but_speed_changes_by_workers_batches_and_simd(
    command: Run, log: Path, source: str, arguments: list[str], environment: dict[str, str]
) -> None:
    path = log if source == "log" else demo_path()
    expected = decided(command, path, "--no-store")
    assert without(decided(command, path, "--no-store", *arguments, **environment), "us") == without(expected, "us")


def test_a_pipe_and_a_file_give_the_same(command: Run, log: Path) -> None:
    piped = decided(command, "-", "--no-store", stdin=log.read_bytes())
    assert without(piped, "us", "source") == without(decided(command, log, "--no-store"), "us", "source")


def test_a_slow_pipe_is_answered_at_once_and_gives_the_same(tmp_path: Path, log: Path) -> None:
    """The first lines are decided while the writer still holds the pipe open."""
    import os
    import sys

    import sophia

    text = log.read_bytes().replace(b"\r\n", b"\n")
    env = os.environ | {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])}
    arguments = [sys.executable, "-m", "sophia", "run", "--out", "-", "--quiet", "--no-store"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        decisions = []
        start = 0
        for end in (7, 90, 91, 4000, len(text)):
            process.stdin.write(text[start:end])
            process.stdin.flush()
            for _ in range(text[start:end].count(b"\n")):
                decisions.append(json.loads(process.stdout.readline()))
            start = end
        process.stdin.close()
        decisions += records(process.stdout.read())
    whole = subprocess.run([*arguments, "-"], input=text, capture_output=True, cwd=tmp_path, env=env, check=True)
    assert without(decisions, "us") == without(records(whole.stdout), "us")


def test_an_interrupt_keeps_what_was_decided(tmp_path: Path) -> None:
    import os
    import signal
    import sys

    import sophia

    env = os.environ | {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])}
    arguments = [sys.executable, "-m", "sophia", "run", "-", "--out", "d.jsonl", "--store", "mind"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=env) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"one line\nanother line\n")
        process.stdin.flush()
        while not (tmp_path / "d.jsonl").exists() or (tmp_path / "d.jsonl").stat().st_size == 0:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert b"Traceback" not in said
    assert len(records((tmp_path / "d.jsonl").read_bytes())) == 2
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"d.jsonl", "patterns.jsonl", "alarms.jsonl", "summary.json", "report.html", "run.log", "mind"}
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    page.check()
    assert "The run was interrupted." in page.text
    assert "2 inputs" in page.text


def test_gzip_is_read_through(command: Run, log: Path, tmp_path: Path) -> None:
    packed = tmp_path / "app.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    unpacked = decided(command, log, "--no-store")
    assert without(decided(command, packed, "--no-store"), "us", "source") == without(unpacked, "us", "source")


def test_the_cache_changes_repeats_only(command: Run) -> None:
    with_cache = decided(command, demo_path(), "--no-store")
    without_cache = decided(command, demo_path(), "--no-store", "--no-cache")
    assert any(d["why"] == "repeat" for d in with_cache)
    assert not any(d["why"] == "repeat" for d in without_cache)
    assert all(d["answer"] is None for d in without_cache)
    same: dict[Any, Any] = {}  # another writing of what is answered has no pattern of its own: the ids after it differ
    for one, other in zip(with_cache, without_cache, strict=True):
        assert one["verdict"] == other["verdict"]
        if one["why"] != "repeat":
            assert (one["route"], one["why"]) == (other["route"], other["why"])
            assert same.setdefault(one["pattern"], other["pattern"]) == other["pattern"]
    assert len(set(same.values())) == len(same)


def test_what_was_seen_yesterday_is_known_today(command: Run, tmp_path: Path) -> None:
    day = tmp_path / "day.jsonl"
    day.write_text(
        '{"text": "How do I turn on dark mode?", "user": "ana", "answer": "Settings."}\n'
        '{"text": "build 77 failed on host 192.0.2.4"}\n'
    )
    first = decided(command, day, "--store", "mind")
    assert [d["why"] for d in first] == ["novel", "novel"]
    again = tmp_path / "again.jsonl"
    again.write_text(
        '{"text": "how do i turn on dark mode", "user": "ana"}\n'
        '{"text": "how do i turn on dark mode", "user": "boris"}\n'
        '{"text": "build 78 failed on host 192.0.2.9"}\n'
    )
    second = decided(command, again, "--store", "mind")
    assert [d["why"] for d in second] == ["repeat", "novel", "known-pattern"]
    assert second[0]["answer"] == "Settings."
    assert second[0]["match"] == {"id": first[0]["id"], "score": 1.0}
    assert second[1]["answer"] is None
    assert second[2]["pattern"] == first[1]["pattern"]


def test_the_files_of_a_run(whole_command: Run, log: Path, tmp_path: Path) -> None:
    done = whole_command("run", log, "--store", "mind")
    assert done.returncode == 0
    assert b"900 inputs read as lines" in done.stderr
    assert done.stdout == b""
    (folder,) = (tmp_path / "sophia-out").iterdir()
    names = ["alarms.jsonl", "decisions.jsonl", "patterns.jsonl", "report.html", "run.log", "summary.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    decisions = records((folder / "decisions.jsonl").read_bytes())
    patterns = records((folder / "patterns.jsonl").read_bytes())
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["decisions"] == len(decisions) == 900
    assert summary["inputs"]["lines"] == 900
    assert sum(summary["routes"].values()) == 900
    known = {pattern["id"]: pattern for pattern in patterns}
    assert {d["pattern"] for d in decisions} <= set(known)
    assert all(list(p) == ["id", "template", "count", "first_n", "last_n", "merged_into"] for p in patterns)
    assert all(p["merged_into"] is None or p["merged_into"] in known for p in patterns)
    assert sum(p["count"] for p in patterns if p["merged_into"] is None) == 900
    assert len(patterns) < 30


def test_bad_lines_are_counted_and_never_a_traceback(command: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(
        b'{"text": "fine"}\n\n{"text": ""}\n{"text": null}\n{"text": 42}\n{"other": 1}\n{"text": "open\nnot json\n'
        b'{"text": "bad \xff utf8"}\n{"text": "nul \\u0000"}\n{"text": "lone \\ud83d"}\n["array"]\n'
        b'{"text": "' + b"x" * 70_000 + b'"}\n{"text": "last"}'
    )
    done = command("run", bad, "--out", "out.jsonl", "--no-store")
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    decisions = records((tmp_path / "out.jsonl").read_bytes())
    summary = json.loads((tmp_path / "summary.json").read_text())
    counts = summary["inputs"]
    assert counts["lines"] == 14
    assert counts["events"] + counts["blank"] == counts["lines"]
    assert len(decisions) == counts["events"]
    assert {"not-json", "no-text", "not-a-string", "empty", "not-an-object"} <= set(counts["bad"])
    assert all(d["route"] == "deep_thought" for d in decisions if d["why"] in ("invalid", "empty", "too-long"))
    assert "too-long" in {d["why"] for d in decisions}


def test_user_rules(command: Run, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        '[[rule]]\nid = "acme.tea"\ndescription = "asks for tea"\npattern = \'\\btea\\b\'\nseverity = "low"\n'
    )
    (tmp_path / "in.jsonl").write_text('{"text": "a cup of tea please"}\n{"text": "a team of steam"}\n')
    decisions = decided(command, "in.jsonl", "--rules", rules, "--no-store")
    assert decisions[0]["verdict"] == "veto"
    assert decisions[0]["danger"]["rule"] == "acme.tea"
    assert decisions[0]["danger"]["span"] == [9, 12]
    assert decisions[1]["verdict"] == "allow"


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ("pattern = '(?=x)y'", "acme"),
        ("pattern = '(a)\\1'", "acme"),
        ("pattern = 'drop.{0,200}table'", "acme"),
        ("pattern = '('", "acme"),
        (f"pattern = '{'(' * 1500}a{')' * 1500}'", "acme"),
        (f"pattern = 'a'\nseverity = {'[' * 3000}", "acme"),
    ],
)
def test_a_rule_that_cannot_be_taken_is_refused_with_file_and_line(
    command: Run, tmp_path: Path, rule: str, word: str
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'# comment\n[[rule]]\nid = "{word}"\ndescription = "x"\n{rule}\nseverity = "low"\n')
    done = command("run", demo_path(), "--rules", rules)
    assert done.returncode == 2
    assert b"rules.toml:" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not (tmp_path / "sophia-out").exists()


def test_a_missing_input_is_exit_3(command: Run, tmp_path: Path) -> None:
    done = command("run", "nowhere.log")
    assert done.returncode == 3
    assert b"nowhere.log" in done.stderr
    assert not (tmp_path / "sophia-out").exists()


def test_a_locked_store_is_exit_4(command: Run, tmp_path: Path) -> None:
    import sophia

    with sophia.open(tmp_path / "mind"):
        done = command("run", demo_path(), "--store", "mind")
    assert done.returncode == 4
    assert b"open for writing elsewhere" in done.stderr


def test_usage_errors_are_exit_2(command: Run) -> None:
    assert command("run", "--batch", "0").returncode == 2
    assert command("run", "--nonsense").returncode == 2
    assert command().returncode == 2


def test_an_input_is_never_overwritten(command: Run, log: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.log"
    mine.write_bytes(log.read_bytes())
    for inputs in (["mine.log"], ["*.log"]):
        done = command("run", *inputs, "--out", "./mine.log", "--no-store")
        assert done.returncode == 2
        assert b"overwritten" in done.stderr
    assert mine.read_bytes() == log.read_bytes()


def test_unreadable_lines_are_named(command: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n\nnot json\n' + "{\n" * 40)
    done = command("run", "bad.jsonl", "--no-store", "--out", "d.jsonl")
    assert b"bad.jsonl:3: not-json" in done.stderr
    assert done.stderr.count(b"bad.jsonl:") == 20


def test_a_level_that_is_not_there_is_one_line(command: Run) -> None:
    done = command("doctor", SOPHIA_SIMD="sse9")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"sse9" in done.stderr


def test_the_record_and_the_dict_of_a_decision_agree() -> None:
    import sophia
    from sophia.stream.decisions import decision_line

    with sophia.open(None) as brain:
        brain.complete(brain.route("When?", scope="\u00e9"), answer='a "quoted" answer\n')
        for text in ("When?", "rm -rf / now", "job 1 is done", "job 2 is done"):
            decision = brain.route(text, scope="\u00e9")
            assert json.loads(decision_line(decision)) == decision.to_dict()
            assert list(decision.to_dict()) == KEYS


def test_an_empty_input(command: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    assert decided(command, "empty.log", "--no-store") == []


def test_route_and_version_and_doctor(command: Run) -> None:
    first = command("route", "How do I turn on dark mode?", "--answer", "Settings.", "--store", "mind")
    assert first.returncode == 0, first.stderr.decode()
    assert json.loads(first.stdout)["why"] == "novel"
    again = json.loads(command("route", "how do i turn on dark mode", "--store", "mind").stdout)
    assert (again["why"], again["answer"]) == ("repeat", "Settings.")
    assert command("--version").stdout.startswith(b"sophia ")
    health = json.loads(command("doctor", "--store", "mind", "--json").stdout)
    assert health["store"]["state"] == "sound"
    assert health["store"]["answers"] == 1
    assert health["simd"] in health["simd_levels"]


def test_demo(command: Run, tmp_path: Path) -> None:
    done = command("demo")
    assert done.returncode == 0, done.stderr.decode()
    assert {path.name for path in tmp_path.iterdir()} == {"sophia-out"}
    (folder,) = (tmp_path / "sophia-out").iterdir()
    decisions = records((folder / "decisions.jsonl").read_bytes())
    assert {"repeat", "novel", "danger", "known-pattern"} <= {d["why"] for d in decisions}


def test_head_closes_the_pipe_quietly(command: Run, log: Path, tmp_path: Path) -> None:
    import os
    import sys

    import sophia

    env = os.environ | {"PYTHONPATH": str(Path(sophia.__file__).resolve().parents[1])}
    line = f'"{sys.executable}" -m sophia run "{log}" "{log}" "{log}" --out - --no-store --quiet | head -n 2'
    done = subprocess.run(["sh", "-c", line], capture_output=True, cwd=tmp_path, env=env, timeout=60)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == b""


def test_patterns_that_had_to_make_room_are_still_in_the_file(tmp_path: Path) -> None:
    """A decision never names a pattern that patterns.jsonl does not have, however small the table."""
    import io

    import sophia
    from sophia.stream.readers import read_batches
    from sophia.stream.run import run

    words = ["alpha", "bravo", "delta", "echo", "golf", "hotel", "india", "kilo", "lima", "mike", "oscar", "papa"]
    source = tmp_path / "many.log"
    source.write_text("\n".join(f"{a} {b} {c}" for a in words for b in words for c in words[:4]))
    for store in (None, tmp_path / "mind"):
        with sophia.open(store, settings=sophia.Settings(pattern_capacity=64)) as brain:
            out, patterns = io.BytesIO(), io.BytesIO()
            summary = run(read_batches([source]), brain, out, patterns)
            assert brain.thalamus.patterns.evicted > 0
        assert summary.decisions == 576
        named = {d["pattern"] for d in records(out.getvalue())}
        known = [p["id"] for p in records(patterns.getvalue())]
        assert named <= set(known)
        assert len(known) == len(set(known))


def test_a_run_remembers_and_recalls(command: Run, tmp_path: Path) -> None:
    inputs = [
        {"text": "Where do I find the invoice of March?", "scope": "ana"},
        {"text": "Where do I find the invoice of April?", "scope": "ana", "answer": "In your mail."},
        {"text": "Where do I find the invoice of May?", "scope": "bob"},
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(one) + "\n" for one in inputs))
    first = command("run", "in.jsonl", "--store", "mind", "--remember", "--recall", "--quiet", "--out", "-")
    found = [json.loads(line)["match"] for line in first.stdout.splitlines()]
    assert (found[0], found[2]) == (None, None)
    assert found[1]["id"] == "m1"
    assert 0.4 < found[1]["score"] < 1
    again = command("run", "in.jsonl", "--store", "mind", "--recall", "--quiet", "--out", "-")
    matches = [json.loads(line)["match"] for line in again.stdout.splitlines()]
    assert [match["id"] for match in matches] == ["m1", "1.2", "m3"]
    told = json.loads(command("recall", "invoice april", "--store", "mind", "--json", "-k", "1").stdout)
    assert "April" in json.dumps(told)
    assert b"memories   3" in command("store", "info", "--store", "mind").stdout
    plain = command("run", "in.jsonl", "--store", "other", "--quiet", "--out", "-")
    assert [json.loads(line)["match"] for line in plain.stdout.splitlines()] == [None] * 3
    assert b"memories   0" in command("store", "info", "--store", "other").stdout
