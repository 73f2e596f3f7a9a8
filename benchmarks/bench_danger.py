"""The danger rules: prefilter, scans one by one and in batches, hostile text, start, and shares on data sets.

The peer is the set matcher of google-re2 over the same patterns: what the engine would cost without the
prefilter. Before anything is timed, both must flag the same texts.
"""

from __future__ import annotations

import random
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any

import re2

from benchmarks import data
from benchmarks.harness import Bar, Contender, Row, Suite, Timing
from benchmarks.hostile import Hostile, words_of
from benchmarks.injection_data import TextSet, load
from benchmarks.injection_data import lines as lines_of
from sophia.config import Settings
from sophia.organs import danger
from sophia.organs.danger import RuleSet
from sophia.organs.suspicion import trained

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


def _agree(suite: Suite, rules: RuleSet, peer: Any, plain: list[str]) -> None:
    words = words_of(rules)
    texts = plain + [text for rule in rules.rules for text in rule.examples]
    draw = random.Random(1)
    texts += [" ".join(draw.choices(words, k=size // 4)) for size in range(20, 420)]
    wrong = [text for text in texts if (rules.scan(text) is None) != (not peer.Match(text))]
    wrong += [text for text, hit in zip(texts, rules.scan_many(texts), strict=True) if hit != rules.scan(text)]
    bars = [Bar("flags the same texts as every pattern on its own", len(wrong), "<=", 0)]
    suite.add(Row("disagreements", "texts", len(wrong), bars=bars))


def _start(suite: Suite) -> None:
    spent = []
    for _ in range(7):
        danger._shipped.cache_clear()
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
    words = words_of(rules)

    def hits(text: str) -> bool:
        return rules.scan(text) is not None

    hostile = Hostile(hits, words, 3)
    for size in (40, 200, 800, 4000):
        texts = [hostile.text(size) for _ in range(20_000 // size + 1)]
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
    words = words_of(rules)

    def hits(text: str) -> bool:
        return rules.scan(text) is not None

    hostile = Hostile(hits, words, 7).text(MEGABYTE)
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


# What the rules must flag at least, and may flag at most, in percent of a whole set and of its odd rows.
_LIMITS = {
    ("deepset", True): 25.0,
    ("gandalf", True): 55.0,
    ("mosscap", True): 30.0,
    ("NotInject", False): 4.0,
    ("wildguard", False): 2.0,
    ("CLINC150 test", False): 0.0,
}


def _shares(suite: Suite, rules: RuleSet) -> None:
    """How many texts of each set a rule refuses; rules that only report (alarms) refuse nothing."""
    found, missing = load()
    for name, why in missing:
        suite.skip(name, why)
    for name, attack, texts in found:
        hits = rules.scan_many(texts)
        vetoed = [hit is not None and not hit.alarm for hit in hits]
        shares = {"": _percent(vetoed), "odd rows ": _percent(vetoed[1::2])}
        kind = "attack" if attack else "benign"
        limit = _LIMITS.get((name, attack))
        op = ">=" if attack else "<="
        bars = [] if limit is None else [Bar(f"{part}vetoed, %", share, op, limit) for part, share in shares.items()]
        alarms = sum(hit is not None and hit.alarm for hit in hits)
        note = f"{sum(vetoed)} of {len(texts)}; odd rows {shares['odd rows ']:.2f} %; reported only: {alarms}"
        suite.add(Row(f"vetoed, {kind}: {name}", "%", shares[""], bars=bars, note=note))
    _scores(suite, found)
    _logs(suite, rules)


def _scores(suite: Suite, sets: list[TextSet]) -> None:
    """The danger score: the share of each set that it sends to deep thought, and its ROC against each calm set.

    It vetoes nothing. Its peer for the area under the curve is chance.
    """
    scored = {(one.name, one.attack): [trained().score(text) for text in one.texts[1::2]] for one in sets}
    limit = Settings().danger_score
    for (name, attack), scores in scored.items():
        raised = [score >= limit for score in scores]
        kind = "attack" if attack else "benign"
        note = f"danger score of {limit} and over; odd rows; {sum(raised)} of {len(raised)}; none of them is refused"
        suite.add(Row(f"thought about, {kind}: {name}", "%", _percent(raised), note=note))
    for (name, attack), scores in scored.items():
        if not attack:
            continue
        for (other, also), calm in scored.items():
            if also or other in ("irc", "sms"):
                continue
            curve = ", ".join(f"{100 * _recall(scores, calm, share):.0f} % at {100 * share:g} %" for share in _SHARES)
            area = area_under(scores, calm)
            bars = [Bar("better than chance", area, ">=", 0.5)]
            row = Row(f"danger score, {name} against {other}", "AUROC", area, {"chance": 0.5}, bars)
            row.note = f"odd rows; recall at false alarms: {curve}"
            suite.add(row)


_SHARES = (0.01, 0.03, 0.1)


def _recall(attacks: list[float], calm: list[float], share: float) -> float:
    """Share of the attacks over the score that this share of the calm texts reaches."""
    limit = sorted(calm, reverse=True)[int(share * len(calm))]
    return sum(score > limit for score in attacks) / len(attacks)


def area_under(attacks: list[float], calm: list[float]) -> float:
    """The share of pairs in which the attack scores higher; equal scores count a half."""
    ranked = sorted(calm)
    below = sum(bisect_left(ranked, score) + bisect_right(ranked, score) for score in attacks)
    return below / (2 * len(attacks) * len(calm))


def _percent(found: list[bool]) -> float:
    return 100 * sum(found) / max(1, len(found))


def _logs(suite: Suite, rules: RuleSet) -> None:
    logs = data.loghub()
    if ssh := logs.get("OpenSSH"):
        lines = lines_of([ssh])
        hits = rules.scan_many(lines)
        true = [at for at, line in enumerate(lines) if "POSSIBLE BREAK-IN ATTEMPT" in line]
        found = sum((hit := hits[at]) is not None and hit.rule == "log.break-in" for at in true)
        bars = [Bar("break-in attempts of OpenSSH flagged", 100 * found / len(true), ">=", 100)]
        suite.add(Row("OpenSSH break-in attempts flagged", "%", 100 * found / len(true), bars=bars))
    if bgl := logs.get("BGL"):  # its first word is "-" for a line that is no alert
        lines = lines_of([bgl])
        hits = rules.scan_many([line.split(" ", 1)[1] for line in lines])
        alerts = [hit for line, hit in zip(lines, hits, strict=True) if not line.startswith("-")]
        calm = [hit for line, hit in zip(lines, hits, strict=True) if line.startswith("-")]
        caught = sum(hit is not None for hit in alerts)
        false = sum(hit is not None and hit.severity >= 0.5 for hit in calm)
        note = f"{caught} of {len(alerts)} alerts; of {len(calm)} others {false} at medium or higher"
        suite.add(Row("BGL alerts flagged", "%", 100 * caught / len(alerts), note=note))
