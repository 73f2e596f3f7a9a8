"""Patterns: how well lines are grouped, how fast, and what chat and hostile text cost.

GA is the share of lines whose group is exactly the true group, FGA the F1 of groups by the same test; lines
without a true id are left out. Lines are streamed, ids are resolved at the end; one setting for all systems.
The peer is drain3, with its defaults and with masks for the same kinds of values.
"""

from __future__ import annotations

import logging
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import data
from benchmarks.harness import Bar, Contender, Row, Suite, Timing, ratio
from sophia._core.pattern import PatternTable

Grouping = Callable[[Sequence[str]], Sequence[int]]

# For the same kinds of values as ours: URL, mail, addresses with and without port, MAC and IPv6, hexadecimal,
# path, date, size with unit, and any piece with a digit.
MASKS = (
    r"\w+://[^\s\"'<>()\[\]{},;]+",
    r"[\w.+-]+@[\w.-]+",
    r"(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?",
    r"(?:[A-Za-z0-9_-]+\.){3,}[A-Za-z0-9_-]+(?::\d+)?",
    r"(?:[A-Za-z0-9_-]+\.)+[A-Za-z0-9_-]+:\d+",
    r"(?:[0-9A-Fa-f]{0,4}:){2,}[0-9A-Fa-f]{1,4}",
    r"0x[0-9A-Fa-f]+|\b[0-9A-Fa-f]{8,}\b",
    r"(?<![\w])/[\w.][^\s\"'<>()\[\]{},;:=]*",
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d+",
    r"\d+(?:\.\d+)? (?:B|KB|MB|GB|ms|us|ns|sec|secs|min|MHz|GHz)\b",
    r"[\w.+-]*\d[\w.+-]*",
)


def run() -> Suite:
    suite = Suite("pattern", ("drain3",))
    sets = {name: data.loghub_truth(name) for name in data.loghub()}
    if not sets:
        suite.skip("all rows", data.ADVICE)
        return suite
    peers = _peers(suite)
    _accuracy(suite, sets, peers)
    _robustness(suite, sets)
    _speed(suite, [line for content, _ in sets.values() for line in content], peers)
    _chat(suite, peers)
    _hostile(suite)
    return suite


# ------------------------------------------------------------------------------------------ contenders


def _ours(lines: Sequence[str]) -> list[int]:
    table = PatternTable()
    return [table.resolve(id) for id in table.observe_many(lines)]


class _Drain:
    """drain3 as a grouping; a fresh miner for each call."""

    def __init__(self, masks: Sequence[str] = ()) -> None:
        from drain3.masking import MaskingInstruction
        from drain3.template_miner_config import TemplateMinerConfig

        logging.getLogger("drain3").setLevel(logging.ERROR)
        self.config = TemplateMinerConfig()
        self.config.masking_instructions = [MaskingInstruction(pattern, "*") for pattern in masks]

    def miner(self) -> Any:
        from drain3 import TemplateMiner

        return TemplateMiner(config=self.config)

    def __call__(self, lines: Sequence[str]) -> list[int]:
        add = self.miner().add_log_message
        return [add(line)["cluster_id"] for line in lines]


def _peers(suite: Suite) -> dict[str, _Drain]:
    try:
        return {"drain3": _Drain(), "drain3 with masks": _Drain(MASKS)}
    except ImportError:
        suite.skip("drain3", "not installed; it comes with the extra `bench`")
        return {}


# -------------------------------------------------------------------------------------------- accuracy


