"""Segments of a few memories, where a user's have thousands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from sophia.organs import hippocampus, memory_sealing


@contextmanager
def small_segments(least: int = 3, most: int = 12) -> Iterator[None]:
    """Memories go into a segment where `least` are neighbours, at most `most` into one."""
    with ExitStack() as stack:
        for module, name, value in (
            (hippocampus, "LEAST", least),
            (hippocampus, "MOST", most),
            (memory_sealing, "MOST", most),
            (memory_sealing, "SMALL", max(1, most // 2)),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield
