"""What the views and the questions answer, beside the same worked out from the records in plain Python."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.cli.chapters import told
from sophia.cli.rows import aligned, objects
from sophia.errors import ConfigError
from sophia.store.chronicle import Chronicle, missing
from sophia.store.journal import Journal
from sophia.store.questions import understood
from sophia.store.reading import Reading
from sophia.store.views import VIEWS

pytestmark = pytest.mark.skipif(bool(missing()), reason="needs duckdb and pyarrow")

START = datetime(2026, 11, 29, 21, tzinfo=UTC)
NOW = datetime(2026, 11, 30, 18, 30, tzinfo=UTC)
ROUTES = ("reflex", "cortical", "deep_thought")
Record = dict[str, Any]


def made(seed: int) -> list[Record]:
    """Records of two runs, an hour of events each 50; one pattern of one source stops in the middle."""
    rng, records = random.Random(seed), []
    for n in range(1, 401):
        route = rng.choice(ROUTES)
        pattern = rng.choice([None, 1, 2, 3, 3])
        if n > 100 and pattern == 2:
            pattern = 1
        records.append(
            {
                "run": 1 + n // 250, "n": n, "ts": f"{START + timedelta(seconds=72 * n):%Y-%m-%dT%H:%M:%SZ}",
                "source": "app.log", "line": n, "route": route, "why": rng.choice(["novel", "repeat", "danger"]),
                "pattern": pattern, "us": rng.randrange(1, 400) / 4,
                "answer": "kept" if route == "reflex" and rng.random() < 0.5 else None,
                "danger": {"rule": rng.choice("ab"), "severity": 0.2 * rng.randrange(1, 5)} if n % 9 == 4 else None,
                "salience": {"attention": rng.randrange(1, 10_000) / 10_000} if rng.random() < 0.5 else None,
                "novelty": rng.randrange(100) / 100, "confidence": rng.randrange(100) / 100,
                "k": [0.5, 0.25] if rng.random() < 0.2 else None,
            }
        )  # fmt: skip
    return records


def seen(record: Record) -> datetime:
    return datetime.fromisoformat(record["ts"])


CHAPTERS = [
    {
        "title": f"chapter {n}", "run": 1, "ended": ended, "began": ended, "inputs": 100 * n, "significance": weight,
        "first": 1, "last": 9, "from": "a:1", "to": "a:9", "routes": {"reflex": n}, "hits": n, "alarms": 1,
        "new_patterns": 2, "scopes": [""],
    }
    for n, (ended, weight) in enumerate(
        [("2026-11-22T12:00:00Z", 0.9), ("2026-11-29T23:59:59Z", 0.31), ("2026-11-30T00:00:00Z", 0.29),
         ("2026-11-30T10:00:00Z", 0.7)], 1
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return made(5)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> Any:
    store = tmp_path_factory.mktemp("views") / "mind"
    with sophia.open(store) as brain:
        brain.add_chapters(CHAPTERS)
    journal = Journal(store)
    for one in records:
        line = {name: value for name, value in one.items() if name != "run"}
        assert journal.append(one["run"], NOW.timestamp(), [json.dumps(line)])
    journal.close()
    with Chronicle(store) as chronicle:
        assert chronicle.catch_up() == len(records)
    with Reading(Path(chronicle.file)) as opened:
        yield opened


def rows(reading: Reading, sql: str) -> list[Record]:
    names, found = reading.ask(sql)
    return [dict(zip(names, row, strict=True)) for row in found]


def by(records: list[Record], key: Any) -> dict[Any, list[Record]]:
    found: dict[Any, list[Record]] = defaultdict(list)
    for one in records:
        found[key(one)].append(one)
    return found


def hour(record: Record) -> datetime:
    return seen(record).replace(minute=0, second=0)


def route_counts(some: list[Record]) -> dict[str, int]:
    counted = Counter(one["route"] for one in some)
    return {route: counted[route] for route in ROUTES} | {"danger": sum(one["danger"] is not None for one in some)}


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[max(0, -(-int(share * 100) * len(values) // 100) - 1)]


def test_hours(reading: Reading, records: list[Record]) -> None:
    hours = sorted(by(records, hour).items(), reverse=True)
    assert rows(reading, "SELECT * FROM routes_per_hour") == [
        {"hour": at, "decisions": len(some)} | route_counts(some) for at, some in hours
    ]
    drift = rows(reading, "SELECT * FROM drift")
    assert [one["hour"] for one in drift] == [at for at, _ in hours]
    for one, (_, some) in zip(drift, hours, strict=True):
        assert one["decisions"] == len(some)
        assert one["novel_share"] == pytest.approx(sum(r["why"] == "novel" for r in some) / len(some), abs=1e-4)
        assert one["novelty"] == pytest.approx(sum(r["novelty"] for r in some) / len(some), abs=1e-4)
        assert one["confidence"] == pytest.approx(sum(r["confidence"] for r in some) / len(some), abs=1e-4)
        assert one["patterns"] == len({r["pattern"] for r in some} - {None})


def test_days(reading: Reading, records: list[Record]) -> None:
    days = sorted(by(records, lambda one: hour(one).replace(hour=0)).items(), reverse=True)
    assert rows(reading, "SELECT * FROM calls_avoided") == [
        {
            "day": at, "decisions": len(some), "answered": sum(one["answer"] is not None for one in some),
            "reflex_without_answer": sum(one["route"] == "reflex" and one["answer"] is None for one in some),
            "deep_thought": sum(one["route"] == "deep_thought" for one in some),
        }
        for at, some in days
    ]  # fmt: skip


def test_latency_and_patterns(reading: Reading, records: list[Record]) -> None:
    assert rows(reading, "SELECT * FROM latency") == [
        {
            "route": route, "decisions": len(some), "p50_us": quantile([one["us"] for one in some], 0.5),
            "p90_us": quantile([one["us"] for one in some], 0.9), "p99_us": quantile([one["us"] for one in some], 0.99),
            "max_us": max(one["us"] for one in some),
        }
        for route, some in sorted(by(records, lambda one: one["route"]).items())
    ]  # fmt: skip
    patterns = by([one for one in records if one["pattern"]], lambda one: one["pattern"])
    found = {one["pattern"]: one for one in rows(reading, "SELECT * FROM top_patterns")}
    assert {name: one["decisions"] for name, one in found.items()} == {
        name: len(some) for name, some in patterns.items()
    }
    assert {name: one["last_seen"] for name, one in found.items()} == {
        name: max(map(seen, some)) for name, some in patterns.items()
    }


def test_silence(reading: Reading, records: list[Record]) -> None:
    latest = max(map(seen, records))
    (silent,) = rows(reading, "SELECT * FROM silence")
    came = [seen(one) for one in records if one["pattern"] == 2]
    assert (silent["pattern"], silent["decisions"], silent["last"]) == (2, len(came), max(came))
    assert silent["silent_seconds"] == (latest - max(came)).total_seconds()
    assert silent["usual_seconds"] == pytest.approx((max(came) - min(came)).total_seconds() / (len(came) - 1), abs=1e-3)
    asked = rows(reading, understood("what fell silent?", now=NOW).sql)
    assert asked == [silent]
    assert rows(reading, understood("what fell silent since 2026-11-30?", now=NOW).sql) == []


def test_chapters_by_day_and_week(reading: Reading) -> None:
    days = rows(reading, "SELECT * FROM days")
    assert [(str(one["day"]), one["chapters"], one["significant"], one["inputs"], one["foremost"]) for one in days] == [
        ("2026-11-30", 2, 1, 700, "chapter 4"),
        ("2026-11-29", 1, 1, 200, "chapter 2"),
        ("2026-11-22", 1, 1, 100, "chapter 1"),
    ]
    weeks = rows(reading, "SELECT * FROM weeks")
    assert [(str(one["week"]), one["chapters"], one["danger"], one["reflex"], one["alarms"]) for one in weeks] == [
        ("2026-11-30", 2, 7, 7, 2),
        ("2026-11-23", 1, 2, 2, 1),
        ("2026-11-16", 1, 1, 1, 1),
    ]
    asked = rows(reading, understood("what happened yesterday?", now=NOW).sql)
    assert [one["title"] for one in asked] == ["chapter 2"]


def test_vectors_and_reasons(reading: Reading, records: list[Record]) -> None:
    with_k = [one for one in records if one["k"]]
    assert [(one["run"], one["n"], one["seen"], one["k"]) for one in rows(reading, "SELECT * FROM k_series")] == [
        (one["run"], one["n"], seen(one), one["k"]) for one in reversed(with_k)
    ]
    counted = Counter((one["why"], one["route"]) for one in records)
    assert {(one["why"], one["route"]): one["decisions"] for one in rows(reading, "SELECT * FROM whys")} == counted
    assert set(VIEWS) == {
        "days", "weeks", "routes_per_hour", "whys", "top_patterns", "first_seen", "silence", "drift", "k_series",
        "calls_avoided", "latency",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("time", "start", "end"),
    [
        ("", None, None),
        (" today", datetime(2026, 11, 30, tzinfo=UTC), None),
        (" yesterday", datetime(2026, 11, 29, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        (" after 02:24", datetime(2026, 11, 30, 2, 24, tzinfo=UTC), None),
    ],
)
def test_questions(
    reading: Reading, records: list[Record], time: str, start: datetime | None, end: datetime | None
) -> None:
    inside = [one for one in records if (start is None or seen(one) >= start) and (end is None or seen(one) < end)]
    assert inside

    def asked(question: str) -> list[Record]:
        return rows(reading, understood(question + time, now=NOW).sql)

    assert asked("how many inputs") == [{"inputs": len(inside)} | route_counts(inside)]
    (avoided,) = asked("how many calls were avoided")
    assert avoided["answered_from_memory"] == sum(one["answer"] is not None for one in inside)
    assert avoided["inputs"] == len(inside)
    slow = {one["route"]: one["max_us"] for one in asked("what was slow")}
    assert slow == {route: max(o["us"] for o in some) for route, some in by(inside, lambda one: one["route"]).items()}
    wanted = sorted(
        (one for one in inside if one["salience"]),
        key=lambda one: (-one["salience"]["attention"], one["run"], one["n"]),
    )[:50]
    assert [(one["attention"], one["line"]) for one in asked("what deserves attention")[:50]] == [
        (one["salience"]["attention"], one["line"]) for one in wanted
    ]
    rules = by([one for one in inside if one["danger"]], lambda one: one["danger"]["rule"])
    assert {one["rule"]: (one["inputs"], one["severity"]) for one in asked("what was dangerous")} == {
        rule: (len(some), max(one["danger"]["severity"] for one in some)) for rule, some in rules.items()
    }
    often = {one["pattern"]: one["inputs"] for one in asked("what came most often")}
    assert often == Counter(one["pattern"] for one in inside if one["pattern"])
    first = {}
    for one in records:
        if one["pattern"]:
            first.setdefault(one["pattern"], seen(one))
    new = sorted(
        (at for at in first.values() if (start is None or at >= start) and (end is None or at < end)), reverse=True
    )
    assert [one["seen"] for one in asked("what was new")] == new


def test_one_long_value_does_not_widen_every_row() -> None:
    names, long = ["a", "b"], "x" * 1_000_000
    lines = list(aligned(names, iter([("short", 1), (long, 2), ("y" * 70, 3)])))
    assert [len(line) for line in lines] == [84, 84, 1_000_004, 84]
    assert [line.rstrip("\n")[-1] for line in lines] == ["b", "1", "2", "3"]


def test_an_object_has_each_name_once() -> None:
    with pytest.raises(ConfigError, match="'n'"):
        list(objects(["n", "a", "n"], iter([(1, 2, 3)])))


def test_days_are_told_once_though_a_clock_was_set_back() -> None:
    days = ["2026-12-01", "2026-11-30", "2026-12-01", "2026-08-23", "2026-12-01", "2030-01-31"]
    made = [(n, {**CHAPTERS[0], "ended": f"{day}T12:00:00Z"}) for n, day in enumerate(days, 1)]
    lines = list(told(made))
    assert sum(line.startswith("2026-12-01") for line in lines) == 1
    assert sum(line.startswith("Week of 2026-11-30") for line in lines) == 1
