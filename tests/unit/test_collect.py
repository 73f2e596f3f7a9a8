"""What a report is made of: bounded, and the same for the same input."""

from __future__ import annotations

import io
import json
from hashlib import sha256
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sophia
from sophia.stream.collect import Collector
from sophia.stream.demo import demo_path
from sophia.stream.pipeline import columns
from sophia.stream.readers import read_batches
from sophia.stream.run import run
from sophia.stream.summary import Summary
from sophia.stream.timeline import Timeline


def collected(path: Path, *, batch: int = 256, **settings: Any) -> Collector:
    with sophia.open(None, settings=sophia.Settings(**settings)) as brain:
        collector = Collector()
        reader = read_batches([path], batch=batch)
        run(reader, brain, io.BytesIO(), io.BytesIO(), collector=collector)
    return collector


def facts(collector: Collector) -> dict[str, Any]:
    """Everything that was collected but the measured times."""
    return {
        "routes": (collector.routes.width, collector.routes.rows, collector.routes.count),
        "timing": (collector.timing.width, len(collector.timing.rows), collector.timing.count),
        "reasons": collector.reasons,
        "examples": {key: [e.astuple() for e in kept] for key, kept in collector.examples.items()},
        "bad": {reason: (lines.count, lines.places) for reason, lines in collector.bad.items()},
        "rules": {
            rule: (
                hits.count,
                hits.patterns,
                hits.addresses,
                hits.verdicts,
                hits.places,
                hits.last,
                [e.astuple() for e in hits.examples],
            )
            for rule, hits in collector.rules.items()
        },
        "patterns": {id: (kept.count, kept.danger, kept.example.astuple()) for id, kept in collector.patterns.items()},
        "repeats": {id: (kept.count, kept.example.astuple()) for id, kept in collector.repeats.items()},
        "new": (collector.new, [e.astuple() for e in [*collector.first_new, *collector.last_new]]),
        "lines": (collector.lines, collector.repeated, collector.repeated_danger),
        "quiet": collector.quiet,
        "scoped": collector.scoped,
        "sample": [e.astuple() for e in collector.sample],
        "times": (collector.first_event, collector.last_event, collector.forgotten),
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 lines of which every other one has a pattern of its own."""
    letters = str.maketrans("0123456789", "ghijklmnop")
    lines = []
    for i in range(10_000):
        name = sha256(str(i).encode()).hexdigest().translate(letters)
        lines.append(" ".join(name[at : at + 5] for at in range(0, 25, 5)))
        lines.append(f"worker {i} is done" if i % 50 else "su: authentication failure for root")
    path = tmp_path_factory.mktemp("many") / "many.log"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("batch", [1, 7, 255, 1000])
@pytest.mark.parametrize("source", ["demo", "many"])
def test_batches_change_nothing(source: str, batch: int, many: Path) -> None:
    path = demo_path() if source == "demo" else many
    assert facts(collected(path, batch=batch)) == facts(collected(path))


def test_the_counts_are_those_of_the_decisions() -> None:
    with sophia.open(None) as brain:
        collector = Collector()
        reader = read_batches([demo_path()])
        summary = run(reader, brain, io.BytesIO(), io.BytesIO(), collector=collector)
        highest = max(pattern.id for pattern in brain.patterns())
    assert collector.routes.count == collector.timing.count == summary.decisions
    for route, count in summary.routes.items():
        assert sum(collector.routes.column(route)) == count
    assert sum(collector.routes.column("novel")) == summary.whys["novel"]
    assert sum(collector.routes.column("danger")) == summary.whys["danger"]
    assert (
        sum(collector.routes.column("answered")) == summary.served == sum(k.count for k in collector.repeats.values())
    )
    assert sum(collector.routes.column("new")) == collector.new <= highest
    assert {rule: hits.count for rule, hits in collector.rules.items()} == summary.rules
    assert {reason: lines.count for reason, lines in collector.bad.items()} == reader.counts.bad
    assert sum(collector.latency.values()) == summary.decisions
    for (_, why), count in collector.reasons.items():
        assert 0 < count <= summary.whys[why]


def test_every_reason_has_examples_that_lie_apart() -> None:
    collector = collected(demo_path())
    assert set(collector.examples) == set(collector.reasons)
    for (route, why), examples in collector.examples.items():
        assert 1 <= len(examples) <= 4
        assert {(e.route, e.why) for e in examples} == {(route, why)}
        assert [e.n for e in examples] == sorted({e.n for e in examples})
    known = collector.examples["cortical", "known-pattern"]
    assert len({e.pattern for e in known}) == 4
    assert known[-1].n > 1000


def test_new_patterns_are_those_that_were_not_there_before(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    first.write_text("alpha one is up\nbravo two is down\nalpha one is up\n")
    second.write_text("bravo two is down\nsomething else has come\nalpha one is up\n")
    with sophia.open(tmp_path / "mind") as brain:
        before = Collector()
        run(read_batches([first]), brain, io.BytesIO(), io.BytesIO(), collector=before)
    assert [e.line for e in before.first_new] == [1, 2]
    with sophia.open(tmp_path / "mind") as brain:
        after = Collector(max(pattern.id for pattern in brain.patterns()))
        run(read_batches([second]), brain, io.BytesIO(), io.BytesIO(), collector=after)
    assert [e.text for e in after.first_new] == ["something else has come"]
    assert after.new == 1


def test_nothing_grows_with_the_stream(many: Path) -> None:
    """Twenty thousand lines, ten thousand kinds: all is within its bound, and what is frequent is counted right."""
    collector = collected(many)
    assert collector.new > 5_000
    assert len(collector.patterns) <= 4096 + 256
    assert collector.forgotten >= 1
    worker = max(collector.patterns.values(), key=lambda kept: kept.count)
    assert worker.count == 9_800
    assert len(collector.first_new) == 40
    assert len(collector.last_new) == 110
    assert len(collector.sample) <= 64
    assert len(collector.routes.rows) <= 64
    assert all(len(hits.places) <= 6 and len(hits.examples) <= 3 for hits in collector.rules.values())
    assert collector.rules["log.auth-failure"].count == 200
    distances = {b.n - a.n for a, b in pairwise(collector.sample)}
    assert len(distances) == 1


def test_no_example_holds_a_whole_text(tmp_path: Path) -> None:
    (tmp_path / "huge.log").write_text("x" * 3_000_000 + "\n" + "y " * 9_000 + "rm -rf / now " + "z " * 400 + "\n")
    collector = collected(tmp_path / "huge.log")
    examples = [*collector.sample, *collector.first_new, *(e for kept in collector.examples.values() for e in kept)]
    assert examples
    assert all(len(e.text) <= 600 for e in examples)
    (hit,) = collector.rules["shell.rm-root"].examples
    assert hit.span is not None
    assert hit.text[slice(*hit.span)].strip() == "rm -rf /"
    assert collector.bad["too-long"].places == [(str(tmp_path / "huge.log"), 1)]


def test_an_empty_stream(tmp_path: Path) -> None:
    (tmp_path / "empty.log").write_bytes(b"")
    collector = collected(tmp_path / "empty.log")
    assert collector.routes.count == 0
    assert not collector.sample


@given(st.lists(st.integers(0, 900), max_size=12))
def test_a_timeline_is_the_same_for_any_pieces(sizes: list[int]) -> None:
    whole, pieces = Timeline(("place", "one")), Timeline(("place", "one"))
    total = sum(sizes)
    whole.extend(total, lambda a, b: [sum(range(a, b)), b - a])
    done = 0
    for size in sizes:
        start = done
        pieces.extend(size, lambda a, b, start=start: [sum(range(start + a, start + b)), b - a])
        done += size
    assert (whole.width, whole.rows, whole.count) == (pieces.width, pieces.rows, pieces.count)
    assert len(whole.rows) <= 64
    assert sum(whole.column("one")) == total
    assert sum(whole.column("place")) == sum(range(total))
    edges = whole.edges()
    assert len(edges) == len(whole.rows) + 1
    assert [b - a for a, b in pairwise(edges)] == whole.column("one")


def test_the_quantiles_are_those_of_the_records(tmp_path: Path) -> None:
    """Also where several batches are told together, each with its own time."""
    (tmp_path / "in.log").write_text("".join(f"job {i} is done by worker {i % 7}\n" for i in range(3000)))
    out = io.BytesIO()
    with sophia.open(None) as brain:
        summary = run(read_batches([tmp_path / "in.log"], batch=64), brain, out, io.BytesIO())
    times = sorted(json.loads(line)["us"] for line in out.getvalue().splitlines())
    for share in (0.01, 0.5, 0.9, 0.99, 1.0):
        exact = times[max(ceil(share * len(times)) - 1, 0)]
        assert summary.quantile(share) == pytest.approx(exact, rel=0.06, abs=0.051)  # two digits of it


def test_the_quantiles_of_batches_that_are_told_together(tmp_path: Path) -> None:
    summary = Summary()
    (tmp_path / "in.log").write_text("".join(f"job {i} is done\n" for i in range(600)))
    with sophia.open(None) as brain:
        groups = [
            (events, brain.decide(columns(events)).decisions) for events in read_batches([tmp_path / "in.log"], batch=2)
        ]
    events = [event for group, _ in groups for event in group]
    decisions = [decision for _, group in groups for decision in group]
    summary.add(events, decisions, [None] * len(events))
    assert summary.quantile(1.0) == pytest.approx(max(d.us for d in decisions), rel=0.06)
    assert summary.quantile(0.0) == pytest.approx(min(d.us for d in decisions), rel=0.06)


def test_the_clocks_of_a_run_stop_with_it(tmp_path: Path) -> None:
    (tmp_path / "in.log").write_text("job is done\n")
    with sophia.open(None) as brain:
        summary = run(read_batches([tmp_path / "in.log"]), brain, io.BytesIO(), io.BytesIO())
    told = summary.seconds, summary.cpu_seconds
    sum(i * i for i in range(100_000))
    assert (summary.seconds, summary.cpu_seconds) == told
    assert summary.seconds_in_all > summary.seconds
