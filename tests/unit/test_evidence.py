"""What a decision says it rests on is what happened; what is answered from memory makes no pattern of its own."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sophia
from sophia._core.decision import Decision
from sophia._core.pattern import PatternTable
from sophia.organs.batch import Columns

NAMES = ["ana", "ben", "cyd", "dan", "eve", "fay"]
LINES = [
    *(f"sshd[{i}]: invalid user {name} [preauth]" for i, name in enumerate(NAMES)),
    *(f"session {i} closed for {name}" for i, name in enumerate(NAMES[:3])),
    "Failed password for root from 192.0.2.7 port 22 ssh2",
    "disk is full",
    "",
]


def evidence(d: Decision) -> tuple[int, int, int, int, float]:
    return d.earlier, d.earlier_same, d.accepted, d.accepted_same, d.closeness


def confidence(d: Decision) -> float:
    """The rule, from what the decision says it rests on."""
    same = d.earlier_same if d.accepted_same >= 3 else d.accepted_same
    count = d.earlier if d.accepted >= 3 else d.accepted
    near = d.closeness if d.accepted else 0.0
    return max(near * count / (count + 1), same / (same + 1))


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(["", "ana"])), max_size=60))
def test_the_confidence_follows_from_the_evidence(inputs: list[tuple[str, str]]) -> None:
    with sophia.open(None) as brain:
        seen: Counter[int | None] = Counter()
        for text, scope in inputs:
            d = brain.route(text, scope=scope, kind="line")
            if d.why in ("novel", "known-pattern", "low-confidence"):
                assert d.confidence == pytest.approx(confidence(d))
                assert d.novelty == pytest.approx(1 - d.confidence)
            if d.why == "danger":
                assert (d.accepted, d.accepted_same, d.confidence, d.novelty) == (0, 0, 0.0, 1.0)
            assert d.earlier >= seen[d.pattern] if d.pattern else d.earlier == 0
            seen[d.pattern] += 1


def test_the_numbers_of_a_stream_of_one_pattern() -> None:
    with sophia.open(None) as brain:
        told = [evidence(brain.route(f"sshd[{i}]: job is done", kind="line")) for i in range(5)]
        assert [one[:4] for one in told] == [(0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3), (4, 4, 3, 3)]
        other = brain.route("sshd[7]: job is done", scope="ana", kind="line")
        assert (other.why, *evidence(other)[:4]) == ("novel", 5, 5, 0, 0)


def test_a_new_word_in_a_known_place_is_told_from_a_rare_pattern() -> None:
    """The pattern came often, these very words never: that, and not the count, is what takes confidence away."""
    with sophia.open(None) as brain:
        for i in range(40):
            brain.route(f"sshd[{i}]: invalid user name{chr(97 + i % 13)}x [preauth]", kind="line")
        d = brain.route("sshd[1]: invalid user oralce [preauth]", kind="line")
        assert d.earlier >= 30
        assert (d.earlier_same, d.accepted, d.accepted_same) == (0, 3, 0)
        assert d.closeness < 1
        again = brain.route("sshd[1]: invalid user oralce [preauth]", kind="line")
        assert (again.earlier, again.earlier_same) == (d.earlier + 1, 1)


def test_what_a_rule_hit_is_counted_and_trusts_nobody() -> None:
    text = "Failed password for root from 192.0.2.7 port 22 ssh2"
    with sophia.open(None) as brain:
        told = [brain.route(text, kind="line") for _ in range(6)]
        assert {d.why for d in told} == {"danger"}
        assert [d.earlier for d in told] == [0, 1, 2, 3, 4, 5]


def test_the_evidence_survives_a_pickle() -> None:
    with sophia.open(None) as brain:
        for _ in range(3):
            d = brain.route("one line of many", kind="line")
        assert evidence(pickle.loads(pickle.dumps(d))) == evidence(d) == (2, 2, 2, 2, 1.0)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("Who is on call tonight?", "Who Is On Call tonight"),
        ("Who is on call tonight?", "who is on  Call tonight"),
        ("Caf\u00e9 hours today", "cafe\u0301 Hours today!"),
        ("ping", "Ping."),
    ],
)
def test_another_writing_of_what_is_answered_makes_no_pattern(first: str, other: str) -> None:
    with sophia.open(None) as brain:
        brain.complete(brain.route(first), answer="ana")
        before = [(p.id, p.template) for p in brain.patterns()]
        newest = brain.thalamus.patterns.newest
        for text in (other, other, first, other):
            d = brain.route(text)
            assert (d.why, d.answer) == ("repeat", "ana")
        # also where each input brings an answer, so that the memory takes the other writing over
        texts = [other, first, other, other]
        brain.decide(Columns(texts, answers=["ana"] * 4))
        for text in texts:
            d = brain.route(text)
            brain.complete(d, answer="ana")
            assert d.why == "repeat"
        assert [(p.id, p.template) for p in brain.patterns()] == before
        assert brain.thalamus.patterns.newest == newest


def test_the_newest_id_is_the_highest_there_ever_was() -> None:
    table = PatternTable(64, seed=1)
    assert table.newest == 0
    seen = 0
    for i in range(300):
        word = "".join(chr(97 + int(digit)) for digit in str(i))
        seen = max(seen, table.observe(f"{word} alpha {word} beta {word}").id)
        assert table.newest == seen
    assert PatternTable.load(table.dump()).newest == seen
