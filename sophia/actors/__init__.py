"""Actors in one process: organs with bounded mailboxes on an event loop, under supervision.

An :class:`Orchestrator` starts actors and knows them by name; an :class:`ActorRef` is where messages for one are sent.
What is told is counted until it was handled, refused or became a dead letter; nothing is lost unseen. Around calls that
may fail there are circuit breakers, and for kernels a pool of native threads. Names load on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sophia._core.job import Job as Job
    from sophia._core.kernel_actor import Bundler as Bundler
    from sophia._core.kernel_actor import Searcher as Searcher
    from sophia._core.mailbox import Delivery as Delivery
    from sophia._core.pool import KernelPool as KernelPool
    from sophia.actors.actor import Actor as Actor
    from sophia.actors.actor import handles as handles
    from sophia.actors.breaker import Breaker as Breaker
    from sophia.actors.breaker import Circuit as Circuit
    from sophia.actors.dead_letters import DeadLetter as DeadLetter
    from sophia.actors.dead_letters import DeadLetters as DeadLetters
    from sophia.actors.message import Blocked as Blocked
    from sophia.actors.message import Control as Control
    from sophia.actors.message import Input as Input
    from sophia.actors.message import Ok as Ok
    from sophia.actors.message import OrganMessage as OrganMessage
    from sophia.actors.message import Query as Query
    from sophia.actors.message import Response as Response
    from sophia.actors.message import Route as Route
    from sophia.actors.message import Terminated as Terminated
    from sophia.actors.message import Text as Text
    from sophia.actors.orchestrator import Orchestrator as Orchestrator
    from sophia.actors.orchestrator import Shutdown as Shutdown
    from sophia.actors.ref import ActorRef as ActorRef
    from sophia.actors.supervision import Event as Event
    from sophia.actors.supervision import Group as Group
    from sophia.actors.supervision import Supervision as Supervision

_HOME = {
    "sophia._core.job": ("Job",),
    "sophia._core.kernel_actor": ("Bundler", "Searcher"),
    "sophia._core.mailbox": ("Delivery",),
    "sophia._core.pool": ("KernelPool",),
    "sophia.actors.actor": ("Actor", "handles"),
    "sophia.actors.breaker": ("Breaker", "Circuit"),
    "sophia.actors.dead_letters": ("DeadLetter", "DeadLetters"),
    "sophia.actors.message": (
        "Blocked", "Control", "Input", "Ok", "OrganMessage", "Query", "Response", "Route", "Terminated", "Text",
    ),
    "sophia.actors.orchestrator": ("Orchestrator", "Shutdown"),
    "sophia.actors.ref": ("ActorRef",),
    "sophia.actors.supervision": ("Event", "Group", "Supervision"),
}  # fmt: skip

__all__ = [
    "Actor",
    "ActorRef",
    "Blocked",
    "Breaker",
    "Bundler",
    "Circuit",
    "Control",
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "Event",
    "Group",
    "Input",
    "Job",
    "KernelPool",
    "Ok",
    "Orchestrator",
    "OrganMessage",
    "Query",
    "Response",
    "Route",
    "Searcher",
    "Shutdown",
    "Supervision",
    "Terminated",
    "Text",
    "handles",
]


def __getattr__(name: str) -> object:
    for module, names in _HOME.items():
        if name in names:
            from importlib import import_module

            value = getattr(import_module(module), name)
            globals()[name] = value
            return value
    message = f"module 'sophia.actors' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
