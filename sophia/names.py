"""Names that others give: of sources, sessions and scopes."""

from __future__ import annotations

__all__ = ["LENGTH", "bounded", "ending"]

# Characters of a name that tell it from others; of a longer one the rest is hashed.
LENGTH = 256


def bounded(name: str) -> str:
    """A name of at most 256 characters that stands for this one only."""
    if len(name) <= LENGTH:
        return name
    from hashlib import blake2b

    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{name[: LENGTH - 33]}#{digest}"


def ending(name: str, length: int) -> str:
    """A name to be shown in that many characters: of a longer one the end, which tells it from its neighbours.

    >>> ending("plant/hall 7/pump 12", 10), ending("pump 12", 10)
    ('\u20267/pump 12', 'pump 12')
    """
    return name if len(name) <= length else f"\u2026{name[1 - length :]}"