def score(groups: Sequence[int], truth: Sequence[str]) -> tuple[float, float]:
    """GA and FGA."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    size: Counter[str] = Counter()
    for group, true in zip(groups, truth, strict=True):
        if true:
            found[group][true] += 1
            size[true] += 1
    right = [(true, n) for true, n in (next(iter(c.items())) for c in found.values() if len(c) == 1) if n == size[true]]
    precision, recall = len(right) / len(found), len(right) / len(size)
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return sum(n for _, n in right) / size.total(), f1


Sets = dict[str, tuple[list[str], list[str]]]


def _scores(grouping: Grouping, sets: Sets) -> dict[str, tuple[float, float]]:
    return {name: score(grouping(lines), truth) for name, (lines, truth) in sets.items()}


def _mean(scores: dict[str, tuple[float, float]], which: int) -> float:
    return statistics.fmean(pair[which] for pair in scores.values())


def _accuracy(suite: Suite, sets: Sets, peers: dict[str, _Drain]) -> None:
    ours = _scores(_ours, sets)
    theirs = {name: _scores(peer, sets) for name, peer in peers.items()}
    for name, pair in ours.items():
        for which, what in enumerate(("GA", "FGA")):
            others = {peer: found[name][which] for peer, found in theirs.items()}
            suite.add(Row(f"{what} {name}", "share", pair[which], others))
    for which, (what, limit, aim) in enumerate((("GA", 0.93, 0.96), ("FGA", 0.92, 0.96))):
        value = _mean(ours, which)
        bars = [
            Bar(f"mean {what} of the {len(sets)} systems", value, ">=", limit),
            Bar(f"mean {what}, the aim", value, ">=", aim),
        ]
        others = {peer: _mean(found, which) for peer, found in theirs.items()}
        suite.add(Row(f"{what} mean, content column", "share", value, others, bars))


def _robustness(suite: Suite, sets: Sets) -> None:
    """The same lines whole, in another order, in part, and of all systems in one table."""

    def show(what: str, changed: Sets, note: str = "") -> None:
        scores = _scores(_ours, changed)
        suite.add(Row(f"GA mean, {what}", "share", _mean(scores, 0), note=f"FGA {_mean(scores, 1):.4f}. {note}"))

    whole: Sets = {}
    for name, path in data.loghub().items():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) == len(sets[name][1]):
            whole[name] = (lines, sets[name][1])
    show("whole raw lines", whole, "Messages of two components are two groups here, and one in the truth.")
    shuffled: Sets = {}
    for name, (lines, truth) in sets.items():
        order = list(range(len(lines)))
        random.Random(1).shuffle(order)
        shuffled[name] = ([lines[i] for i in order], [truth[i] for i in order])
    show("shuffled", shuffled)
    show("first 1,000 lines", {name: (lines[:1000], truth[:1000]) for name, (lines, truth) in sets.items()})
    show("last 1,000 lines", {name: (lines[1000:], truth[1000:]) for name, (lines, truth) in sets.items()})
    mixed = [(line, name + id if id else "") for name, (a, b) in sets.items() for line, id in zip(a, b, strict=True)]
    random.Random(2).shuffle(mixed)
    show("all systems mixed in one table", {"all": ([line for line, _ in mixed], [id for _, id in mixed])})


# ----------------------------------------------------------------------------------------------- speed


def _speed(suite: Suite, lines: list[str], peers: dict[str, _Drain]) -> None:
    names: dict[str, object] = {"lines": lines, "PatternTable": PatternTable}
    sides = {"sophia": Contender("PatternTable().observe_many(lines)", names, len(lines))}
    for name, peer in peers.items():
        sides[name] = Contender("peer(lines)", {"peer": peer, "lines": lines}, len(lines))

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        limits = {"drain3": 5, "drain3 with masks": 15}
        return [Bar(f"{name} / sophia", ratio(timings[name], timings["sophia"]), ">=", limits[name]) for name in peers]

    suite.compare(f"{len(lines)} lines of {len(data.loghub())} systems, a line", sides, unit="us", bars=bars, repeats=5)
    table = PatternTable()
    table.observe_many(lines)
    names = {"lines": lines, "table": table}
    suite.compare(
        "the same lines again, a line",
        {"sophia": Contender("table.observe_many(lines)", names, len(lines))},
        unit="us",
        note="every masked line is known; no peer has such a state of its own",
    )
    suite.add(
        Row(
            "bytes for each masked line",
            "bytes",
            _bytes(table),
            note=f"{table.leaves} masked lines of logs; drain3 keeps no bound on bytes to compare with",
        )
    )


def _bytes(table: PatternTable) -> float:
    return (table.nbytes - PatternTable().nbytes) / table.leaves


def _chat_lines() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    folder = data.find("streams", "irc")
    if folder is not None:
        found["irc"] = [
            line
            for path in sorted(folder.glob("*.raw.txt"))
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
    path = data.find("streams", "sms", "SMSSpamCollection")
    if path is not None:
        text = path.read_text(encoding="utf-8", errors="replace")
        found["sms"] = [line.partition("\t")[2] for line in text.splitlines()]
    return found


def _chat(suite: Suite, peers: dict[str, _Drain]) -> None:
    for name, lines in _chat_lines().items():
        part = lines[:6000]
        sides = {
            "sophia": Contender(
                "PatternTable().observe_many(lines)", {"PatternTable": PatternTable, "lines": part}, len(part)
            )
        }
        if "drain3" in peers:
            sides["drain3"] = Contender("peer(lines)", {"peer": peers["drain3"], "lines": part}, len(part))
        suite.compare(f"{name}, a line", sides, unit="us", repeats=3)
        table = PatternTable()
        groups = Counter(table.resolve(id) for id in table.observe_many(lines))
        biggest = ", ".join(f"{n} x {table.template(id)[:60]!r}" for id, n in groups.most_common(3))
        suite.add(
            Row(
                f"{name}: patterns for each masked line",
                "share",
                len(groups) / table.leaves,
                note=f"{len(lines)} lines, {table.leaves} masked forms, {len(groups)} patterns; "
                f"the largest: {biggest}; {_bytes(table):.0f} bytes a masked line",
            )
        )


def _hostile(suite: Suite) -> None:
    """Lines that are new, or mostly, to a table that is full: each has to learn and to evict."""
    r = random.Random(3)
    words = ["".join(r.choices("bcdfghjklmnp", k=6)) for _ in range(50_000)]
    shapes = {
        "12 random words": [" ".join(r.choices(words, k=12)) for _ in range(20_000)],
        "3 of 40 words": [" ".join(r.choices(words[:40], k=3)) for _ in range(20_000)],
        "6 of 8 names with digits": [
            " ".join(f"{r.choice(words[:8])}{r.randint(0, 9)}" for _ in range(6)) for _ in range(20_000)
        ],
        "4 KB of random words": [" ".join(r.choices(words, k=600)) for _ in range(300)],
        "1 MB without a blank": ["x" * 1_000_000] * 20,
    }
    for name, lines in shapes.items():
        table = PatternTable(128)
        table.observe_many(lines)
        suite.compare(
            f"hostile: {name}, a line",
            {"sophia": Contender("table.observe_many(lines)", {"table": table, "lines": lines}, len(lines))},
            unit="us",
            repeats=3,
            note=f"{statistics.fmean(map(len, lines)):.0f} bytes a line",
        )
