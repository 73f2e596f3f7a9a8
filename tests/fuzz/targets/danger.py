"""The shipped danger rules on any text: prefilter, joined and single scans agree with every rule on every text."""

from __future__ import annotations

from oracle.danger import Oracle

from sophia.organs.danger import RuleSet

RULES = RuleSet.load()
ORACLE = Oracle(RULES)


def seeds() -> list[bytes]:
    found = [example for rule in RULES.rules for example in rule.examples[:1]]
    return [example.encode() for example in found] + ["\u212aill -9 -1\nſudo rm -rf /".encode(), b"\xff\x00 drop table"]


def check(data: bytes) -> None:
    texts = data.decode("utf-8", "surrogateescape").split("\x1e")[:8]
    expected = [ORACLE.scan(text) for text in texts]
    assert [RULES.scan(text) for text in texts] == expected
    assert RULES.scan_many(texts) == expected
    assert RULES.scan_many(texts * 9) == expected * 9
    long = " - ".join(texts * 40)  # read in places
    assert RULES.scan(long) == ORACLE.scan(long)
