"""What a circuit breaker must do: the states, the window and the times, one call after the other.

The compiled breaker keeps multiples of 2^-20 s, so its times are exactly these where a test uses no others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

REFUSED = -1


@dataclass
class Model:
    failure_rate: float
    window: int
    minimum_calls: int
    open_seconds: float
    open_most: float
    slow_seconds: float | None
    probe_seconds: float
    state: str = "closed"
    generation: int = 0
    probing: bool = False
    since: float = 0.0
    streak: int = 0
    results: deque[bool] = field(default_factory=deque)
    events: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0
    failures: int = 0
    slow: int = 0
    refused: int = 0
    late: int = 0
    abandoned_calls: int = 0
    opened: int = 0
    probes: int = 0
    given_up: int = 0

    def turn(self, state: str, now: float = 0.0, probing: bool = False) -> None:
        """Every change begins a generation."""
        if state == "open" and self.state != "open":
            self.opened += 1
        if state != self.state:
            self.events.append((self.state, state))
        if state == "closed":
            self.streak = 0
            self.results.clear()
        self.state, self.probing, self.since = state, probing, now
        self.generation += 1

    def waits(self) -> float:
        if self.state == "open":
            return min(self.open_seconds * 2.0**self.streak, self.open_most)
        return self.probe_seconds if self.probing else 0.0

    def allows(self, now: float) -> bool:
        return self.state == "closed" or max(0.0, now - self.since) >= self.waits()

    def left(self, now: float) -> float:
        """Seconds until a refused call could be the probe."""
        return self.waits() - max(0.0, now - self.since)

    def admit(self, now: float) -> int:
        """The generation of the call, or REFUSED."""
        if self.state == "closed":
            return self.generation
        if (self.state == "open" or self.probing) and now < self.since:  # put back: the wait begins anew
            self.since = now
        if not self.allows(now):
            self.refused += 1
            return REFUSED
        self.probes += 1
        self.given_up += self.probing
        self.turn("half_open", now, probing=True)
        return self.generation

    def report(self, generation: int, failed: bool, now: float, seconds: float | None) -> None:
        if generation != self.generation:
            self.late += 1
            return
        probe = self.state == "half_open"
        if seconds is None and probe:
            seconds = max(0.0, now - self.since)
        slow = self.slow_seconds is not None and seconds is not None and seconds > self.slow_seconds
        failed = failed or slow
        self.calls += 1
        self.failures += failed
        self.slow += slow
        if probe:
            self.streak = self.streak + 1 if failed else 0
            self.turn("open" if failed else "closed", now)
            return
        self.results.append(failed)
        if len(self.results) > self.window:
            self.results.popleft()
        if len(self.results) >= self.minimum_calls and sum(self.results) / len(self.results) >= self.failure_rate:
            self.turn("open", now)

    def abandoned(self, generation: int) -> None:
        self.abandoned_calls += 1
        if generation == self.generation and self.probing:
            self.turn("half_open", self.since)

    def trip(self, now: float) -> None:
        self.turn("open", now)

    def reset(self) -> None:
        self.turn("closed")
