"""Actors in one process: organs with bounded mailboxes on an event loop, under supervision.

An :class:`Orchestrator` starts actors and knows them by name; an :class:`ActorRef` is where messages for one are sent.
What is told is counted until it was handled, refused or became a dead letter; nothing is lost unseen.
"""

from sophia.actors.actor import Actor, handles
from sophia.actors.dead_letters import DeadLetter, DeadLetters
from sophia.actors.message import Blocked, Control, Input, Ok, OrganMessage, Query, Response, Route, Terminated, Text
from sophia.actors.orchestrator import Orchestrator
from sophia.actors.ref import ActorRef
from sophia.actors.supervision import Supervision

__all__ = [
    "Actor",
    "ActorRef",
    "Blocked",
    "Control",
    "DeadLetter",
    "DeadLetters",
    "Input",
    "Ok",
    "Orchestrator",
    "OrganMessage",
    "Query",
    "Response",
    "Route",
    "Supervision",
    "Terminated",
    "Text",
    "handles",
]
