"""Sophia: a small brain for programs on a plain CPU.

Public names load on first use (PEP 562), so ``import sophia`` costs milliseconds. Start with :func:`open`::

    >>> import sophia
    >>> with sophia.open(None) as brain:
    ...     brain.route("How do I turn on dark mode?").route
    'deep_thought'
"""

from __future__ import annotations

TYPE_CHECKING = False  # a type checker takes it for true; the typing module costs 9 ms
if TYPE_CHECKING:
    from sophia._core.thalamus import Decision as Decision
    from sophia.brain import Sophia as Sophia
    from sophia.brain import open as open
    from sophia.config import Settings as Settings
    from sophia.errors import SophiaError as SophiaError

__version__ = "0.1.0"

_HOME = {
    "Decision": "sophia._core.thalamus",
    "Settings": "sophia.config",
    "Sophia": "sophia.brain",
    "SophiaError": "sophia.errors",
    "open": "sophia.brain",
}

__all__ = ["Decision", "Settings", "Sophia", "SophiaError", "__version__", "open"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        message = f"module 'sophia' has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
