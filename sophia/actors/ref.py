"""References to actors: where messages for one are sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sophia._core.address import Address

if TYPE_CHECKING:
    from sophia.actors.cell import Cell
    from sophia.actors.message import Terminated

__all__ = ["ActorRef"]


class ActorRef(Address):
    """Where messages for one actor are sent, also after a restart. Made by an orchestrator.

    `tell`, `send_batch`, `ask` and `call` (see :class:`sophia._core.address.Address`) are compiled. `tell`,
    `send_batch` and `call` are thread-safe; the rest is for the loop of the actors.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        if not hasattr(cell, "mailbox"):
            message = f"cell is {cell!r:.80}; references are made by spawn(), and found by organs.ref(name)"
            raise TypeError(message)
        super().__init__(cell.mailbox)
        self._cell = cell

    @property
    def name(self) -> str:
        """Unique in its orchestrator."""
        return self.mailbox.name

    @property
    def state(self) -> str:
        """Of its life: "starting", "running", "restarting", "stopping" or "stopped"."""
        return self._cell.state

    @property
    def restarts(self) -> int:
        """Times that it was started again after a failure."""
        return self._cell.restarts

    def watch(self, watcher: ActorRef | Callable[[Terminated], object]) -> None:
        """Tells the watcher, once, when this actor has ended for good: an actor gets a :class:`Terminated` with the
        priority "control", a function is called on the loop, and what it raises is logged. At once, where it has ended
        already. TypeError for what is neither, ValueError for one more than 1,024. For the loop of the actors::

            >>> import asyncio
            >>> from sophia.actors import Actor, Orchestrator
            >>> class Echo(Actor):
            ...     def handle(self, message):
            ...         return message
            >>> async def main():
            ...     async with Orchestrator() as organs:
            ...         echo = organs.spawn(Echo, "echo")
            ...         echo.watch(lambda end: print(end.name, end.reason, end.error, sep=", "))
            ...         await organs.stop("echo")
            >>> asyncio.run(main())
            echo, its actor has stopped, None
        """
        self._cell.watch(watcher)

    def unwatch(self, watcher: ActorRef | Callable[[Terminated], object]) -> None:
        """The watcher is not told."""
        self._cell.unwatch(watcher)

    def stop(self) -> None:
        """Asks for its end: no more messages are taken, those that wait are handled. Returns at once; thread-safe. An
        actor may stop itself so."""
        self._cell.ask_to_stop()

    async def stopped(self) -> Terminated:
        """Waits for its end."""
        return await self._cell.wait_end()

    def __repr__(self) -> str:
        return f"<ActorRef {self.name!r} {self.state}, {len(self.mailbox)} waiting>"
