"""Every error that sophia raises, as one tree under :class:`SophiaError`.

Each class also derives from the built-in that a caller would expect, so ``except ValueError`` keeps
working where a value was wrong.
"""

from __future__ import annotations

__all__ = [
    "ActorStopped",
    "AnswerTimeout",
    "ArenaFull",
    "AskTimeout",
    "CircuitOpen",
    "ConfigError",
    "DeadlockError",
    "FilterFull",
    "InputError",
    "MailboxFull",
    "NotBorn",
    "OutputFailed",
    "PoolForked",
    "RuleError",
    "ShapeError",
    "SophiaError",
    "StaleArenaError",
    "StoreCorrupt",
    "StoreFailed",
    "StoreFrozen",
    "StoreLocked",
    "StoreVersionError",
    "UnknownActor",
]


class SophiaError(Exception):
    """Base class of all errors of this package."""


class ShapeError(SophiaError, ValueError):
    """A vector or matrix has the wrong length, dtype, layout or VSA model; the message names both sides."""


class StaleArenaError(SophiaError, RuntimeError):
    """A vector borrowed from an arena was used after the arena's ``reset()`` or ``rewind()``."""


class ArenaFull(SophiaError, MemoryError):
    """An arena refused a vector beyond its byte bound; nothing was changed."""


class FilterFull(SophiaError, RuntimeError):
    """A cuckoo filter refused an item for lack of room; every item accepted before is still there.

    After a batch, `accepted` is the number of leading items that went in.
    """

    accepted: int = 0


class AnswerTimeout(SophiaError, TimeoutError):
    """An identical input was being thought about, and that took longer than this caller would wait."""


class DeadlockError(SophiaError, RuntimeError):
    """A call would wait for itself."""


class UnknownActor(SophiaError, KeyError):
    """No actor has this name; the message names the nearest that there is."""

    def __str__(self) -> str:  # a KeyError would show the quotes of its message
        return str(self.args[0]) if self.args else ""


class MailboxFull(SophiaError, RuntimeError):
    """A mailbox had no room for a message, which was not taken."""


class ActorStopped(SophiaError, RuntimeError):
    """An actor has stopped, or stopped before it answered; the message says why."""


class AskTimeout(SophiaError, TimeoutError):
    """An actor did not answer in time; if the message still waited, it is not handled any more."""


class CircuitOpen(SophiaError, RuntimeError):
    """A circuit breaker lets no calls through for now; `retry_after` is how many seconds it stays so, at least."""

    retry_after: float = 0.0


class PoolForked(SophiaError, RuntimeError):
    """A pool or orchestrator of the parent process was used in a forked child, where its threads are not."""


class InputError(SophiaError, OSError):
    """An input cannot be opened, is not text, or broke off; the message names it and the cure."""


class OutputFailed(SophiaError, OSError):
    """Decisions or patterns could not be written (a full disk); what had arrived is known and remembered."""


class ConfigError(SophiaError, ValueError):
    """A setting or flag has a value that cannot be used; the message names it, the place and the cure."""


class RuleError(ConfigError):
    """A danger rule cannot be taken; the message holds the file and the line."""


class NotBorn(SophiaError):
    """What only a brain can do that was born; see :mod:`sophia.gestation`."""


class StoreFrozen(SophiaError, PermissionError):
    """The brain is crystalline: it decides, and nothing may be learned or changed until `crystallise --undo`."""


class StoreFailed(SophiaError, OSError):
    """The store could not be read or written now (a full disk, a file without permission); nothing was lost."""


class StoreLocked(SophiaError, RuntimeError):
    """Another process (or another object of this one) has the store open for writing."""


class StoreCorrupt(SophiaError, RuntimeError):
    """A stored file fails its checksum or is not what its header says."""


class StoreVersionError(SophiaError, RuntimeError):
    """The store was written by a newer version of sophia; nothing in it was touched."""
