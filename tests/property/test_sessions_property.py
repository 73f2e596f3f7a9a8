"""Sessions: as the oracle says, whatever is saved, logged and loaded in between, and never out of bounds."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle.sessions import Sessions as Oracle

import sophia
from sophia.errors import StoreCorrupt
from sophia.organs.batch import Columns
from sophia.store.session_table import Session, SessionRules, SessionTable

RULES = st.builds(
    SessionRules,
    ngram=st.integers(1, 4),
    exact=st.booleans(),
    learn=st.sampled_from([True, True, False]),
    limit=st.integers(1, 5),
    length=st.integers(1, 30),
    idle=st.sampled_from([0, 0, 1, 4]),
)
INPUTS = st.lists(st.tuples(st.sampled_from(["", "ana"]), st.sampled_from("abcd"), st.integers(0, 3)), max_size=80)


def told(ended: list[Session]) -> list[tuple[Any, ...]]:
    return [(e.session, e.scope, e.inputs, e.orders_novel, e.counts_novel, e.patterns, e.sound, e.ended) for e in ended]


@given(RULES, INPUTS, st.lists(st.integers(0, 80), max_size=4))
def test_it_is_as_the_oracle_says_however_it_is_kept(
    rules: SessionRules, inputs: list[tuple[str, str, int]], breaks: list[int]
) -> None:
    """At the breaks a table is made anew of the last dump and the log since, as a store does it."""
    oracle = Oracle(*rules)
    table = SessionTable(rules, track=True)
    dump, log, ended = table.dump(), list[bytes](), list[Session]()
    for i, (scope, name, pattern) in enumerate(inputs):
        assert table.observe(scope, name, (1, i), pattern) == oracle.observe(scope, name, pattern)
        assert len(table) == len(oracle.open) <= rules.limit
        ended += table.take_ended()
        if i in breaks:
            log.append(table.changes())
            if breaks.index(i) % 2:
                dump, log = table.dump(), []
            table = SessionTable.load(dump, track=True)
            for changes in log:
                table.replay(changes)
            table.rules = rules
            assert table.take_ended() == []
    table.end_all()
    while oracle.open:
        oracle.end(oracle.open[0][0], "end")
    assert told(ended + table.take_ended()) == oracle.ended


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_anything_else_is_refused(data: bytes, tail: bytes) -> None:
    with pytest.raises(StoreCorrupt):  # without its magic
        SessionTable.load(b"x" + data)
    for dump in (b"SophSes1" + data, b"SophSes1" + len(tail).to_bytes(8, "little") + tail + data):
        with suppress(StoreCorrupt):
            SessionTable.load(dump)
    with suppress(StoreCorrupt):
        SessionTable().replay(data)


TEXTS = ["open the door", "go in", "close the door", "rm -rf / as root", "", "door of room 12 is red"]
STREAM = st.lists(
    st.tuples(st.sampled_from(TEXTS), st.sampled_from([None, "", "a", "b"]), st.sampled_from(["", "ana"])), max_size=60
)


@given(STREAM, st.integers(1, 12), st.booleans())
def test_sessions_only_raise_and_batches_change_nothing(
    stream: list[tuple[str, str | None, str]], size: int, line: bool
) -> None:
    """Beside a brain that is told no session: the same decisions, but that new orders are thought about deeply."""
    with sophia.open(None) as plain, sophia.open(None) as single, sophia.open(None) as batched:
        kind = "line" if line else "message"
        without = [plain.route(text, scope=scope, kind=kind) for text, _, scope in stream]
        one_by_one = [single.route(text, scope=scope, kind=kind, session=name) for text, name, scope in stream]
        found = []
        for start in range(0, len(stream), size):
            part = stream[start : start + size]
            columns = Columns(
                [text for text, _, _ in part],
                scopes=[scope for _, _, scope in part],
                lines=[line] * len(part),
                sessions=[name for _, name, _ in part],
            )
            found += batched.decide(columns).decisions
        for before, decision, other, (_, name, _) in zip(without, one_by_one, found, stream, strict=True):
            record = decision.to_dict()
            assert {**record, "us": 0} == {**other.to_dict(), "us": 0}
            assert decision.session == (name or None)
            assert decision.verdict == before.verdict
            assert decision.danger == before.danger
            if decision.session_novel is None:
                assert (decision.route, decision.why) == (before.route, before.why)
            else:
                assert decision.route == "deep_thought"
                assert decision.answer is None
                assert decision.verdict == "allow"
                assert decision.why == (before.why if before.route == "deep_thought" else "novel")
        assert single.end_sessions() == batched.end_sessions()
        assert single.open_sessions == 0
