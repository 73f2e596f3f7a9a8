"""Rule sets come and go without leaking; many threads share one."""

from __future__ import annotations

import gc
import threading

import psutil
import pytest

from sophia._core.literals import LiteralSet
from sophia.organs.danger import Rule, RuleSet

pytestmark = pytest.mark.stress


def _resident() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


@pytest.mark.memory
def test_automata_are_freed_with_their_set() -> None:
    branches = [[[[b"%04d-literal" % (n + k) for k in range(8)]]] for n in range(0, 4000, 8)]

    def round_trip() -> None:
        for _ in range(40):
            made = LiteralSet(branches)
            assert made.candidates("0008-LITERAL") == (1,)
            with pytest.raises(ValueError, match="not 65"):
                LiteralSet([*branches, [[[b"x" * 65]]]])

    round_trip()
    before = _resident()
    round_trip()
    assert _resident() - before < 8 << 20  # one automaton here is over 2 MB


@pytest.mark.memory
def test_hostile_texts_do_not_grow_the_engine_without_bound() -> None:
    rules = RuleSet([Rule(f"r{n}", "gap", rf"\bword{n}\s+(?:\S+\s+){{0,8}}end\b", 0.5) for n in range(20)])
    words = [f"word{n}" for n in range(20)] + ["x", "the", "of"]
    before = _resident()
    for turn in range(60):
        rules.scan(" ".join(words[(turn * 7 + k * k * (turn + 3)) % len(words)] for k in range(4000)))
    assert _resident() - before < 64 << 20  # 1 MB a rule, and the text


def test_threads_agree_while_rules_are_compiled() -> None:
    texts = [text for rule in RuleSet.load().rules for text in rule.examples]
    expected = RuleSet.load().scan_many(texts)
    for _ in range(5):
        fresh = RuleSet.load()
        wrong: list[int] = []

        def work(shift: int, fresh: RuleSet = fresh, wrong: list[int] = wrong) -> None:
            for k in range(len(texts)):
                at = (k * 31 + shift) % len(texts)
                if fresh.scan(texts[at]) != expected[at]:
                    wrong.append(at)

        threads = [threading.Thread(target=work, args=(shift,)) for shift in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
