"""LiteralSet against its oracle on chosen cases; random ones are in tests/property."""

from __future__ import annotations

import pickle
import threading

import pytest
from oracle import literals as oracle

from sophia._core.literals import MAX_LITERAL, MAX_RULES, LiteralSet

RULES = [
    [[[b"drop"], [b"table", b"database"]], [[b"truncate"]]],
    [[[b"mkfs"]]],
    [[[b"he", b"she", b"hers", b"his"]]],
    [[[b"a"], [b"ab"], [b"abc"]]],
]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"drop",
        b"DROP the TaBlE",
        b"tabledrop",
        b"truncat",
        b"truncate",
        b"MKFS.ext4",
        b"ushers",
        b"abc",
        b"ab",
        b"\x00mkfs\x00",
        b"\xff\xfe\x80mkf\xff",
        "mfs \u212a".encode(),
        "\u017f".encode(),
        "\u017e\u2129 \u0130\u00df".encode(),
        bytes(range(256)),
        b"mkf" * 1000 + b"s",
    ],
)
def test_candidates_are_those_of_the_oracle(text: bytes) -> None:
    rules = LiteralSet(RULES)
    assert rules.candidates(text) == oracle.candidates(RULES, text)
    assert rules.hits(text) == bool(oracle.candidates(RULES, text))


@pytest.mark.parametrize("size", [511, 512, 513, 700, 4096, 70_001])
def test_a_literal_is_found_at_every_place_of_a_long_text(size: int) -> None:
    """A long text is read by several cursors; no literal may fall between two of them."""
    rules = LiteralSet([[[[b"needle-in-hay"]]], [[[b"xy"], [b"needle"]]]])
    step = 1 if size < 1000 else 97
    quarter = size // 4
    places = {*range(0, size - 13, step), *(q * quarter + d for q in range(1, 4) for d in range(-14, 3))}
    for place in sorted(places):
        text = bytearray(b"." * size)
        text[place : place + 13] = b"NEEDLE-in-HAY"
        assert rules.candidates(bytes(text[:size])) == (0,)


def test_str_and_bytes_give_the_same() -> None:
    rules = LiteralSet(RULES)
    for text in ("mkfs", "größe mkfs é", "日本語 drop table", ""):
        assert rules.candidates(text) == rules.candidates(text.encode())


def test_a_lone_surrogate_is_a_question_mark() -> None:
    rules = LiteralSet([[[[b"a?b"]]], [[[b"mkfs"]]]])
    assert rules.candidates("a\ud800b") == (0,)
    assert rules.candidates("\udfff mkfs") == (1,)


def test_rules_without_a_group_are_always_candidates_and_without_a_branch_never() -> None:
    rules = LiteralSet([[[]], [], [[[b"x"]]]])
    assert rules.candidates("") == (0,)
    assert rules.candidates("x") == (0, 2)
    assert rules.hits("")
    assert not LiteralSet([]).hits("anything")
    assert LiteralSet([]).candidates("anything") == ()
    assert LiteralSet([[], [[[b"x"]]]]).candidates("y") == ()


def test_suspects_are_the_texts_with_candidates() -> None:
    rules = LiteralSet(RULES)
    texts = ["zz", "mkfs", "drop", b"drop table", "", "\ud800", "xmkfs"]
    assert rules.suspects(texts) == [(1, (1,)), (3, (0,)), (6, (1,))]
    assert rules.suspects(texts, 4) == [(1, (1,)), (3, None), (6, None)]
    assert rules.suspects(texts, 3) == [(1, None), (3, None), (6, None)]


def test_places() -> None:
    rules = LiteralSet([[[[b"rm"], [b"root"]]], [[[b"find"], [b"delete"]]], [[[b"mkfs"]]], [[]]], [1, None, 0, 2])
    far = "rm a b c root " + "x " * 70 + "RM root"
    assert rules.places("find x") == [(3, [(0, 6)])]
    assert rules.places(far) == [(0, [(len(far) - 8, len(far))]), (3, [(0, len(far))])]
    assert rules.places("delete " * 50 + "find") == [(1, [(0, 354)]), (3, [(0, 354)])]
    assert rules.places("a mkfs  b") == [(2, [(1, 6)]), (3, [(0, 9)])]
    assert rules.places("\u212a m\u212afs")[0] == (2, [(3, 10)])
    with pytest.raises(ValueError, match="with reaches only"):
        LiteralSet(RULES).places("x")
    with pytest.raises(ValueError, match="2 reaches for 1 rules"):
        LiteralSet([[]], [1, 2])
    with pytest.raises(ValueError, match="ASCII literals only"):
        LiteralSet([[[["\u212a".encode()]]]], [1])
    with pytest.raises(ValueError, match="cannot reach over -1"):
        LiteralSet([[]], [-1])


def test_pieces_need_reaches() -> None:
    with pytest.raises(ValueError, match="with reaches only"):
        LiteralSet(RULES).pieces("x")


def test_limits() -> None:
    with pytest.raises(ValueError, match="1 to 64 bytes, not 0"):
        LiteralSet([[[[b""]]]])
    with pytest.raises(ValueError, match="not 65"):
        LiteralSet([[[[b"x" * (MAX_LITERAL + 1)]]]])
    with pytest.raises(ValueError, match="without a literal"):
        LiteralSet([[[[]]]])
    with pytest.raises(ValueError, match="1025 rules are more than the 1024"):
        LiteralSet([[[[b"abc"]]]] * (MAX_RULES + 1))
    with pytest.raises(ValueError, match="8193 branches are more"):
        LiteralSet([[[[b"abc"]]] * 8193])
    with pytest.raises(ValueError, match="16385 groups are more"):
        LiteralSet([[[[b"%05d" % n]] for n in range(4000)], [[[b"%06d" % n] for n in range(12385)]]])
    with pytest.raises(ValueError, match="too many or too long"):
        LiteralSet([[[[bytes([97 + n % 26]) + b"%08d" % n * 7 for n in range(1 << 15)]]]])
    with pytest.raises(TypeError):
        LiteralSet([[[["text"]]]])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        LiteralSet([[[[b"x"]]]]).hits(7)  # type: ignore[arg-type]
    full = LiteralSet([[[[b"r%04d" % n]]] for n in range(MAX_RULES)])
    assert len(full) == MAX_RULES
    assert full.candidates("R0000 r1023 r0511") == (0, 511, 1023)
    assert full.candidates("\u212a") == tuple(range(MAX_RULES))


def test_a_branch_may_have_many_groups() -> None:
    wanted = [b"%03d" % n for n in range(300)]
    many = LiteralSet([[[[literal] for literal in wanted]]], [None])
    for text, found in ((wanted, (0,)), (wanted[::-1], (0,)), (wanted[1:], ()), (wanted[:-1], ())):
        joined = b" ".join(text)
        assert many.candidates(joined) == found
        assert [rule for rule, _ in many.places(joined)] == list(found)


def test_it_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(LiteralSet(RULES))


def test_the_same_set_is_the_same_automaton_whatever_the_order_of_hashes() -> None:
    first = LiteralSet([[[{b"abc", b"abd", b"xyz"}]]])
    second = LiteralSet([[[[b"xyz", b"abd", b"abc"]]]])
    assert (first.states, first.nbytes) == (second.states, second.nbytes)


def test_threads_share_one_set() -> None:
    rules = LiteralSet(RULES)
    text = "x" * 100_000 + "mkfs" + "y" * 100_000
    answers: list[tuple[int, ...]] = []

    def work() -> None:
        answers.extend(rules.candidates(text) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(1,)] * 80
