"""What a RuleSet must answer: every rule tried in order on every text, no prefilter, nothing joined."""

from __future__ import annotations

from typing import Any

import re2

from sophia.organs.danger import Hit, Rule, RuleSet


def compiled(rule: Rule) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    return re2._Regexp(rule.pattern, options)


class Oracle:
    """All rules of a set, compiled once."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules.rules
        self.compiled = [compiled(rule) for rule in rules.rules]

    def scan(self, text: str) -> Hit | None:
        whole = "".join("?" if 0xD800 <= ord(char) < 0xE000 else char for char in text)
        hits = []
        for rule, pattern in zip(self.rules, self.compiled, strict=True):
            match = pattern.search(whole)  # on str, re2 counts characters itself
            if match is not None:
                span = match.span(match.re.groupindex.get("hit", 0))
                hits.append(Hit(rule.id, rule.severity, match.span() if span[0] < 0 else span, rule.alarm))
        return max(hits, key=lambda hit: (not hit.alarm, hit.severity), default=None)  # the first of equals
