"""The audit of served answers: what is drawn, compared, counted, and when answers are switched off."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from fractions import Fraction
from pathlib import Path

import pytest
from oracle import audit as oracle

import sophia
from sophia.errors import ConfigError
from sophia.organs.audit import WINDOW, Audit, false_serve_interval, same_text
from sophia.organs.batch import Columns

ALL = sophia.Settings(audit=1.0, audit_budget=0.2)


def wrong(brain: sophia.Sophia, times: int) -> None:
    """So many audited answers that turn out to be wrong."""
    for _ in range(times):
        decision = brain.route("When do you open?")
        assert decision.audit
        brain.complete(decision, answer=f"{decision.answer}!")


def taught(path: Path | None, settings: sophia.Settings = ALL) -> sophia.Sophia:
    brain = sophia.open(path, settings=settings)
    brain.complete(brain.route("When do you open?"), answer="At nine.")
    return brain


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 7), (1, 7), (3, 7), (7, 7), (2, 200), (199, 200), (5, 60)])
def test_the_interval_is_the_exact_one(k: int, n: int, confidence: float) -> None:
    """At each end the tail that it is defined by has its value; zero and all have the ends 0 and 1."""
    low, high = false_serve_interval(k, n, confidence)
    share = (1.0 - confidence) / 2.0
    assert 0.0 <= low <= k / n <= high <= 1.0
    if k == 0:
        assert low == 0.0
    else:
        assert float(oracle.tail(k, n, Fraction(low))) == pytest.approx(share, rel=1e-9)
    if k == n:
        assert high == 1.0
    else:
        assert float(1 - oracle.tail(k + 1, n, Fraction(high))) == pytest.approx(share, rel=1e-9)


def test_the_interval_of_a_long_run() -> None:
    low, high = false_serve_interval(1_000, 1_000_000)
    assert low < 0.001 < high
    assert high - low == pytest.approx(2 * 1.96 * (0.001 * 0.999 / 1e6) ** 0.5, rel=0.01)
    assert false_serve_interval(0, 10**9)[1] == pytest.approx(3.6889e-9, rel=1e-3)


@pytest.mark.parametrize("budget", [0.0, 0.01, 0.1, 0.5, 0.97, 1.0])
@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_the_switch_is_where_the_lower_bound_passes_the_budget(budget: float, confidence: float) -> None:
    for n in (1, 2, 3, 17, 64):
        for k in range(n + 1):
            audit = Audit(sophia.Settings(audit_budget=budget, audit_confidence=confidence))
            for i in range(n - k):
                audit.count(agrees=True)
                assert not audit.off, i
            audit._recent.extend([False] * k)  # all at once: the switch has no say in between
            audit._differed = k
            if k:
                audit._recent.pop()
                audit._differed -= 1
                audit.count(agrees=False)
            assert audit.off == oracle.too_many(k, n, budget, confidence), (k, n)
            if 0.0 < budget < 1.0:
                assert audit.off == (false_serve_interval(k, n, confidence)[0] > budget), (k, n)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("yes", "yes", True),
        ("yes\r\nno\r", "\nyes\nno \t", True),
        ("yes", "Yes", False),
        ("a  b", "a b", False),
        ("", " ", True),
        ("a\n\nb", "a\nb", False),
    ],
)
def test_answers_are_the_same_but_for_line_ends_and_outer_blanks(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) is same


@pytest.mark.parametrize("share", [0.0, 1e-30, 0.01, 0.3, 1.0])
def test_draws_follow_from_the_seed_and_the_count_of_served_answers(share: float) -> None:
    settings = sophia.Settings(audit=share, seed=7, audit_budget=1.0)
    with taught(None, settings) as brain:
        drawn = []
        for i in range(600):
            brain.route(f"other text {i}")  # no served answer, no draw
            drawn.append(brain.route("when do you open").audit)
    assert drawn == [oracle.drawn(7, share, served) for served in range(600)]
    assert abs(sum(drawn) - 600 * share) <= 4 * (600 * share * (1 - share)) ** 0.5


def test_another_seed_draws_others() -> None:
    draws = []
    for seed in (1, 2):
        with taught(None, sophia.Settings(audit=0.5, seed=seed)) as brain:
            draws.append([brain.route("When do you open?").audit for _ in range(64)])
    assert draws[0] != draws[1]


def test_an_audit_changes_nothing_else() -> None:
    texts = ["When?", "why", "when", "rm -rf / now", "", "job 1 done", "job 2 done", "Why?", "when?"] * 20

    def decide(settings: sophia.Settings) -> list[tuple[object, ...]]:
        with sophia.open(None, settings=settings) as brain:
            made = brain.decide(Columns([*texts], answers=[f"answer {i % 7}" for i in range(len(texts))])).decisions
            return [(d.id, d.route, d.why, d.confidence, d.novelty, d.answer, d.match, d.policy_version) for d in made]

    assert decide(sophia.Settings()) == decide(sophia.Settings(audit=0.5, audit_budget=1.0))


def test_an_audited_answer_is_served_and_compared_once() -> None:
    with taught(None) as brain:
        decision = brain.route("When do you open?")
        assert (decision.route, decision.answer, decision.audit, decision.agrees) == ("reflex", "At nine.", True, None)
        assert brain.audit.open == 1
        assert brain.complete(decision, answer="At nine.\n")
        assert brain.complete(decision, answer="At ten.")  # stored, but the audit is over
        assert (brain.audit.compared, brain.audit.differed, brain.audit.open) == (1, 0, 0)
        again = brain.route("When do you open?")
        assert again.answer == "At ten."
        copy = pickle.loads(pickle.dumps(again))  # thought about in another process
        assert copy == again
        brain.complete(copy, answer="At nine.")
        assert (brain.audit.compared, brain.audit.differed) == (2, 1)
        assert brain.audit.rate == 0.5
        assert brain.route("When do you open?").answer == "At nine."


def test_only_what_was_drawn_counts() -> None:
    with taught(None, sophia.Settings()) as brain:
        brain.complete(brain.route("When do you open?"), answer="Never.")
        assert brain.audit.compared == 0
        assert brain.audit.rate is None
        assert brain.audit.interval is None


def test_an_audit_of_another_brain_is_not_counted() -> None:
    with taught(None) as one, taught(None) as other:
        other.complete(one.route("When do you open?"), answer="Never.")
        assert (one.audit.compared, other.audit.compared) == (0, 0)


def test_a_rejected_audit_is_a_difference() -> None:
    with taught(None) as brain:
        decision = brain.route("When do you open?")
        brain.reject(decision)
        brain.reject(decision)
        assert (brain.audit.compared, brain.audit.differed) == (1, 1)


def test_the_users_own_comparison() -> None:
    asked = []

    def same(served: str, new: str) -> bool:
        asked.append((served, new))
        return served.casefold() == new.casefold()

    with sophia.open(None, settings=ALL, same=same) as brain:
        brain.complete(brain.route("When?"), answer="Nine")
        brain.complete(brain.route("When?"), answer="NINE")
        made = brain.decide(Columns(["When?", "When?"], answers=["nine", "ten"])).decisions
        assert [d.agrees for d in made] == [True, False]
    assert asked == [("Nine", "NINE"), ("NINE", "nine"), ("nine", "ten")]


def test_a_comparison_that_fails_counts_nothing_and_may_be_tried_again() -> None:
    wanted = [ZeroDivisionError]

    def same(served: str, new: str) -> bool:
        if wanted:
            raise wanted.pop()
        return True

    with sophia.open(None, settings=ALL, same=same) as brain:
        brain.complete(brain.route("When?"), answer="Nine")
        decision = brain.route("When?")
        with pytest.raises(ZeroDivisionError):
            brain.complete(decision, answer="Ten")
        assert (brain.audit.compared, brain.audit.open) == (0, 1)
        brain.complete(decision, answer="Ten")
        assert (brain.audit.compared, brain.audit.open) == (1, 0)


@pytest.mark.parametrize("kind", ["message", "line"])
def test_too_many_wrong_answers_switch_answers_off(kind: str) -> None:
    with sophia.open(None, settings=ALL) as brain:
        for _ in range(6):
            brain.complete(brain.route("known thing", kind=kind), answer="yes")
        assert brain.audit.differed == 0
        while not brain.audit.answers_off:
            decision = brain.route("known thing", kind=kind)
            assert decision.answer is not None
            brain.complete(decision, answer=f"{decision.answer}!")
        assert brain.audit.interval is not None
        assert brain.audit.interval[0] > 0.2
        assert any("resume_answers" in note for note in brain.notes)
        withheld = brain.route("known thing", kind=kind)
        assert (withheld.route, withheld.why, withheld.answer) == ("cortical", "known-pattern", None)
        assert (withheld.withheld, withheld.audit, withheld.match) == (True, False, None)
        assert withheld.to_dict()["withheld"] is True
        assert not brain.route("another thing").withheld
        brain.complete(withheld, answer="right")
        assert brain.route("known thing", kind=kind).answer is None
        brain.resume_answers()
        assert (brain.audit.compared, brain.notes) == (0, [])
        assert brain.route("known thing", kind=kind).answer == "right"


def test_a_dangerous_repeat_is_neither_drawn_nor_withheld() -> None:
    with sophia.open(None, settings=ALL) as brain:
        for _ in range(2):
            made = brain.decide(Columns(["rm -rf / now"], answers=["fine"])).decisions
            assert (made[0].verdict, made[0].audit, made[0].withheld) == ("veto", False, False)


def test_old_comparisons_are_forgotten() -> None:
    audit = Audit(sophia.Settings(audit_budget=1.0))
    for _ in range(10):
        audit.count(agrees=False)
    for _ in range(WINDOW):
        audit.count(agrees=True)
    assert (audit.report().compared, audit.report().differed) == (WINDOW, 0)


def test_the_state_survives_a_restart_under_other_settings(tmp_path: Path) -> None:
    with taught(tmp_path / "mind") as brain:
        wrong(brain, 2)
        assert not brain.audit.answers_off
    with sophia.open(tmp_path / "mind", settings=ALL) as brain:
        assert (brain.audit.compared, brain.audit.differed) == (2, 2)
        wrong(brain, 1)
        assert brain.audit.answers_off
    with sophia.open(tmp_path / "mind") as brain:
        assert any("switched off" in note for note in brain.notes)
        assert brain.route("When do you open?").withheld
        brain.resume_answers()
    with sophia.open(tmp_path / "mind") as brain:
        assert brain.route("When do you open?").answer == "At nine.!!!"


def test_draws_go_on_after_a_kill_as_in_one_run(tmp_path: Path) -> None:
    """What is committed with the decisions is enough: a copy of the store stands for the killed process."""
    settings = sophia.Settings(audit=0.5, audit_budget=1.0)

    def decide(brain: sophia.Sophia, count: int) -> list[tuple[bool, bool | None]]:
        made = []
        for i in range(count):
            batch = brain.decide(Columns(["When do you open?"], answers=[f"At {i % 3}."]))
            brain.begin(batch)
            made += [(d.audit, d.agrees) for d in batch.decisions]
        return made

    with taught(None, settings) as brain:
        whole = decide(brain, 99)
    pieces = []
    with taught(tmp_path / "0", settings) as brain:
        pieces += decide(brain, 33)
        shutil.copytree(tmp_path / "0", tmp_path / "1", ignore=shutil.ignore_patterns("lock"))
    with sophia.open(tmp_path / "1", settings=settings) as brain:
        pieces += decide(brain, 66)
    assert [audit for audit, _ in pieces] == [audit for audit, _ in whole]
    assert sum(audit for audit, _ in whole) > 30


@pytest.mark.parametrize("damage", ["", "x", "0123456789abcdef {}", "é", "half"])
def test_a_damaged_state_keeps_answers_off(tmp_path: Path, damage: str) -> None:
    with taught(tmp_path / "mind") as brain:
        wrong(brain, 1)
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    (state,) = rows.execute("SELECT value FROM meta WHERE name = 'audit'").fetchone()
    rows.execute("UPDATE meta SET value = ? WHERE name = 'audit'", (state[:-20] if damage == "half" else damage,))
    rows.commit()
    rows.close()
    with sophia.open(tmp_path / "mind", settings=ALL) as brain:
        assert any("audit" in note and "anew" in note for note in brain.notes)
        assert brain.route("When do you open?").withheld
        brain.resume_answers()
        assert brain.route("When do you open?").answer is not None
    with sophia.open(tmp_path / "mind", settings=ALL) as brain:
        assert brain.notes == []


def test_a_brain_that_never_audits_writes_no_state(tmp_path: Path) -> None:
    with taught(tmp_path / "mind", sophia.Settings()) as brain:
        assert brain.route("When do you open?").answer
    rows = sqlite3.connect(tmp_path / "mind" / "sophia.db")
    assert rows.execute("SELECT count(*) FROM meta WHERE name = 'audit'").fetchone() == (0,)
    rows.close()


@pytest.mark.parametrize(
    "bad",
    [
        {"audit": -0.1},
        {"audit": 1.1},
        {"audit": float("nan")},
        {"audit": "1%"},
        {"audit_budget": True},
        {"audit_budget": 2},
        {"audit_confidence": 1.0},
        {"audit_confidence": 0.4},
        {"audit_confidence": float("nan")},
    ],
)
def test_bad_settings_are_named(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        sophia.Settings().with_changes(**bad)
