"""What is read off a pattern: required literals, line anchors, counted repeats."""

from __future__ import annotations

import contextlib

import pytest
import re2

from sophia.organs.rule_syntax import PatternError, analyse


def branches(pattern: str) -> set[tuple[frozenset[str], ...]]:
    return {
        tuple(frozenset(literal.decode() for literal in group) for group in branch)
        for branch in analyse(pattern).branches
    }


def groups(*literals: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(group.split()) for group in literals)


NOTHING: set[tuple[frozenset[str], ...]] = {()}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("Hello", {groups("hello")}),
        (r"\bfoo\s+barbar\b", {groups("barbar", "foo")}),
        ("abc|defg", {groups("abc defg")}),
        (r"abc\d|defg\d+x", {groups("abc"), groups("defg")}),
        (r"abc\d|x\d", NOTHING),  # an alternative without a literal of three
        ("ab", NOTHING),
        ("", NOTHING),
        ("(?:abc)?def", {groups("def")}),
        ("(?:abc)*", NOTHING),
        ("(?:abc)+", {groups("abc")}),
        ("(?:ab){2}c", {groups("ababc")}),
        ("(?:ab){0,2}c", NOTHING),
        ("a{3}b", {groups("aaab")}),
        ("colou?r", {groups("color colour")}),
        ("abcd?", {groups("abc")}),
        ("ab[cd]e", {groups("abce abde")}),
        ("ab[^cd]efg", {groups("efg")}),
        ("ab[a-z]efg", {groups("efg")}),
        ("a[]x]cd", {groups("a]cd axcd")}),
        ("a[x-]cd", {groups("a-cd axcd")}),
        ("a[-x]cd", {groups("a-cd axcd")}),
        (r"a[\]x]cd", {groups("a]cd axcd")}),
        ("a[[:alpha:]]cde", {groups("cde")}),
        (r"a[\pL]cde|\PNfgh|\p{Greek}ijk", {groups("cde"), groups("fgh"), groups("ijk")}),
        (r"\Qa.b*\Ec", {groups("a.b*c")}),
        (r"a\Qbc", {groups("abc")}),
        (r"\x41\x{42}\103", {groups("abc")}),
        (r"a\.b\-c", {groups("a.b-c")}),
        (r"abc\tdef", {(frozenset({"abc\tdef"}),)}),
        ("(?i)abc", {groups("abc")}),
        ("(?P<name>abc)def", {groups("abcdef")}),
        ("(?<name>abc)(def)", {groups("abcdef")}),
        ("(?-i:ABC)", {groups("abc")}),
        ("(?s-i:.)abc", {groups("abc")}),
        ("straße", {groups("stra")}),
        ("abc{x}", {groups("abc{x}")}),
        ("abc{,3}", {groups("abc{,3}")}),
        ("(abc|)def", {groups("def")}),
        (r"(?:curl|wget)\s.*\|\s*(?:ba)?sh", {groups("curl wget")}),
        ("K\u212akelvin", {groups("kelvin")}),
        (r"abc\b*\s+\b?defg", {groups("defg", "abc")}),
        ("x{02}abc", {groups("x{02}abc")}),
        ("x{1,02}abc", {groups("x{1,02}abc")}),
        ("x{\u0662}abc", {groups("}abc")}),
        (r"x{\Q2\E}abc", {groups("x{2}abc")}),
        (r"\0\Q1\Eabc", {(frozenset({b"\x001abc".decode()}),)}),
        ("abc[x[:]def|ghi[j]", {groups("abcxdef abc[def abc:def ghij")}),
    ],
)
def test_required_literals(pattern: str, expected: set[tuple[frozenset[str], ...]]) -> None:
    re2.compile(pattern)  # the reader is only asked about patterns that the engine takes
    assert branches(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "reach"),
    [
        ("abc", 0),
        ("a b  c", 3),
        (r"a\s+b\s*c", 2),
        (r"a\s{2,9}b", 1),
        (r"a[ \t]{1,3}b", 1),
        (r"(\s)+|(?:\s+x){3}", 3),
        (r"(?:\S+\s+){0,5}end", 5),
        (r"(?:\S+\s+)*end", None),
        (r"(?:-\S+ )+end", None),
        (r"a.b", 1),
        (r"a.?b.{0,7}", 8),
        (r"a.*b", None),
        (r"a\W+b", None),
        (r"a[^\n]*b", None),
        (r"a[^\s|]*b", 0),
        (r"a[\w.-]+b[[:alpha:]]*", 0),
        (r"a[[:space:]]+b", None),
        (r"a[\s,]+b", None),
        (r"a[\t-z]*b", None),
        (r"a[!-~]*b", 0),
        (r"a\pL+b", None),
        (r"\b\d+\B$", 0),
        (r"a(?: |%20)b| c d ", 3),
        (r"(?P<hit>a b)\Q c \E", 3),
        (r"a b?c*", 1),
        ("a *b", 1),
        (r"a[ ]*b", 1),
        ("wört mit", 1),
    ],
)
def test_reach(pattern: str, reach: int | None) -> None:
    re2.compile(pattern)
    assert analyse(pattern).reach == reach


