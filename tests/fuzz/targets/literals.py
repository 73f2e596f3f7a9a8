"""The literal prefilter, built of any literals, on any text, against a search for each."""

from __future__ import annotations

from oracle import literals as oracle

from fuzz.tape import Tape
from sophia._core.literals import LiteralSet


def seeds() -> list[bytes]:
    return [
        b"sudo,rm -rf;root\nerror|fail;disk\n\x00please SUDO and Root; no error",
        b"a,ab,abc;b\n\n|x\n\x00aabbcc" + b"abc " * 200,
        "ſ;k\nkill\n\0\u212aill ſudo".encode(),
    ]


def check(data: bytes) -> None:
    """One rule a line: branches by ``|``, groups by ``;``, literals by ``,``."""
    tape = Tape(data)
    rules = [
        [
            [[literal for literal in group.split(b",") if literal] for group in branch.split(b";")]
            for branch in line.split(b"|")
        ]
        for line in tape.until(b"\0").split(b"\n")
    ]
    rules = [[[group for group in branch if group] for branch in rule] for rule in rules]
    text = tape.rest()
    try:
        made = LiteralSet(rules)
    except ValueError as error:
        assert str(error)
        return
    expected = oracle.candidates(rules, text)
    assert made.candidates(text) == expected
    assert made.hits(text) == bool(expected)
    assert made.hits_many([text, b"", text, text[1:], text, text]) == [
        bool(oracle.candidates(rules, one)) for one in (text, b"", text, text[1:], text, text)
    ]
    assert made.suspects([text, b"", text]) == [
        (at, found) for at, one in enumerate((text, b"", text)) if (found := oracle.candidates(rules, one))
    ]
