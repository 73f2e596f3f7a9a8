"""The engine equals "every rule on every text", whatever the batches; the prefilter never misses."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path
from unittest import mock

import pytest
import re2
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from oracle.danger import Oracle
from oracle.patterns import sample

from sophia.errors import RuleError
from sophia.organs import danger
from sophia.organs.danger import Rule, RuleSet
from sophia.organs.rule_syntax import analyse

SHIPPED = RuleSet.load()
ORACLE = Oracle(SHIPPED)
WORDS = sorted(
    {literal.decode() for rule in SHIPPED.rules for b in analyse(rule.pattern).branches for g in b for literal in g}
)
EXAMPLES = sorted(text for rule in SHIPPED.rules for text in rule.examples + rule.counter_examples)
SPACE = st.sampled_from([" ", " ", " ", "\n", "\t", "", "  ", "\r\n", "é", "\u2028", "\x00"])
HOSTILE = st.lists(st.tuples(st.sampled_from(WORDS), SPACE).map("".join), max_size=14).map("".join)
EDGE = st.sampled_from(["", "\n", "\ud800", "ſudo su", "\u212aill -9 -1", " "])
TEXT = st.one_of(HOSTILE, st.sampled_from(EXAMPLES), EDGE, st.text(max_size=20))


@given(st.lists(st.one_of(TEXT, st.tuples(TEXT, SPACE, TEXT).map("".join)), max_size=40), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_one_by_one_joined_and_brute_force_agree(texts: list[str], size: int) -> None:
    expected = [ORACLE.scan(text) for text in texts]
    assert [SHIPPED.scan(text) for text in texts] == expected
    assert SHIPPED.scan_many(texts) == expected
    parts = [hit for at in range(0, len(texts), size) for hit in SHIPPED.scan_many(texts[at : at + size])]
    assert parts == expected


@given(TEXT, st.sampled_from([e for r in SHIPPED.rules if r.alarm for e in r.examples]))
@settings(max_examples=100, deadline=None)
def test_an_alarm_never_hides_a_rule_that_refuses(text: str, alarm: str) -> None:
    whole = f"{text}\n{alarm}"
    hit = SHIPPED.scan(whole)
    refused = any(
        pattern.search("".join("?" if 0xD800 <= ord(char) < 0xE000 else char for char in whole)) is not None
        for rule, pattern in zip(SHIPPED.rules, ORACLE.compiled, strict=True)
        if not rule.alarm
    )
    assert hit is not None
    assert hit.alarm is not refused
    assert SHIPPED.scan_many([whole] * 9) == [hit] * 9


@pytest.mark.parametrize("number", range(len(SHIPPED)), ids=[rule.id for rule in SHIPPED.rules])
def test_every_text_of_a_rule_is_a_candidate(number: int) -> None:
    """Random texts of each rule's own language: those that the engine matches must pass the prefilter."""
    rng = random.Random(SHIPPED.rules[number].id)  # seeded by the text, not by its hash
    matched = 0
    for _ in range(150):
        text = sample(SHIPPED.rules[number].pattern, rng)
        text = rng.choice(("", "x ", "-", "\n")) + text + rng.choice(("", " x", ".", "\n", ";"))
        if ORACLE.compiled[number].search(text) is not None:
            matched += 1
            assert number in SHIPPED.candidates(text), text
            if matched % 10 == 0:
                assert SHIPPED.scan(text) == ORACLE.scan(text)
    assert matched >= 20


# Patterns of every form that the reader knows, over two letters so that they match often.
LEAVES = r"a b ab abc B [ab] [^a] . \w \s k s ß \x61 [a-c] \Qa.\E \b \B ^ $ \A \z (?m:^) (?m:$) é \n"
LEAVES += r" \x20 \S \W [\sa] [^\s] [^\S] [\t-\x20] [[:space:]] [[:^alpha:]] \pZ (?P<hit>abc) (?:a\x20b|c) \s+ \S+"
LEAF = st.sampled_from(LEAVES.split())
PATTERN = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{0,2}", "{1,3}", "{2,}", "??"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=10,
)
SMALL = st.lists(
    st.sampled_from(["a", "b", "c", "A", "\n", " ", "\t", "\v", "k", "\u212a", "ſ", "é", ".", "ß", "abc"]), max_size=12
)


@given(
    st.lists(PATTERN, min_size=1, max_size=3),
    st.lists(SMALL.map("".join), max_size=20),
    st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.8]), st.booleans()), min_size=3, max_size=3),
    st.sampled_from([0, 512]),
)
@settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_pattern_on_any_text(
    patterns: list[str], texts: list[str], kinds: list[tuple[float, bool]], whole: int
) -> None:
    """Read whole, and in places only."""
    for pattern in patterns:
        try:
            re2.compile(pattern)
        except re2.error:
            assume(False)
    rules = RuleSet(
        [
            Rule(f"r{n}", "random", pattern, severity, alarm=alarm)
            for n, (pattern, (severity, alarm)) in enumerate(zip(patterns, kinds, strict=False))
        ]
    )
    oracle = Oracle(rules)
    expected = [oracle.scan(text) for text in texts]
    with mock.patch.object(danger, "_WHOLE", whole):
        assert rules.scan_many(texts) == expected
        assert [rules.scan(text) for text in texts] == expected


