"""The danger rules: prefilter, scans one by one and in batches, hostile text, start, and shares on data sets.

The peer is the set matcher of google-re2 over the same patterns: what the engine would cost without the
prefilter. Before anything is timed, both must flag the same texts.
"""

from __future__ import annotations

import csv
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import re2

from benchmarks import data
from benchmarks.harness import Bar, Contender, Row, Suite, Timing
from sophia.organs.danger import RuleSet
from sophia.organs.rule_syntax import analyse

MEGABYTE = 1_000_000


def run() -> Suite:
    suite = Suite("danger", ("google-re2", "tomli"))
    rules = RuleSet.load()
    peer = _set(rules)
    plain = [text for rule in rules.rules for text in rule.counter_examples]
    _agree(suite, rules, peer, plain)
    _start(suite)
    _prefilter(suite, rules, plain)
    _ordinary(suite, rules, peer, plain, "counter-examples")
    queries = data.clinc_queries()
    if queries:
        _ordinary(suite, rules, peer, queries, "CLINC150 test queries")
    else:
        suite.skip("CLINC150 test queries", data.ADVICE)
    _hostile(suite, rules, peer)
    _megabytes(suite, rules, peer)
    _shares(suite, rules)
    return suite


def _set(rules: RuleSet) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = 64 << 20
    made = re2.Set.SearchSet(options)
    for rule in rules.rules:
        made.Add(rule.pattern)
    made.Compile()
    return made


def _words(rules: RuleSet) -> list[str]:
    found = {
        literal.decode()
        for rule in rules.rules
        for branch in analyse(rule.pattern).branches
        for group in branch
        for literal in group
    }
    return sorted(found)


def _hostile_text(words: list[str], size: int, seed: int) -> str:
    draw = random.Random(seed)
    text = ""
    while len(text) < size:
        text += " ".join(draw.choices(words, k=64)) + " "
    return text[:size]


def _agree(suite: Suite, rules: RuleSet, peer: Any, plain: list[str]) -> None:
    words = _words(rules)
    texts = plain + [text for rule in rules.rules for text in rule.examples]
    texts += [_hostile_text(words, size, size) for size in range(20, 420)]
    wrong = [text for text in texts if (rules.scan(text) is None) != (not peer.Match(text))]
    wrong += [text for text, hit in zip(texts, rules.scan_many(texts), strict=True) if hit != rules.scan(text)]
    bars = [Bar("flags the same texts as every pattern on its own", len(wrong), "<=", 0)]
    suite.add(Row("disagreements", "texts", len(wrong), bars=bars))


def _start(suite: Suite) -> None:
    spent = []
    for _ in range(7):
        before = time.process_time_ns()
        RuleSet.load()
        spent.append((time.process_time_ns() - before) / 1e6)
    suite.add(Row("load of the shipped set", "ms", statistics.median(spent), note="without the imports"))


def _prefilter(suite: Suite, rules: RuleSet, plain: list[str]) -> None:
    literals = rules.literals
    for name, text in (("ordinary text", " ".join(plain) * 8), ("1 MB of a", "a" * MEGABYTE)):
        suite.compare(
            f"prefilter, {name}, a byte",
            {"sophia": Contender("find(text)", {"find": literals.candidates, "text": text}, len(text))},
        )
    short = [text for text in plain if not literals.candidates(text)]
    size = sum(map(len, short))
    suite.compare(
        "prefilter, short texts, a byte",
        {"sophia": Contender("find(texts)", {"find": literals.suspects, "texts": short}, size)},
        note=f"{len(short)} texts of {size / len(short):.0f} bytes, call and list included",
    )


def _ordinary(suite: Suite, rules: RuleSet, peer: Any, texts: list[str], name: str) -> None:
    joined = ["\n".join(texts[at : at + 64]).encode() for at in range(0, len(texts), 64)]
    batches = [texts[at : at + 256] for at in range(0, len(texts), 256)]
    names = {"rules": rules, "peer": peer, "texts": texts, "joined": joined, "batches": batches}
    count = len(texts)
    suite.compare(
        f"scan one by one, {name}",
        {
            "sophia": Contender("for text in texts: rules.scan(text)", names, count),
            "re2.Set": Contender("for text in texts: peer.Match(text)", names, count),
        },
    )
    suite.compare(
        f"scan_many of 256, {name}",
        {
            "sophia": Contender("for batch in batches: rules.scan_many(batch)", names, count),
            "re2.Set, 64 joined": Contender("for text in joined: peer.Match(text)", names, count),
        },
        note="the joined set only says that one of 64 texts matches",
    )


