"""Profiles of a suite: where the CPU time goes, or which lines allocate."""

from __future__ import annotations

import cProfile
import pstats
import tracemalloc
from collections.abc import Callable


def run(kind: str, suite: Callable[[], object]) -> int:
    """Runs `suite` under cProfile ("cpu") or tracemalloc ("heap") and prints the 30 heaviest places."""
    if kind == "cpu":
        profiler = cProfile.Profile()
        profiler.runcall(suite)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
        return 0
    tracemalloc.start(8)
    suite()
    for statistic in tracemalloc.take_snapshot().statistics("lineno")[:30]:
        print(statistic)
    return 0
