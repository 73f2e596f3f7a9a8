"""Names that others give: of sources, sessions and scopes."""

from __future__ import annotations

__all__ = ["LENGTH", "bounded"]

# Characters of a name that tell it from others; of a longer one the rest is hashed.
LENGTH = 256


def bounded(name: str) -> str:
    """A name of at most 256 characters that stands for this one only."""
    if len(name) <= LENGTH:
        return name
    from hashlib import blake2b

    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{name[: LENGTH - 33]}#{digest}"