@given(PATTERN, st.lists(SMALL.map("".join), max_size=20))
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_match_reaches_farther_than_its_pattern_says(pattern: str, texts: list[str]) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        engine = re2.compile(
            pattern.encode(), options
        )  # of a str it tells wrong places after an empty match in a character
        reach = analyse(pattern).reach
    except (re2.error, ValueError):
        assume(False)
    assume(reach is not None)
    for text in texts:
        for match in engine.finditer(text.encode()):
            assert len(re.findall(rb"[\t\n\f\r ]+", match[0])) <= reach, text


LONG = st.lists(st.one_of(TEXT, SPACE, st.sampled_from([*WORDS, *EXAMPLES])), min_size=60, max_size=400).map("".join)


@given(st.lists(LONG, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_long_texts_of_the_rules_own_words(texts: list[str]) -> None:
    expected = [ORACLE.scan(text) for text in texts]
    assert [SHIPPED.scan(text) for text in texts] == expected
    assert SHIPPED.scan_many(texts * 2) == expected * 2


@pytest.mark.parametrize("number", range(len(SHIPPED)), ids=[rule.id for rule in SHIPPED.rules])
def test_a_rule_finds_its_examples_deep_in_a_long_text(number: int) -> None:
    """Among words of other rules: what is far away neither hides a match nor moves it."""
    rule, rng = SHIPPED.rules[number], random.Random(SHIPPED.rules[number].id)
    alone = RuleSet([rule])
    oracle = Oracle(alone)
    for example in rule.examples:
        words = rng.choices(WORDS, k=400)
        words.insert(rng.randrange(400), example)
        text = " ".join(words)
        found = alone.scan(text)
        assert found == oracle.scan(text)


RAW = st.text(alphabet="abckS ß[]()|*+?{}0123,\\^$.-:=!PQEpNxzAdw<>isUm\n", max_size=14)


@given(RAW, st.lists(SMALL.map("".join), max_size=8))
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_string_as_a_pattern_is_refused_or_right(pattern: str, texts: list[str]) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error:
        return
    try:
        rules = RuleSet([Rule("r", "random", pattern, 0.5)])
    except RuleError:
        return  # over 32, or a form that rules may not use
    oracle = Oracle(rules)
    assert [rules.scan(text) for text in texts] == [oracle.scan(text) for text in texts]
    assert rules.scan_many(texts * 3) == [oracle.scan(text) for text in texts] * 3


# What is a count, an octal escape or a class of POSIX only where nothing comes between, and what each spells.
ALMOST = [(text, text) for text in ("x", "{", "}", ",", "0", "2", "\u0662", "02")]
ALMOST += [(rf"\Q{text}\E", text) for text, _ in ALMOST]
ALMOST += [(r"\0", "\0"), (r"\12", "\n"), ("[x[:]", ":"), ("[[:]", "["), (":]", ":]")]
ALMOST += [("(?i)", ""), ("(?:", ""), (")", "")]


@given(st.lists(st.sampled_from(ALMOST), min_size=2, max_size=7), st.sampled_from(["abc", "x+abc"]))
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_what_only_looks_like_syntax_is_read_as_the_engine_reads_it(parts: list[tuple[str, str]], end: str) -> None:
    pattern = "".join(piece for piece, _ in parts) + end
    options = re2.Options()
    options.log_errors = False
    rules = None
    with contextlib.suppress(re2.error, RuleError):
        re2.compile(pattern, options)
        rules = RuleSet([Rule("r", "random", pattern, 0.5)])
    assume(rules is not None)
    oracle = Oracle(rules)
    spelled = "".join(text for _, text in parts)
    texts = [text + "xabc" for text in (spelled, spelled[:-1], "", "xx", "xxx,2}", spelled + "abc")]
    texts += [text + "abc" for text in (spelled, "xx", "x")]
    assert [rules.scan(text) for text in texts] == [oracle.scan(text) for text in texts]


@given(st.one_of(st.binary(max_size=200), RAW.map(lambda pattern: _file(pattern).encode())))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused_with_its_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(data)
    refusal = None
    try:
        RuleSet.load([path], shipped=False)
    except RuleError as error:
        refusal = str(error)
    assert refusal is None or refusal.startswith(f"{path}:")


def _file(pattern: str) -> str:
    return f"[[rule]]\nid = 'r'\ndescription = 'd'\nseverity = 1\npattern = '''{pattern}'''\n"
