"""Totals of a run, of a size that does not grow with the stream."""

from __future__ import annotations

from collections import Counter
from time import monotonic, process_time

from sophia._core.decision import Decision
from sophia.stream.event import Event

__all__ = ["Summary"]

_SHOWN_BAD = 20


class Summary:
    """What was decided, why, and how long it took."""

    def __init__(self) -> None:
        self.decisions = 0
        self.routes: Counter[str] = Counter()
        self.whys: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.served = 0
        self.patterns = 0
        self.interrupted = False
        self.bad_lines: list[tuple[str, int, str]] = []
        self._us: Counter[float] = Counter()
        self._bad: Counter[str] = Counter()
        self._started = monotonic()
        self._cpu = process_time()

    def add(self, decisions: list[Decision]) -> None:
        """Counts one batch."""
        self.decisions += len(decisions)
        self.routes.update([d.route for d in decisions])
        self.whys.update([d.why for d in decisions])
        self.verdicts.update([d.verdict for d in decisions])
        self.rules.update([d.danger.rule for d in decisions if d.danger is not None])
        self.served += sum(d.answer is not None for d in decisions)
        # Two significant digits: at most 90 keys a decade.
        self._us.update([float(f"{d.us:.1e}") for d in decisions[:1]] * len(decisions))

    def add_bad(self, events: list[Event]) -> None:
        """Keeps where the first unreadable lines of each reason stand, at most 20 of a reason."""
        for event in events:
            if event.invalid and self._bad[event.invalid] < _SHOWN_BAD:
                self._bad[event.invalid] += 1
                self.bad_lines.append((event.source, event.line, event.invalid))

    def quantile(self, share: float) -> float:
        """Microseconds that at most `share` of the decisions took longer than or equal to; 0.0 before the first."""
        wanted = share * self.decisions
        seen = 0
        for us in sorted(self._us):
            seen += self._us[us]
            if seen >= wanted:
                return us
        return 0.0

    @property
    def seconds(self) -> float:
        return monotonic() - self._started

    @property
    def cpu_seconds(self) -> float:
        return process_time() - self._cpu

    def as_dict(self) -> dict[str, object]:
        """The totals under stable names, ready for JSON."""
        return {
            "decisions": self.decisions,
            "routes": dict(sorted(self.routes.items())),
            "whys": dict(sorted(self.whys.items())),
            "verdicts": dict(sorted(self.verdicts.items())),
            "rules": dict(self.rules.most_common()),
            "served_from_memory": self.served,
            "patterns": self.patterns,
            "interrupted": self.interrupted,
            "bad_lines": [
                {"source": source, "line": line, "reason": reason} for source, line, reason in self.bad_lines
            ],
            "us_p50": self.quantile(0.5),
            "us_p99": self.quantile(0.99),
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }
