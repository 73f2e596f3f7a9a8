"""Sessions from Python: what is new about a sequence of known texts, and what must never come of it."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import sophia
from sophia.errors import ConfigError
from sophia.store.overview import overview
from sophia.store.session_table import SessionRules, SessionTable
from sophia.stream.decisions import decision_line, session_line
from sophia.stream.event import Event
from sophia.stream.session_key import SessionKey

STEPS = ("receive the block", "store the block", "close the block")


def play(brain: sophia.Sophia, name: str, *steps: int, scope: str | None = None) -> list[tuple[int, ...] | None]:
    return [brain.route(STEPS[step], kind="line", session=name, scope=scope).session_novel for step in steps]


def test_an_order_is_new_once() -> None:
    with sophia.open(None) as brain:
        assert play(brain, "a", 0, 1, 2) == [None, (1, 2), (2, 3)]
        assert play(brain, "b", 0, 1, 2) == [None, None, None]
        assert play(brain, "c", 0, 2) == [None, (1, 3)]
        assert play(brain, "d", 0, 2) == [None, None]


def test_sessions_are_apart_however_their_lines_are_mixed() -> None:
    with sophia.open(None) as brain:
        play(brain, "a", 0, 1, 2)
        for step in range(3):
            assert play(brain, "b", step) == play(brain, "c", step) == [None]


def test_a_scope_knows_nothing_of_another() -> None:
    with sophia.open(None) as brain:
        play(brain, "a", 0, 1, 2)
        assert play(brain, "a", 0, 1, 2, scope="ana") == [None, (1, 2), (2, 3)]
        ended = brain.end_session("a", scope="ana")
        assert ended is not None
        assert (ended.scope, ended.counts_novel) == ("ana", True)
        assert brain.open_sessions == 1


@pytest.mark.parametrize(("counts", "again"), [("rough", False), ("exact", True)])
def test_counts_are_compared_by_magnitude_or_exactly(counts: str, again: bool) -> None:
    with sophia.open(None, settings=sophia.Settings(session_counts=counts)) as brain:
        for name, times, novel in (("a", 3, True), ("b", 5, again), ("c", 5, False), ("d", 30, True), ("e", 1, True)):
            play(brain, name, *[0] * times)
            ended = brain.end_session(name)
            assert ended is not None
            assert (ended.inputs, ended.counts_novel) == (times, novel)


def test_a_session_that_ends_too_early_is_new_in_its_counts_alone() -> None:
    with sophia.open(None) as brain:
        play(brain, "a", 0, 1, 2)
        brain.end_sessions()
        play(brain, "b", 0, 1)
        (ended,) = brain.end_sessions()
        assert (ended.novel, ended.orders_novel, ended.counts_novel) == (True, 0, True)
        assert (ended.first, ended.last, ended.ended) == ((1, 4), (1, 5), "end")


def test_nothing_is_learned_where_it_must_not_be(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "s") as brain:
        play(brain, "a", 0, 1, 2)
        brain.end_sessions()
    with sophia.open(tmp_path / "s", settings=sophia.Settings(session_learn=False)) as brain:
        for name in ("b", "c"):
            assert play(brain, name, 0, 1, 2) == [None] * 3
            assert play(brain, name, 0) == [(3, 1)]
            ended = brain.end_session(name)
            assert ended is not None
            assert ended.counts_novel
    with sophia.open(tmp_path / "s") as brain:
        assert play(brain, "d", 2, 0) == [None, (3, 1)]


def test_danger_is_no_part_of_a_sequence_and_taints_it() -> None:
    with sophia.open(None) as brain:
        for name in ("a", "b"):
            play(brain, name, 0, 1)
            hit = brain.route("rm -rf / as root", kind="line", session=name)
            assert (hit.why, hit.session, hit.session_novel) == ("danger", name, None)
            assert play(brain, name, 2) == [None]
            ended = brain.end_session(name)
            assert ended is not None
            # the counts of the first are not learned, so those of the second are as new
            assert (ended.sound, ended.inputs, ended.counts_novel) == (False, 4, True)
            assert sorted(ended.patterns.values()) == [1, 1, 1]
            assert hit.pattern not in ended.patterns


def test_a_new_order_withholds_an_answer_and_the_audit_does_not_wait_for_it() -> None:
    with sophia.open(None, settings=sophia.Settings(audit=1.0)) as brain:
        first = brain.route("When do you open?", session="a")
        brain.complete(first, answer="At nine.")
        brain.route("Thanks a lot for that", session="a")
        served = brain.route("when do you open", session="b")
        assert (served.answer, served.audit, brain.audit.open) == ("At nine.", True, 1)
        raised = brain.route("when do you open", session="a")
        assert (raised.route, raised.why, raised.answer, raised.match) == ("deep_thought", "novel", None, None)
        assert (raised.withheld, raised.audit, brain.audit.open) == (True, False, 1)
        assert brain.complete(raised, answer="At ten.")
        assert brain.route("when do you open", session="c").answer == "At ten."


def test_a_decision_says_its_session() -> None:
    with sophia.open(None) as brain:
        plain = brain.route("hello there")
        assert "session" not in plain.to_dict()
        brain.route("hello there", session="s")
        decision = brain.route("what a day", session="s")
        assert decision.to_dict()["session_novel"] == [1, 2]
        assert '"session": "s", "session_novel": [1, 2]}' in decision_line(decision)
        assert pickle.loads(pickle.dumps(decision)) == decision


def test_open_sessions_go_on_in_the_next_run(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "s") as brain:
        play(brain, "a", 0, 1, 2)
        brain.end_sessions()
        play(brain, "b", 0, 1)
    with sophia.open(tmp_path / "s") as brain:
        assert brain.open_sessions == 1
        assert play(brain, "b", 2) == [None]
        (ended,) = brain.end_sessions()
        assert (ended.novel, ended.inputs, ended.first, ended.last) == (False, 3, (1, 4), (2, 1))


def test_a_long_log_becomes_a_dump(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "s") as brain:
        for i in range(300):
            brain.route_many([*STEPS] * 30, kind="line", session=f"{i:0250}")
    with sophia.open(tmp_path / "s") as brain:
        assert brain.notes == []
        assert brain.open_sessions == 300
        assert overview(tmp_path / "s")["sessions"]["dump_bytes"] > 0


def test_damage_costs_only_thought(tmp_path: Path) -> None:
    import sqlite3

    for name in ("a", "c"):  # the first changes of all come as a dump
        with sophia.open(tmp_path / "s") as brain:
            play(brain, name, 0, 1, 2)
    with closing(sqlite3.connect(tmp_path / "s" / "sophia.db")) as database, database:
        database.execute("UPDATE log SET changes = x'00' WHERE name = 'sessions'")
    with sophia.open(tmp_path / "s") as brain:
        assert any("sessions" in note for note in brain.notes)
        assert play(brain, "b", 0, 1) == [None, (1, 2)]


def test_all_is_bounded() -> None:
    table = SessionTable(SessionRules(limit=50, length=100))
    for i in range(1000):
        table.observe("", f"s{i}", (1, i), 1)
        assert len(table) <= 50
    ended = table.take_ended()
    assert [one.session for one in ended] == [f"s{i}" for i in range(950)]
    assert {one.ended for one in ended} == {"room"}
    for i in range(250):
        table.observe("", "long", (1, i), 1 + i)
    lengths = [(one.inputs, one.ended) for one in table.take_ended() if one.session == "long"]
    assert lengths == [(100, "length")] * 2


def test_sessions_of_very_many_patterns_make_room() -> None:
    table = SessionTable(SessionRules(length=1 << 20))
    for session in range(5):
        for i in range(99_999):
            table.observe("", f"s{session}", (1, i), 1 + i)
    assert [one.session for one in table.take_ended()] == ["s0"]
    for i in range(1_000):
        table.observe("", f"t{i}", (1, i), 1)
    assert len(table) == 1_003


def test_long_names_are_told_apart_and_cut() -> None:
    with sophia.open(None) as brain:
        names = ["x" * 70_000 + end for end in "ab"]
        decisions = [brain.route("hello there", session=name) for name in names]
        cut = [decision.session for decision in decisions]
        assert len({*cut}) == 2
        assert {len(name or "") for name in cut} == {256}
        assert brain.end_session(names[0]) is not None
        assert brain.open_sessions == 1


@pytest.mark.parametrize("name", ["\ud800", "a\0b", '"\\', "ö\u2028"])
def test_any_name_is_one(tmp_path: Path, name: str) -> None:
    import json

    with sophia.open(tmp_path / "s") as brain:
        decision = brain.route("hello there", session=name)
        assert json.loads(decision_line(decision))["session"] == name
    with sophia.open(tmp_path / "s") as brain:
        ended = brain.end_session(name)
        assert ended is not None
        assert json.loads(session_line(ended))["session"] == name


def test_what_is_no_name_is_refused() -> None:
    with sophia.open(None) as brain:
        with pytest.raises(TypeError, match="session takes a str, not int"):
            brain.route("hello", session=7)  # type: ignore[arg-type]
        assert brain.route("hello", session="").session is None
        assert brain.end_session("nobody") is None
        assert brain.end_sessions() == brain.ended_sessions() == []


@pytest.mark.parametrize(
    ("setting", "value"), [("session_ngram", 0), ("session_ngram", 9), ("session_counts", "some"), ("session_limit", 0)]
)
def test_settings_are_checked(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        sophia.Settings().with_changes(**{setting: value})


def test_streams_of_coroutines_have_sessions() -> None:
    async def orders(brain: sophia.Sophia) -> list[tuple[int, ...] | None]:
        inputs = [{"text": step, "session": name} for name in "ab" for step in STEPS]
        found = [decision.session_novel async for decision in brain.astream([*inputs, "no session"], kind="line")]
        return [*found, (await brain.aroute(STEPS[0], kind="line", session="b")).session_novel]

    with sophia.open(None) as brain:
        assert asyncio.run(orders(brain)) == [None, (1, 2), (2, 3), None, None, None, None, (3, 1)]
        assert [(one.session, one.inputs) for one in brain.end_sessions()] == [("a", 3), ("b", 4)]


def test_a_closed_brain_has_none() -> None:
    brain = sophia.open(None)
    brain.close()
    for call in (brain.end_sessions, brain.ended_sessions, lambda: brain.end_session("a")):
        with pytest.raises(sophia.SophiaError, match="closed"):
            call()


class TestSessionKey:
    def event(self, text: str | None, session: str | None = None) -> Event:
        return Event(1, "-", 1, text, session=session)

    def test_names_come_before_patterns_and_patterns_in_order(self) -> None:
        key = SessionKey(("re:job=([0-9]+)", "job", "re:(blk_[0-9]+)"))
        assert key.names == ("job",)
        events = [
            self.event("job=1 blk_2", "named"), self.event("blk_2 job=1"), self.event("blk_2 job="), self.event("none"),
            self.event(None),
        ]  # fmt: skip
        assert key.of(events) == ["named", "1", "blk_2", None, None]

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("re:blk_[0-9]+", "0 groups"),
            ("re:(a)(b)", "2 groups"),
            ("re:(", "RE2"),
            (r"re:(a)\1", "RE2"),
            ("re:", "0 groups"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, value: str, words: str) -> None:
        with pytest.raises(ConfigError, match=words) as caught:
            SessionKey((value,))
        assert value in str(caught.value)

    def test_a_group_that_takes_no_part_is_no_session(self) -> None:
        assert SessionKey(("re:a|(b)",)).of([self.event("a"), self.event("b")]) == [None, "b"]

    def test_no_text_makes_it_slow(self) -> None:
        assert SessionKey((r"re:(a+)+$",)).of([self.event("a" * 19_000 + "!")]) == [None]


@pytest.mark.parametrize("session", [0, 5, b"a", ["a"]])
def test_a_session_that_is_no_text_is_refused_before_anything_is_learned(session: Any) -> None:
    async def stream(brain: sophia.Sophia) -> list[sophia.Decision]:
        return [decision async for decision in brain.astream([{"text": "one", "session": session}])]

    with sophia.open(None) as brain:
        calls: list[Callable[[], object]] = [
            lambda: brain.route("one", session=session),
            lambda: brain.route_many(["one", "two"], session=session),
            lambda: asyncio.run(brain.aroute("one", session=session)),
            lambda: asyncio.run(stream(brain)),
            lambda: brain.end_session(session),
        ]
        for call in calls:
            with pytest.raises(TypeError, match=f"session takes a str, not {type(session).__name__}"):
                call()
        assert brain.patterns() == []
        assert (brain.route("one").n, brain.route_many(["two"])[0].n) == (1, 2)
