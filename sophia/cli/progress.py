"""What a run says on standard error while it works, and at its end."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sophia.stream.readers import Reader
    from sophia.stream.run import Summary

__all__ = ["Progress"]

_TERMINAL_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_SHOWN_RULES = 8
_SHOWN_ERRORS = 20


class Progress:
    """One redrawn line on a terminal (at most 10 a second), else a plain line every 10 s."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._last = self._started = monotonic()
        self._drawn = False

    def show(self, summary: Summary, reader: Reader) -> None:
        """Called after each batch."""
        now = monotonic()
        if self._quiet or now - self._last < (_TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS):
            return
        self._last = now
        rate = summary.decisions / max(now - self._started, 1e-9)
        line = (
            f"{summary.decisions:,} inputs, {rate:,.0f}/s, p50 {summary.quantile(0.5):g} us, "
            f"novel {summary.whys['novel']:,}, danger {summary.whys['danger']:,}, served {summary.served:,}, "
            f"bad {reader.counts.bad_total:,}"
        )
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1  # a line that wraps is never taken away again
            sys.stderr.write(f"\r\x1b[K{line[:width]}")
            self._drawn = True
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def clear(self) -> None:
        """Takes the redrawn line away."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def finish(self, summary: Summary, reader: Reader, folder: Path, out: str | None) -> None:
        """The summary for a person: what was new, what was dangerous, what repeated, what was unreadable."""
        if self._quiet:
            return
        counts = reader.counts
        total = max(summary.decisions, 1)
        write = sys.stderr.write
        rate = summary.decisions / max(summary.seconds, 1e-9)
        read_as = ", ".join(sorted(set(counts.formats.values()))) or "nothing"
        write(
            f"{_number(summary.decisions, 'input')} read as {read_as} in {summary.seconds:.2f} s ({rate:,.0f}/s, "
            f"{summary.cpu_seconds:.2f} s CPU; p50 {summary.quantile(0.5):g} us, p99 {summary.quantile(0.99):g} us "
            "of batch averages)\n"
        )
        for route in ("reflex", "cortical", "deep_thought"):
            share = summary.routes[route] / total
            write(f"  {route:<13}{summary.routes[route]:>9,}  {share:6.1%}  {'#' * round(40 * share)}\n")
        whys = ", ".join(f"{why} {count:,}" for why, count in summary.whys.most_common())
        write(f"  why: {whys or 'nothing to decide'}\n")
        write(f"  answered from memory: {summary.served:,}; patterns: {summary.patterns:,}\n")
        if summary.rules:
            shown = summary.rules.most_common(_SHOWN_RULES)
            rules = ", ".join(f"{rule} {count:,}" for rule, count in shown)
            more = len(summary.rules) - len(shown)
            write(f"  danger: {rules}{f' and {more} more rules' if more else ''}\n")
        if counts.bad:
            bad = ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.bad.items()))
            write(f"  unreadable: {bad}\n")
            for source, line, reason in summary.bad_lines:
                write(f"    {source}:{line}: {reason}\n")
        for error in counts.errors[:_SHOWN_ERRORS]:
            write(f"  input error: {error}\n")
        if summary.interrupted:
            write("  interrupted: what was decided before is written\n")
        write(f"  written to {folder if out is None else out}")
        write("\n" if out is None else f"; patterns and summary in {folder}\n")


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
