"""`sophia run` as a whole process: start, throughput, and one decision a line on every file."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks import data, processes
from benchmarks.bench_pattern import score
from benchmarks.harness import Bar, Row, Suite

ALONE = "no peer routes, remembers and finds danger in one pass"


def run() -> Suite:
    suite = Suite("stream", ("numpy", "google-re2"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _start(suite, folder)
        logs = data.loghub()
        if logs:
            _every_file(suite, folder)
            _grouping(suite, folder)
            _openssh(suite, folder, logs["OpenSSH"])
            _repeated_logs(suite, folder, list(logs.values()))
            _chat(suite, folder)
        else:
            suite.skip("streams", data.ADVICE)
    return suite


def _start(suite: Suite, folder: Path) -> None:
    python = sys.executable
    commands: dict[str, list[str | Path]] = {
        "bare": [python, "-c", "pass"],
        "import": [python, "-c", "import sophia"],
        "version": processes.sophia("--version"),
        "route": processes.sophia("route", "How do I turn on dark mode?", "--no-store"),
        "numpy": [python, "-c", "import numpy"],
    }
    used = processes.interleaved(commands, folder, repeats=9)
    bare = processes.median(used["bare"]) * 1e3
    for name, text, limit in (
        ("import", "import sophia, above a bare interpreter", 15.0),
        ("version", "sophia --version, whole process", 80.0),
        ("route", "sophia route TEXT without numpy, whole process", 150.0),
    ):
        value = processes.median(used[name]) * 1e3 - (bare if name == "import" else 0.0)
        peers = {"bare interpreter": bare, "import numpy": processes.median(used["numpy"]) * 1e3}
        suite.add(Row(f"start: {name}", "ms CPU", value, peers, [Bar(text, value, "<=", limit)]))


def _lines(path: Path) -> int:
    """Lines with something in them, as the reader counts them."""
    return sum(1 for line in path.read_bytes().split(b"\n") if line.strip())


def _every_file(suite: Suite, folder: Path) -> None:
    """Ends with one decision a line for each file; prints the CPU time of each."""
    root = data.find("streams")
    assert root is not None
    patterns = ("loghub/*_2k.log", "irc/*.raw.txt", "sms/SMSSpamCollection", "weblog/*.log")
    paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    wrong = 0
    for path in paths:
        command = processes.sophia("run", path, "--no-store", "--quiet", "--out", folder / "d.jsonl")
        processes.cpu_seconds(command, folder)
        decided = [json.loads(line) for line in (folder / "d.jsonl").read_bytes().splitlines()]
        if [d["n"] for d in decided] != list(range(1, _lines(path) + 1)):
            wrong += 1
            suite.skip(str(path.name), f"{len(decided)} decisions for {_lines(path)} lines")
    bar = Bar(f"of {len(paths)} files, without one decision a line", wrong, "<=", 0)
    suite.add(Row("every file", "files", wrong, {}, [bar], ALONE))


def _grouping(suite: Suite, folder: Path) -> None:
    """Grouping by the `pattern` of each record, aliases resolved by patterns.jsonl: what a user of the files gets."""
    accuracies, f1s = [], []
    for system in data.loghub():
        contents, truth = data.loghub_truth(system)
        source = folder / "content.jsonl"
        source.write_text("".join(json.dumps({"text": content}) + "\n" for content in contents), encoding="utf-8")
        command = processes.sophia("run", source, "--no-store", "--quiet", "--out", folder / "g.jsonl")
        processes.cpu_seconds(command, folder)
        records = [json.loads(line) for line in (folder / "g.jsonl").read_bytes().splitlines()]
        lines = map(json.loads, (folder / "patterns.jsonl").read_bytes().splitlines())
        into = {pattern["id"]: pattern["merged_into"] for pattern in lines}
        found = []
        for record in records:
            pattern = record["pattern"]
            while into.get(pattern) is not None:
                pattern = into[pattern]
            found.append(pattern)
        accuracy, f1 = score(found, truth)
        accuracies.append(accuracy)
        f1s.append(f1)
    for name, values, limit in (("GA", accuracies, 0.93), ("FGA", f1s, 0.92)):
        mean = sum(values) / len(values)
        bars = [Bar(f"mean {name} of {len(values)} systems, by the records", mean, ">=", limit)]
        suite.add(Row(f"grouping by the records: {name}", "", mean, {}, bars, "peers stand beside it in `pattern`"))


def _openssh(suite: Suite, folder: Path, path: Path) -> None:
    command = processes.sophia("run", path, "--no-store", "--quiet", "--report", "none")
    used = processes.interleaved({"run": command}, folder, repeats=5)["run"]
    bar = Bar("sophia run OpenSSH_2k.log, CPU seconds", processes.median(used), "<=", 0.6)
    suite.add(Row("OpenSSH_2k.log", "s CPU", processes.median(used), {}, [bar], ALONE))


def _throughput(suite: Suite, folder: Path, name: str, path: Path, lines: int, limit: float) -> None:
    commands = {
        kind: processes.sophia("run", path, "--quiet", "--report", "none", "--out", folder / "t.jsonl", *more)
        for kind, more in {
            "no store": ["--no-store"],
            "no store, 1 worker": ["--no-store", "--workers", "1"],
        }.items()
    }
    used = processes.interleaved(commands, folder, repeats=5)
    with_store = []
    for attempt in range(3):  # a fresh store each time: a second run would find every answer
        command = [*commands["no store"][:-1], "--store", folder / f"{name}-{attempt}"]
        with_store.append(processes.cpu_seconds(command, folder))
    rates = {kind: lines / processes.median(values) for kind, values in used.items()}
    rates["with a store"] = lines / processes.median(with_store)
    for kind, rate in rates.items():
        bars = [Bar(f"lines a CPU second, {kind}", rate, ">=", limit)]
        suite.add(Row(f"{name}, {kind}", "lines/s CPU", rate, {}, bars, ALONE))


def _repeated_logs(suite: Suite, folder: Path, logs: list[Path]) -> None:
    lines: list[bytes] = []
    for path in logs:
        lines += [line for line in path.read_bytes().split(b"\n") if line.strip()]
    lines = (lines * (100_000 // len(lines) + 1))[:100_000]
    path = folder / "100k.log"
    path.write_bytes(b"\n".join(lines) + b"\n")
    _throughput(suite, folder, "100,000 loghub lines", path, len(lines), 50_000)


def _chat(suite: Suite, folder: Path) -> None:
    root = data.find("streams")
    assert root is not None
    path = folder / "chat.txt"
    sources = [*sorted((root / "irc").glob("*.raw.txt")), root / "sms" / "SMSSpamCollection"]
    path.write_bytes(b"\n".join(source.read_bytes().rstrip(b"\n") for source in sources) + b"\n")
    _throughput(suite, folder, "irc and sms", path, _lines(path), 10_000)
