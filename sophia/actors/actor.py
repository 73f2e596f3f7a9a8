"""Actors: objects that handle one message at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_args

if TYPE_CHECKING:
    from sophia.actors.orchestrator import Orchestrator
    from sophia.actors.ref import ActorRef

__all__ = ["Actor", "Unhandled", "handles"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


class Unhandled(TypeError):
    """A message of a kind that no method handles. It is the sender's fault, so the actor goes on with the next."""


def handles(*kinds: type | UnionType) -> Callable[[_Method], _Method]:
    """Marks the method that handles messages of these classes, and of their subclasses. TypeError for what is no class;
    a union is its members. Two methods of one class for the same kind are a TypeError of the class. Example::

        >>> import asyncio
        >>> from sophia.actors import Actor, Orchestrator, handles
        >>> class Adds(Actor):
        ...     @handles(int, float)
        ...     def number(self, message):
        ...         return message + 1
        ...     @handles(str)
        ...     def word(self, message):
        ...         return message + "s"
        >>> async def main():
        ...     async with Orchestrator() as organs:
        ...         adds = organs.spawn(Adds)
        ...         answers = await adds.ask(41), await adds.ask("word")
        ...         try:
        ...             adds.tell(None)
        ...         except TypeError:
        ...             return *answers, "refused where it was sent"
        >>> asyncio.run(main())
        (42, 'words', 'refused where it was sent')
    """
    found = [one for kind in kinds for one in (get_args(kind) if isinstance(kind, UnionType) else (kind,))]
    if not found or not all(isinstance(kind, type) for kind in found):
        message = (
            f"@handles is given {', '.join(map(repr, kinds)) or 'nothing'}; name classes, as in @handles(int, str)"
        )
        raise TypeError(message)

    def mark(method: _Method) -> _Method:
        method.__handles__ = tuple(found)  # type: ignore[attr-defined]
        return method

    return mark


class Actor:
    """Handles messages, one at a time: no other thread and no other message comes between. Derive from it.

    Override `handle`, or mark a method for each kind of message with :func:`handles`: then a message of any other kind
    is refused where it is sent. What a handler returns is the answer to whoever asked. Handlers are plain functions or
    coroutines; the next message waits until a coroutine has ended. A class with a method ``handle_batch(messages)`` is
    given up to 64 messages at once where more than one waits; it returns None, or an answer, or an exception, for each.
    When it raises, all of them have failed. Without `handle` it is given single messages, too.

    `ref` and `orchestrator` are set before `on_start`. After a failure the supervisor may put a new actor in its place.

        >>> import asyncio
        >>> from sophia.actors import Actor, Orchestrator
        >>> class Counter(Actor):
        ...     def on_start(self):
        ...         self.total = 0
        ...     def handle(self, message):
        ...         self.total += message
        ...         return self.total
        >>> async def main():
        ...     async with Orchestrator() as organs:
        ...         counter = organs.spawn(Counter)
        ...         counter.tell(40)
        ...         return await counter.ask(2)
        >>> asyncio.run(main())
        42
    """

    ref: ActorRef
    orchestrator: Orchestrator

    accepts: ClassVar[tuple[type, ...] | None] = None
    """The classes of messages that it takes; None for any."""

    _methods: ClassVar[dict[type, str]] = {}

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        methods, here = dict(cls._methods), dict[type, str]()
        for name, method in vars(cls).items():
            for kind in getattr(method, "__handles__", ()):
                if kind in here:
                    message = f"{cls.__name__}: {here[kind]} and {name} both handle {kind.__name__}; let one do it"
                    raise TypeError(message)
                methods[kind] = here[kind] = name
        cls._methods = methods
        if "accepts" not in vars(cls):
            if "handle" in vars(cls):
                cls.accepts = None  # what it takes is its own matter
            elif methods and cls.handle is Actor.handle:
                cls.accepts = tuple(methods)

    def on_start(self) -> Any:
        """Before the first message; a plain function or a coroutine. What it raises counts as a failure."""

    def handle(self, message: Any) -> Any:
        """Handles a message; what it returns is the answer."""
        kind = type(message)
        for base in kind.__mro__:
            if (name := self._methods.get(base)) is not None:
                return getattr(self, name)(message)
        for base, name in self._methods.items():  # abstract classes take what is no subclass by its bases
            if isinstance(message, base):
                return getattr(self, name)(message)
        error = f"{type(self).__name__} handles no {kind.__name__}; override handle(), or mark a method with @handles"
        raise Unhandled(error)

    def on_stop(self) -> Any:
        """After the last message, also before a restart; a plain function or a coroutine."""


def refuse_generators(kind: type) -> None:
    """TypeError for a class whose handlers are generators: to call one runs nothing of it."""
    methods: dict[type, str] = getattr(kind, "_methods", {})
    for name in ("on_start", "handle", "handle_batch", "on_stop", *methods.values()):
        method = getattr(kind, name, None)
        if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
            message = (
                f"{name} of {kind.__name__} is a generator, of which a call runs nothing: make it a plain or an async "
                "function, without yield"
            )
            raise TypeError(message)
