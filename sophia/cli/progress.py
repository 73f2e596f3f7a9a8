"""What a run says on standard error while it works, and at its end."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from sophia.cli.block import Block, Rows, block_on
from sophia.stream.summary import SHOWN_BAD, SHOWN_OF_ONE, alarm_words, anomaly_words, shown_sensor, unkept_words

if TYPE_CHECKING:
    from sophia._core.rhythm import Alarm
    from sophia.cli.run_log import RunLog
    from sophia.config import RunSettings
    from sophia.stream.counts import Counts
    from sophia.stream.score import Score
    from sophia.stream.summary import Summary

__all__ = ["Progress", "memory", "peak_memory"]

_BLOCK_SECONDS = 0.1
_PLAIN_SECONDS = 10.0
_SHOWN_RULES = 8
_SHOWN_ERRORS = 20
_BAR = 40
_ROUTES = (("reflex", "#", "green"), ("cortical", "=", "cyan"), ("deep_thought", ".", "yellow"))


class Progress:
    """A block on a terminal, redrawn at most 10 times a second; else a plain line every 10 s; bad lines as they come.

    Words that cannot be told (standard error is closed, its reader has gone) never end a run.
    """

    def __init__(self, mode: str, counts: Counts, log: RunLog, *, quiet: bool) -> None:
        self._counts = counts
        self._log = log
        self._quiet = quiet or sys.stderr is None
        self._live = mode != "none"
        self._block: Block | None = None if self._quiet or mode != "auto" else block_on(sys.stderr)
        self._last = self._started = monotonic()
        self._told = 0
        self._told_anomalies = 0
        self._of_sensors: Counter[str] = Counter()
        self._alarms: Counter[str] = Counter()

    def show(self, summary: Summary) -> None:
        """Called after each batch."""
        self._tell_bad(summary)
        self._tell_anomalies(summary)
        now = monotonic()
        if self._quiet or not self._live or now - self._last < (_BLOCK_SECONDS if self._block else _PLAIN_SECONDS):
            return
        self._last = now
        rate = summary.decisions / max(now - self._started, 1e-9)
        try:
            if self._block is not None:
                self._block.draw(self._rows(summary, rate))
            else:
                sys.stderr.write(self._line(summary, rate))
                sys.stderr.flush()
        except (OSError, ValueError):
            self._quiet = True

    def tell(self, sentence: str, about: str = "input") -> None:
        """Something that happens to an input that is followed, or to the store, when it does; also to the log."""
        self._log.write(about, sentence)
        self.clear()
        self._say(f"sophia: {sentence}\n")

    def clear(self) -> None:
        """Takes the block away."""
        if self._block is not None and not self._quiet:
            try:
                self._block.erase()
            except (OSError, ValueError):
                self._quiet = True

    def finish(self, summary: Summary, folder: Path, wanted: RunSettings, left_out: int, score: Score | None) -> None:
        """The summary for a person: what was new, what was dangerous, what repeated, what was unreadable."""
        self._tell_bad(summary)
        self._tell_anomalies(summary)
        if self._quiet:
            return
        counts = self._counts
        total = max(summary.decisions, 1)
        rate = summary.decisions / max(summary.seconds, 1e-9)
        read_as = ", ".join(sorted(set(counts.formats.values()))) or "nothing"
        said = [
            f"{_number(summary.decisions, 'input')} read as {read_as}, decided and written in {summary.seconds:.2f} s "
            f"({rate:,.0f}/s, {summary.cpu_seconds:.2f} s CPU; a decision: p50 {summary.quantile(0.5):g} us, "
            f"p99 {summary.quantile(0.99):g} us, of batch averages)"
        ]
        for route, _, _ in _ROUTES:
            share = summary.routes[route] / total
            bar = "#" * round(_BAR * share)
            said.append(f"  {route:<13}{summary.routes[route]:>9,}  {share:6.1%}  {bar}".rstrip())
        whys = ", ".join(f"{why} {count:,}" for why, count in summary.whys.most_common())
        said.append(f"  why: {whys or 'nothing to decide'}")
        saved = f" (saved {summary.avoided * wanted.cost_per_call:,.2f})" if wanted.cost_per_call else ""
        if summary.avoided < summary.served:
            saved = f", calls avoided: {summary.avoided:,}{saved}"
        said.append(
            f"  answered from memory: {summary.served:,}{saved}; patterns: {summary.patterns:,}, "
            f"of them {summary.new_patterns:,} new in this run"
        )
        if summary.memories is not None:
            made, gone = summary.memories
            said.append(f"  memories: {made:,} made{f', {gone:,} let go' if gone else ''}")
        if summary.alarms:
            kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary.alarms.items()))
            said.append(f"  alarms: {kinds}; see alarms.jsonl")
        if summary.samples:
            said.append(f"  sensors: {_number(summary.samples, 'sample')}, anomalies: {summary.anomalies:,}")
            said += [f"  {note}" for note in summary.sensor_notes]
        said += _session_lines(summary)
        said += _audit_lines(summary)
        if summary.rules:
            shown = summary.rules.most_common(_SHOWN_RULES)
            rules = ", ".join(f"{rule} {count:,}" for rule, count in shown)
            more = len(summary.rules) - len(shown)
            said.append(f"  danger: {rules}{f' and {more} more rules' if more else ''}")
        if summary.reasons:
            bad = ", ".join(f"{reason} {count:,}" for reason, count in sorted(summary.reasons.items()))
            said.append(f"  bad inputs: {bad}")
        if left_out:
            said.append(f"  left out by --sample: {left_out:,}")
        if score is not None:
            said += [f"  {line}" for line in score.lines()]
        said += [f"  input error: {error}" for error in counts.errors[:_SHOWN_ERRORS]]
        if summary.hung:
            said.append(f"  {unkept_words(summary)}")
        if summary.interrupted:
            said.append("  interrupted: what was decided before is written")
        out = wanted.out
        said.append(f"  written to {folder if out is None else f'{out}; patterns and summary in {folder}'}")
        self._say("\n".join(said) + "\n")

    def born(self, words: str) -> None:
        """The brain was born; also to the log."""
        self._log.write("birth", words)
        self.clear()
        self._say(f"sophia: {words}\n")

    def alarmed(self, alarms: list[Alarm]) -> None:
        """Alarms, when they are raised: on standard error and in the log, 20 of a kind."""
        said = []
        for alarm in alarms:
            self._alarms[alarm.kind] += 1
            if self._alarms[alarm.kind] > SHOWN_BAD:
                continue
            self._log.write("alarm", alarm_words(alarm._replace(template=None)))  # the log shows no input
            said.append(f"alarm: {alarm_words(alarm)}\n")
            if self._alarms[alarm.kind] == SHOWN_BAD:
                said.append(f"alarm: {alarm.kind} named {SHOWN_BAD} times; further ones are in alarms.jsonl alone\n")
        if said:
            self.clear()
            self._say("".join(said))

    def _tell_bad(self, summary: Summary) -> None:
        """Bad lines that were written since the last call, on standard error and in the log; 20 of a kind."""
        bad = summary.bad_lines
        if self._told == len(bad):
            return
        lines = []
        while self._told < len(bad):
            source, line, reason, count = bad[self._told]
            self._told += 1
            lines.append(f"{source}:{line}: {reason}")
            if count == SHOWN_BAD:
                lines.append(f"{reason}: named {count} times; further ones are only counted")
        for words in lines:
            self._log.write("bad", words)
        self.clear()
        self._say("\n".join(lines) + "\n")

    def _tell_anomalies(self, summary: Summary) -> None:
        """Anomalies of sensors since the last call, as bad lines are told; 5 of each, 20 in all."""
        new = summary.first_anomalies[self._told_anomalies :]
        lines = []
        for one in new:
            self._told_anomalies += 1
            self._of_sensors[one.sensor] += 1
            lines.append(f"anomaly: {anomaly_words(one)}")
            if self._told_anomalies == SHOWN_BAD:
                lines.append(f"anomaly: {SHOWN_BAD} named; further ones are in the decisions alone")
            elif self._of_sensors[one.sensor] == SHOWN_OF_ONE:
                whose = shown_sensor(one.sensor)
                lines.append(f"anomaly: {SHOWN_OF_ONE} of {whose} named; further ones of it are in the decisions alone")
        if lines:
            for one in new:
                self._log.write("anomaly", f"{one.source}:{one.line}: score {one.score:.2f}")  # the log shows no input
            self.clear()
            self._say("\n".join(lines) + "\n")

    def _say(self, words: str) -> None:
        if self._quiet:
            return
        try:
            sys.stderr.write(words)
            sys.stderr.flush()
        except (OSError, ValueError):
            self._quiet = True

    def _line(self, summary: Summary, rate: float) -> str:
        routes = ", ".join(
            f"{route} {summary.routes[route] / max(summary.decisions, 1):.0%}" for route, _, _ in _ROUTES
        )
        return (
            f"{summary.decisions:,} inputs, {rate:,.0f}/s, p50 {summary.quantile(0.5):g} us, "
            f"p99 {summary.quantile(0.99):g} us, {routes}, novel {summary.whys['novel']:,}, "
            f"danger {summary.endangered:,}, served {summary.served:,}, bad {summary.reasons.total():,}, "
            f"{memory() >> 20} MiB\n"
        )

    def _rows(self, summary: Summary, rate: float) -> Rows:
        total = max(summary.decisions, 1)
        shares = [(route, sign, colour, summary.routes[route] / total) for route, sign, colour in _ROUTES]
        bar: list[tuple[str, str]] = [("[", "")]
        drawn = 0
        reached = 0.0
        for _, sign, colour, share in shares:
            reached += share
            end = round(_BAR * reached)
            bar.append((sign * (end - drawn), colour))
            drawn = end
        bar.append((" " * (_BAR - drawn) + "] ", ""))
        return [
            [
                (f"{summary.decisions:,} inputs", "bold"),
                (
                    f"  {rate:,.0f}/s  p50 {summary.quantile(0.5):g} us  p99 {summary.quantile(0.99):g} us  "
                    f"{memory() >> 20} MiB",
                    "",
                ),
            ],
            [*bar, *((f" {sign} {route} {share:.1%} ", colour) for route, sign, colour, share in shares)],
            [
                (f"novel {summary.whys['novel']:,}  ", ""),
                (f"danger {summary.endangered:,}", "red" if summary.endangered else ""),
                (f"  served from memory {summary.served:,}  bad {summary.reasons.total():,}", ""),
            ],
        ]


def _session_lines(summary: Summary) -> list[str]:
    """How many sessions were new, and in what."""
    if summary.open_sessions is None:
        return []
    found = summary.sessions
    if not found["ended"] and not summary.open_sessions:
        return ["  sessions: no input had one; see --session-key"]
    return [
        f"  sessions: {found['ended']:,} ended, {found['novel']:,} novel ({found['orders_novel']:,} in order, "
        f"{found['counts_novel']:,} in counts), {summary.open_sessions:,} open; inputs raised: {summary.raised:,}"
    ]


def _audit_lines(summary: Summary) -> list[str]:
    """How often memory was wrong, and what came of it."""
    said = []
    if summary.audited:
        compared = summary.agreed + summary.differed
        line = f"  audited: {summary.audited:,}, of them {compared:,} compared, {summary.differed:,} wrong"
        if summary.interval is not None:
            low, high = summary.interval
            line += f": {summary.differed / compared:.2%} ({low:.2%} to {high:.2%})"
        said.append(f"{line}; {summary.audited - compared:,} open")
    if summary.answers_off:
        said.append(
            f"  answers are switched off, {summary.withheld:,} withheld: too many audited ones were wrong "
            "(--resume-answers switches them on)"
        )
    return said


def memory() -> int:
    """Bytes of memory that the process holds now; where the system does not tell, the most it ever held."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 (asked ten times a second)
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return peak_memory()


def peak_memory() -> int:
    """The most bytes of memory that the process ever held."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
