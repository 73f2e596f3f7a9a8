"""The normal form: what two texts may differ in and still share an answer."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sophia._core.normaliser import normalise

SAME = [
    ("How do I turn on dark mode?", "how do i turn on dark mode"),
    ("Start the backup job", "START THE BACKUP JOB"),
    ("Refund order 48213", "  Refund   order 48213  "),
    ("Cancel my subscription", "Cancel my subscription\r\n"),
    ("Convert dollars to yen", "Convert dollars to yen."),
    ("What's my name?", "what's my name"),
    ("caf\u00e9", "cafe\u0301"),
    ("one\r\ntwo", "one\ntwo"),
    ("Wait.", "wait"),
    ("don't!", "Don't"),
    ("\u4f60\u597d?", "\u4f60\u597d"),
    ("\u00dcber die Br\u00fccke", "\u00fcber die br\u00fccke"),
    ("really?", "Really"),
]

DIFFERENT = [
    ("5 mW", "5 MW"),
    ("grep -A 3 x", "grep -a 3 x"),
    ("What does US mean", "What does us mean"),
    ("US", "us"),
    ("What is 5!", "What is 5?"),
    ("5!", "5?"),
    ("5!", "5!!"),
    ("./a", ". /a"),
    ("./a", "./A"),
    ("run this\nrm x", "run this rm x"),
    ("cd ..", "cd"),
    ("ls .", "ls"),
    ("if a:\n  b\nc", "if a:\n  b\n  c"),
    ("turn on", "turn off"),
    ("a b", "ab"),
    ("iPhone", "iphone"),
    ("Masse", "Ma\u00dfe"),
    ("x=1", "X=1"),
    ("\u0130", "i"),
    ("find a*?", "find a*"),
    ("1.5", "15"),
    ("don't", "dont"),
    ("wait...", "wait"),
    ("really?!", "really?"),
]

# What a closing mark may carry meaning behind: the text with any mark, or with none, is another text.
BEFORE_MEANING = [
    *("What is (3+2)", "(n-1)", "Simplify n", "What is C", "\u4e2d", "5", "12 times 13", "x2", "3.5", "1,000", "50%"),
    *(
        "the regex (ab)",
        "[ab]",
        "{2}",
        "'ab'",
        '"a b"',
        "`ls`",
        "\u201cab\u201d",
        "\u00abab\u00bb",
        "a_b",
        "a-b",
        "a/b",
    ),
    *("$x", "a*", "ab+", "@ab", "<b>", "x=yes", "obj.name", "dogs'", "'tis", "(ab", "ab,", "ab:", "git log HEAD..main"),
    *("cd .", "cd ..", "HEAD.", "sort!", "sort?", "ab\u2032", "\u221a", "e\u0301", "\U0001f600", "f(x)", "|ab|", "i++"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


@pytest.mark.parametrize("text", BEFORE_MEANING)
def test_a_mark_that_may_carry_meaning_stays(text: str) -> None:
    forms = [normalise(text + mark) for mark in ("", ".", "?", "!", "..", "?!", "!!", "...")]
    assert len(set(forms)) == len(forms)


@pytest.mark.parametrize("text", ["How is it going", "Tell me what US means", "I don't", "STOP NOW", "caf\u00e9", "ok"])
def test_one_mark_behind_an_ordinary_word_goes(text: str) -> None:
    assert len({normalise(text + mark) for mark in ("", ".", "?", "!")}) == 1
    assert len({normalise(text + mark) for mark in ("", "..", "??", "!!", "?!", "...")}) == 6


TEXTS = st.text(
    st.sampled_from("abcABZ059 \t\r\n.?!,;:'\"()-/*$\u00c9\u00e9\u00df\u0130\u2019\u3000\u2028\u4e2d\u0301\U0001f600")
)


@given(TEXTS)
def test_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(TEXTS)
def test_ascii_and_unicode_paths_agree(text: str) -> None:
    """A letter without case at the front forces the other path; it must change nothing else."""
    plain = "".join(c for c in text if c < "\x80")
    marked = normalise("\u4e2d " + plain)
    # The mark is a word of its own, which can only make a lone shouted word part of a longer text.
    if not plain.isupper():
        assert marked.removeprefix("\u4e2d").lstrip(" \n\t\r\x0b\x0c") == normalise(plain).lstrip(" \n\t\r\x0b\x0c")


@given(TEXTS, st.sampled_from(["", " ", "  ", "\n", "\r\n", "\t "]))
def test_blanks_around_do_not_matter(text: str, blanks: str) -> None:
    assert normalise(text + blanks) == normalise(text)


@given(TEXTS)
@example("A\u0130?")  # the small form of this letter is one with a mark behind it
def test_nothing_but_case_blanks_and_closing_marks_changes(text: str) -> None:
    import unicodedata

    def skeleton(value: str) -> str:
        composed = unicodedata.normalize("NFC", value).casefold()
        return "".join(c for c in composed if not c.isspace())

    before, after = skeleton(text), skeleton(normalise(text))
    ends_in_a_letter = after[-1:].isalpha() or unicodedata.category(after[-1:] or " ").startswith("M")
    assert before == after or (before[:-1] == after and before[-1] in ".?!" and ends_in_a_letter)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        normalise("half \ud83d of a pair")


def test_empty() -> None:
    assert normalise("") == ""
    assert normalise(" \r\n\t ") == ""