def _hostile(suite: Suite, rules: RuleSet, peer: Any) -> None:
    words = _words(rules)
    for size in (40, 200, 800, 4000):
        texts = [_hostile_text(words, size, seed) for seed in range(20_000 // size + 1)]
        names = {"rules": rules, "peer": peer, "texts": texts}
        total = size * len(texts)

        def bars(timings: dict[str, Timing]) -> list[Bar]:
            return [Bar("hostile text, us a byte", timings["sophia"].median / 1e3, "<=", 0.5)]

        suite.compare(
            f"hostile text of {size}, a byte",
            {
                "sophia": Contender("for text in texts: rules.scan(text)", names, total),
                "re2.Set": Contender("for text in texts: peer.Match(text)", names, total),
            },
            bars=bars,
            repeats=5,
            note="the same texts again and again, which suits the cache of the set",
        )


def _megabytes(suite: Suite, rules: RuleSet, peer: Any) -> None:
    words = _words(rules)
    hostile = _hostile_text(words, MEGABYTE, 7)
    spent, whole = _milliseconds(lambda: rules.scan(hostile)), 0.0
    encoded = hostile.encode()
    for number in range(len(rules)):  # the worst that could be: every rule reads everything
        pattern = rules._rule(number)

        def read(pattern: Any = pattern) -> None:
            at = 0
            while (match := pattern.search(encoded, at)) is not None:
                at = max(match.end(), at + 1)

        whole += _milliseconds(read, repeats=1)
    peers = {"re2.Set": _milliseconds(lambda: peer.Match(hostile), repeats=1)}
    suite.add(Row("hostile text, 1 MB", "ms", spent, peers, [Bar("hostile 1 MB", spent, "<=", 500)]))
    suite.add(
        Row(
            "hostile text, 1 MB, all rules to its end",
            "ms",
            whole,
            bars=[Bar("worst case", whole, "<=", 500)],
        )
    )
    spent = _milliseconds(lambda: rules.scan("a" * MEGABYTE))
    suite.add(Row("1 MB of a", "ms", spent, bars=[Bar("1 MB of 'a'", spent, "<=", 10)]))


def _milliseconds(work: Callable[[], object], repeats: int = 5) -> float:
    spent = []
    for _ in range(repeats):
        before = time.process_time_ns()
        work()
        spent.append((time.process_time_ns() - before) / 1e6)
    return statistics.median(spent)


# ---- shares of texts that are flagged -------------------------------------------------------------------


def _lines(paths: Iterator[Path]) -> list[str]:
    return [line for path in sorted(paths) for line in path.read_text("utf-8", "replace").splitlines() if line]


def _prompts(path: Path) -> list[str]:
    """Texts of a YAML list of records, by their `content`, or of a JSON list, by their `prompt`."""
    if path.suffix == ".json":
        return [record["prompt"] for record in json.loads(path.read_text("utf-8"))]
    import yaml  # type: ignore[import-untyped]

    return [record["content"] for record in yaml.safe_load(path.read_text("utf-8"))]


def _shares(suite: Suite, rules: RuleSet) -> None:
    injection, banking = data.find("router", "injection"), data.find("router", "banking77", "test.csv")
    streams = data.find("streams")
    if injection is None or banking is None or streams is None:
        suite.skip("shares of flagged texts", data.ADVICE)
        return
    sets: dict[str, Callable[[], list[str]]] = {
        "benign: CLINC150 test": data.clinc_queries,
        "benign: Banking77 test": lambda: [row["text"] for row in csv.DictReader(banking.open(encoding="utf-8"))],
        "benign: NotInject": lambda: [
            text for path in sorted(injection.glob("injecguard/NotInject_*.json")) for text in _prompts(path)
        ],
        "benign: wildguard": lambda: _prompts(injection / "injecguard/wildguard.json"),
        "benign: deepset": lambda: _prompts(injection / "parapet/opensource_deepset_benign.yaml"),
        "benign: irc": lambda: _lines((streams / "irc").glob("*.raw.txt")),
        "benign: sms": lambda: _lines((streams / "sms").glob("SMSSpamCollection")),
        "attack: deepset": lambda: _prompts(injection / "parapet/opensource_deepset_attacks.yaml"),
        "attack: gandalf": lambda: _prompts(injection / "parapet/opensource_gandalf_attacks.yaml"),
        "attack: mosscap": lambda: _prompts(injection / "parapet/opensource_mosscap_attacks.yaml"),
    }
    for name, read in sets.items():
        try:
            texts = read()
        except (OSError, ImportError) as error:
            suite.skip(name, str(error))
            continue
        hits = [hit for hit in rules.scan_many(texts) if hit is not None]
        high = sum(hit.severity >= 0.75 for hit in hits)
        note = f"{len(hits)} of {len(texts)}; severity high or critical: {high}"
        suite.add(Row(f"flagged, {name}", "%", 100 * len(hits) / max(1, len(texts)), note=note))
    _logs(suite, rules)


def _logs(suite: Suite, rules: RuleSet) -> None:
    logs = data.loghub()
    if ssh := logs.get("OpenSSH"):
        lines = _lines(iter([ssh]))
        hits = rules.scan_many(lines)
        true = [at for at, line in enumerate(lines) if "POSSIBLE BREAK-IN ATTEMPT" in line]
        found = sum((hit := hits[at]) is not None and hit.rule == "log.break-in" for at in true)
        bars = [Bar("break-in attempts of OpenSSH flagged", 100 * found / len(true), ">=", 100)]
        suite.add(Row("OpenSSH break-in attempts flagged", "%", 100 * found / len(true), bars=bars))
    if bgl := logs.get("BGL"):  # its first word is "-" for a line that is no alert
        lines = _lines(iter([bgl]))
        hits = rules.scan_many([line.split(" ", 1)[1] for line in lines])
        alerts = [hit for line, hit in zip(lines, hits, strict=True) if not line.startswith("-")]
        calm = [hit for line, hit in zip(lines, hits, strict=True) if line.startswith("-")]
        caught = sum(hit is not None for hit in alerts)
        false = sum(hit is not None and hit.severity >= 0.5 for hit in calm)
        note = f"{caught} of {len(alerts)} alerts; of {len(calm)} others {false} at medium or higher"
        suite.add(Row("BGL alerts flagged", "%", 100 * caught / len(alerts), note=note))
