"""What the C headers must not do by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

INCLUDE = Path(__file__).resolve().parents[2] / "sophia" / "_core" / "include"


@pytest.mark.parametrize("header", sorted(INCLUDE.glob("*.h")), ids=lambda p: p.name)
def test_memory_is_asked_for_ahead_through_one_function(header: Path) -> None:
    # GCC drops a function or a loop that does nothing but prefetch, without a word: ahead.h keeps it from that.
    assert header.name == "ahead.h" or "__builtin_prefetch" not in header.read_text(encoding="utf-8")