def test_branches_stay_few() -> None:
    alternatives = "(?:aaa\\d|bbb\\d|ccc\\d|ddd\\d)"
    made = analyse(alternatives * 6).branches
    assert 1 <= len(made) <= 24
    assert all(made)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^abc$", r"(?m:^)abc(?m:$)"),
        (r"\Aabc\z", r"(?m:^)abc(?m:$)"),
        (r"a\$b\^c[$^]", r"a\$b\^c[$^]"),
        (r"\\Aabc", r"\\Aabc"),
        (r"(?:x|^)abc(?:$|y)", r"(?:x|(?m:^))abc(?:(?m:$)|y)"),
        (r"\babc\B", r"\babc\B"),
        (r"(?P<hit>^a)|(?<other>b)(?i:c)", r"(?:(?m:^)a)|(?:b)(?i:c)"),
    ],
)
def test_line_pattern(pattern: str, expected: str) -> None:
    assert analyse(pattern).line_pattern == expected
    re2.compile(expected)


@pytest.mark.parametrize(
    "pattern",
    [
        ".{0,33}abc",
        "[^x]{1,100}abc",
        r"\s{0,50}abc",
        "a{33}",
        "a{40,}",
        "(?:a{8}){5}",
        "((a{2}){4}){5}",
        r"\w{33,40}?",
    ],
)
def test_counts_over_32_are_refused(pattern: str) -> None:
    re2.compile(pattern)
    with pytest.raises(PatternError, match="over 32"):
        analyse(pattern)


@pytest.mark.parametrize("pattern", ["a{2,0}", "[b-d]{2,1}x", "(?:ab|c){31,30}", r"\s{3,0}"])
def test_a_count_that_ends_before_it_begins_is_refused(pattern: str) -> None:
    """By the engine as well, but what is read here comes first."""
    with pytest.raises(PatternError, match="ends before it begins"):
        analyse(pattern)


@pytest.mark.parametrize("pattern", [".{0,32}abc", "a{32}", "(?:a{8}){4}", "a{32}b{32}", "a*b+", "a{1,}", "x{,99}"])
def test_counts_up_to_32_are_taken(pattern: str) -> None:
    """Without line anchors, the pattern for a joined text is the pattern itself, as far as RE2 can tell."""
    joined = re2.compile(analyse(pattern).line_pattern)
    alone = re2.compile(pattern)
    for text in ("", "a" * 40, "xxabc", "b" * 9, "a" * 32 + "b" * 32, "x" * 120):
        assert bool(joined.search(text)) == bool(alone.search(text))


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?<!a)b", "(?>a)", r"a\1", "(a", "a)", "[a", "*a", r"\k", r"\Z", "a\\"])
def test_what_the_engine_does_not_take_is_no_crash(pattern: str) -> None:
    with pytest.raises(re2.error):
        re2.compile(pattern, _quiet())
    with contextlib.suppress(PatternError):
        analyse(pattern)


@pytest.mark.parametrize("pattern", ["abc(?i)?", "ab(?s)*", "a{2}(?i){0,2}"])
def test_repeated_flags_are_refused(pattern: str) -> None:
    """RE2 repeats what stands before the flags: nobody means that, and it must not be read otherwise here."""
    re2.compile(pattern)
    with pytest.raises(PatternError, match="repeat of flags"):
        analyse(pattern)


@pytest.mark.parametrize("pattern", [r"a+\Q\E{0,2}", r"a\Q", r"ab\Q\E"])
def test_empty_quotations_are_refused(pattern: str) -> None:
    re2.compile(pattern)
    with pytest.raises(PatternError, match="empty quotation"):
        analyse(pattern)


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options
