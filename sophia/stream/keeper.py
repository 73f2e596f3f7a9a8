"""What makes batches durable for a run: the brain's store behind an organ that may hang, and a breaker before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sophia._core.breaker import CircuitBreaker
from sophia.actors.actor import Actor, handles
from sophia.actors.breaker import Breaker
from sophia.actors.message import Control, Ok, Response
from sophia.actors.ref import ActorRef
from sophia.brain import Batch, Sophia
from sophia.errors import AskTimeout
from sophia.store.ack import Ack
from sophia.store.pending import FileMark
from sophia.stream.writer import StoreAway

__all__ = ["Begin", "CatchUp", "Keeper", "KeepingOrgan"]

# Seconds that a store that has begun to answer again has for a word, before anything is asked of it.
_KNOCK = 0.2


class Begin(NamedTuple):
    """Make a batch durable; the answer is what counts how much of it arrives, or None."""

    batch: Batch
    ends: list[int] | None
    mark: FileMark | None
    records: list[str]


class CatchUp(NamedTuple):
    """Commit what waits since the store was lost."""


class KeepingOrgan(Actor):
    """The memory of a run as an organ: makes batches durable, in order. It waits for the disk, so it has a thread of
    its own, and nobody else needs to wait. What is remembered of an input, the Thalamus has said.
    """

    def __init__(self, brain: Sophia) -> None:
        self._brain = brain

    @handles(Begin)
    def begin(self, wanted: Begin) -> Ack | None:
        """See :meth:`sophia.Sophia.begin`."""
        return self._brain.begin(*wanted)

    @handles(CatchUp)
    def catch_up(self, _: CatchUp) -> Response:
        """See :meth:`sophia.Sophia.catch_up`. An answer that comes too late changes nothing."""
        self._brain.catch_up()
        return Ok()

    @handles(Control)
    def control(self, _: Control) -> Response:
        """A knock: it is there."""
        return Ok()


class Keeper:
    """Makes batches durable through a :class:`KeepingOrgan`, as long as that answers in time.

    One answer that takes longer than `patience` seconds opens the breaker: from then on the brain learns nothing and
    what is decided is told without the store, never as a reflex. After as many seconds the organ is asked for a word,
    and, if it gives one, for what waits; then all is as before. For one thread, which is not that of the actors' loop.
    """

    def __init__(
        self, brain: Sophia, organ: ActorRef, patience: float, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """`tell` is called with a sentence when the store is done without, and when it is used again."""
        self._brain = brain
        self._organ = organ
        self._patience = patience
        self._tell = tell
        brain.limit_store(patience)
        # Commits take milliseconds, so one that takes so long says enough.
        settings = Breaker(name="store", minimum_calls=1, window=4, open_seconds=patience, probe_seconds=4 * patience)
        self.breaker: CircuitBreaker = settings.circuit()
        self.hung = 0
        """Times that the store did not answer."""
        self.unkept = 0
        """Decisions that were told without it."""
        self.away = False

    def begin(self, batch: Batch, ends: list[int] | None, mark: FileMark | None, records: list[str]) -> Ack | None:
        """See :meth:`sophia.Sophia.begin`. StoreAway where the batch is to be told without the store; `records` are
        then taken back from whoever has not kept them yet."""
        ticket = self.breaker.try_admit()
        if ticket < 0:
            raise self._lost(batch)
        try:
            if self.away:
                self._organ.call(Control("knock"), _KNOCK, "control")
                self._organ.call(CatchUp(), self._patience)
                self._brain.regain_store()
                self.away = False
                self._tell(f"the store answers again; {self.unkept:,} decisions were told without it")
            if batch.away:
                self.breaker.succeeded(ticket)
                raise self._lost(batch)
            ack: Any = self._organ.call(Begin(batch, ends, mark, records), self._patience)
        except StoreAway:
            raise
        except AskTimeout:
            self.breaker.failed(ticket)
            records.clear()  # they are told otherwise
            if not self.away:
                self.hung += 1
                self.away = True
                self._brain.lose_store()
                self._tell(
                    f"the store has not answered for {self._patience:g} s; the stream goes on without it, and nothing "
                    "is learned or answered from memory"
                )
            raise self._lost(batch) from None
        except BaseException:
            self.breaker.abandoned(ticket)
            raise
        self.breaker.succeeded(ticket)
        return ack  # type: ignore[no-any-return]

    def _lost(self, batch: Batch) -> StoreAway:
        self.unkept += len(batch.decisions)
        return StoreAway()
