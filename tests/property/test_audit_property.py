"""Audits and the switch: the same however the inputs are cut into batches, and as the oracle says."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import audit as oracle

import sophia
from sophia.organs.batch import Columns
from sophia.stream.event import PLAIN, Event
from sophia.stream.run import run

TEXTS = st.sampled_from(["When?", "when", "When?", "rm -rf / now", "job 1 done", "café", ""])
INPUTS = st.lists(
    st.tuples(TEXTS, st.sampled_from([None, "one", "two", "one\r\n"]), st.booleans()), min_size=8, max_size=40
)
SHARES = st.sampled_from([0.3, 0.8, 1.0])
BUDGETS = st.sampled_from([0.0, 0.1, 0.4])


class Events:
    """Events already read, in batches; as much of a reader as a run needs."""

    def __init__(self, batches: list[list[Event]]) -> None:
        self._batches = iter(batches)

        self.stopped = self.output_gone = self.waits = False

    def __iter__(self) -> Events:
        return self

    def close(self) -> None:
        """Nothing is open."""

    def stop(self) -> None:
        """It has no more."""
        self._batches = iter([])

    def __next__(self) -> list[Event]:
        return next(self._batches)


def decisions(inputs: list[Any], cuts: set[int], **changes: Any) -> list[dict[str, Any]]:
    """The decisions of one brain over the inputs, cut into batches at the given places."""
    made: list[sophia.Decision] = []
    with sophia.open(None, settings=sophia.Settings(cache_entries=64, cache_bytes=1 << 16, **changes)) as brain:
        start = 0
        for end in sorted({cut for cut in cuts if 0 < cut < len(inputs)} | {len(inputs)}):
            if rows := inputs[start:end]:
                texts, answers, lines = (list(column) for column in zip(*rows, strict=True))
                made += brain.decide(Columns(texts, answers=answers, lines=lines)).decisions
            start = end
    return [decision.to_dict() | {"us": 0.0} for decision in made]


@given(INPUTS, st.sets(st.integers(1, 39), max_size=8), SHARES, BUDGETS)
def test_a_switch_in_the_middle_of_a_batch_is_one_at_a_time(
    inputs: list[Any], cuts: set[int], share: float, budget: float
) -> None:
    changes = {"audit": share, "audit_budget": budget, "audit_confidence": 0.8}
    whole = decisions(inputs, set(), **changes)
    assert decisions(inputs, cuts, **changes) == whole
    assert decisions(inputs, set(range(40)), **changes) == whole


@given(INPUTS, SHARES, BUDGETS, st.integers(0, 2**64 - 1))
def test_draws_comparisons_and_the_switch_are_the_oracles(
    inputs: list[Any], share: float, budget: float, seed: int
) -> None:
    made = decisions(inputs, set(), audit=share, audit_budget=budget, audit_confidence=0.8, seed=seed)
    stored: set[tuple[str, bool]] = set()
    served, compared, differed, off = 0, 0, 0, False
    for (text, answer, line), decision in zip(inputs, made, strict=True):
        known = (text if line else text.casefold().rstrip("?"), line) in stored and decision["why"] != "danger"
        assert decision["withheld"] == (known and off)
        assert (decision["answer"] is not None) == (known and not off)
        drawn = known and not off and oracle.drawn(seed, share, served)
        assert decision["audit"] == drawn
        agrees = (
            decision["answer"].strip() == answer.strip() if drawn and answer is not None else None
        )  # fmt: skip
        assert decision["agrees"] == agrees
        served += known and not off
        compared += agrees is not None
        differed += agrees is False
        off = off or (agrees is not None and oracle.too_many(differed, compared, budget, 0.8))
        if answer is not None and decision["verdict"] == "allow" and decision["why"] not in ("empty", "invalid"):
            stored.add((text if line else text.casefold().rstrip("?"), line))


@settings(max_examples=20)
@given(INPUTS, st.integers(1, 40), st.booleans(), SHARES, BUDGETS)
def test_a_run_is_the_same_with_any_batch_size_and_in_whatever_thread_it_is_read(
    inputs: list[Any], size: int, waits: bool, share: float, budget: float
) -> None:
    def records(size: int, waits: bool) -> tuple[list[dict[str, Any]], object]:
        events = [
            Event(n, "-", n, text, answer=answer, flags=PLAIN if line else 0)
            for n, (text, answer, line) in enumerate(inputs, 1)
        ]
        batches = [events[start : start + size] for start in range(0, len(events), size)]
        out = io.BytesIO()
        changes = sophia.Settings(audit=share, audit_budget=budget, audit_confidence=0.8)
        with sophia.open(None, settings=changes) as brain:
            events_read = Events(batches)
            events_read.waits = waits
            summary = run(events_read, brain, out, io.BytesIO())  # type: ignore[arg-type]
        return [json.loads(line) | {"us": 0.0} for line in out.getvalue().splitlines()], summary.audit

    assert records(size, waits) == records(1, waits=False)
