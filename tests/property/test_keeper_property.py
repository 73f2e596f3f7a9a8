"""While the breaker before the store is not closed nothing is a reflex, whatever hangs and answers, in any order."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
import threading
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import sophia
from sophia.actors import Orchestrator, Response
from sophia.brain import Sophia
from sophia.store.ack import Ack
from sophia.stream.event import PLAIN, Event
from sophia.stream.keeper import Begin, CatchUp, Keeper, KeepingOrgan
from sophia.stream.pipeline import columns
from sophia.stream.summary import Summary
from sophia.stream.writer import Files, Writer

PATIENCE = 0.05


class Sticky(KeepingOrgan):
    """A memory whose commits wait while it is stuck."""

    def __init__(self, brain: Sophia, free: threading.Event) -> None:
        super().__init__(brain)
        self.free = free

    def begin(self, wanted: Begin) -> Ack | None:
        self.free.wait(10.0)
        return super().begin(wanted)

    begin.__handles__ = (Begin,)  # type: ignore[attr-defined]

    def catch_up(self, wanted: CatchUp) -> Response:
        self.free.wait(10.0)
        return super().catch_up(wanted)

    catch_up.__handles__ = (CatchUp,)  # type: ignore[attr-defined]


async def told(steps: list[tuple[bool, float]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The state of the breaker when a batch had been told, and its records; stuck or not at each step, with pauses."""
    free = threading.Event()
    found = []
    changes = sophia.Settings(gestation_inputs=0)
    with tempfile.TemporaryDirectory() as folder:
        brain = sophia.open(folder, settings=changes)
        async with Orchestrator(shutdown_timeout=1.0) as organs:
            organ = organs.spawn(lambda: Sticky(brain, free), "hippocampus", blocking=True, capacity=4)
            keeper = Keeper(brain, organ, PATIENCE)
            out = io.BytesIO()
            writer = Writer(brain, Files(out, io.BytesIO()), Summary(changes), keeper)
            for i, (stuck, pause) in enumerate(steps):
                free.clear() if stuck else free.set()
                await asyncio.sleep(pause)
                events = [
                    Event(n, "-", n, "heartbeat of the pump is fine", flags=PLAIN) for n in range(4 * i, 4 * i + 4)
                ]
                batch = brain.decide(columns(events))
                before = len(out.getvalue())
                await asyncio.to_thread(writer.write, events, batch, [])
                lines = out.getvalue()[before:].splitlines()
                found.append((keeper.breaker.state, [json.loads(line) for line in lines]))
            free.set()
        brain.discard()
        brain.close()
    return found


STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.0, 2 * PATIENCE])), min_size=1, max_size=7)


@settings(max_examples=15)
@given(STEPS)
def test_an_open_breaker_never_gives_reflex(steps: list[tuple[bool, float]]) -> None:
    all_told = asyncio.run(told([(False, 0.0), (False, 0.0), *steps]))
    assert [len(records) for _, records in all_told] == [4] * (len(steps) + 2)
    assert all_told[1][1][-1]["route"] == "reflex"  # as it would be
    for state, records in all_told:
        for record in records:
            if state != "closed":
                assert record["fault"] == "store"
            if "fault" in record:
                assert record["route"] != "reflex"
                assert record["answer"] is None
