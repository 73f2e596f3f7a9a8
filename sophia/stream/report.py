# Over 600 lines: one page, whose parts share the run's counts and the names that its template reads.
"""The report of a run: one HTML file that needs nothing else, for a person who was not there."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from importlib.util import find_spec
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sophia._core import cpu
from sophia.brain import Sophia
from sophia.config import Settings
from sophia.errors import SophiaError
from sophia.names import ending
from sophia.organs.danger import SEVERITIES
from sophia.stream.collect import NAMED, QUIET, ROUTES, Collector, Example, Kept
from sophia.stream.counts import Counts
from sophia.stream.explain import FAULTS, REASONS, ROUTE_WORDS, explain, rule
from sophia.stream.explain import share as confidence
from sophia.stream.hindsight import Later
from sophia.stream.mask import Part, excerpt, window
from sophia.stream.partial import Partial
from sophia.stream.plots import Plots, plots
from sophia.stream.score import Score
from sophia.stream.story import story_of
from sophia.stream.summary import Summary, alarm_words, anomaly_words
from sophia.stream.timeline import Timeline

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["missing", "write_report"]

_NEEDS = ("jinja2", "matplotlib")
_RULES = 100
_PATTERNS, _MORE_PATTERNS = 30, 170
_RARE = 2
_RARE_FROM = 100
_NUMBERS = 40
_RUNS = 12
# Reasons in the order in which they are looked for.
_FIRST = ("danger", "invalid", "empty", "too-long", "repeat")
_LABELS = 30
_REPEATS = 20
_ORDERS = 3
_SPANS = 20
_RECALLED = 6
_DRAWN = 4
_AXIS = 24
_SOURCES = 12
_QUANTILES = (0.5, 0.9, 0.99, 0.999)


def missing() -> list[str]:
    """The packages of the extra `brain` that a report needs and that are not installed."""
    return [name for name in _NEEDS if find_spec(name) is None]


def write_report(
    path: Path,
    collector: Collector,
    summary: Summary,
    counts: Counts,
    brain: Sophia,
    *,
    cost_per_call: float | None = None,
    score: Score | None = None,
    store: str | None = None,
    decisions: str = "decisions.jsonl",
) -> None:
    """Writes the report of a finished run to `path`, as a whole or not at all. About 0.8 s CPU, most of it imports.

    `brain` may be closed. Everything that came with the input is masked (see `mask.excerpt`), cut and escaped;
    the page has no script and loads nothing. matplotlib, if it is not loaded yet, keeps its files in a folder
    beside `path` that is removed again. `store` is the place of the store that was read, to be named on the page, as is
    `decisions`, what has them.
    """
    content = _Page(collector, summary, counts, brain, cost_per_call, score, store, decisions)
    with plots(path.parent) as draw:
        page = _environment().get_template("report.html.j2").render(content.content(draw))
    with Partial(path) as partial:
        partial.file.write(page.encode(errors="replace"))
        partial.keep()


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(str(resources.files("sophia.stream") / "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class _Shown(NamedTuple):
    """An input as the page shows it."""

    place: str
    text: list[Part]
    route: str
    why: str
    verdict: str
    because: str
    template: list[Part] | None


class _Page:
    """Turns what was collected into what the template prints: numbers, words and masked texts, no markup."""

    def __init__(
        self,
        collector: Collector,
        summary: Summary,
        counts: Counts,
        brain: Sophia,
        cost_per_call: float | None,
        score: Score | None,
        store: str | None,
        decisions: str,
    ) -> None:
        self._collected = collector
        self._summary = summary
        self._counts = counts
        self._settings = _in_force(brain)
        self._policy = brain.policy_version
        self._later = Later(brain.thalamus.patterns, brain.settings)
        self._router = brain.intents is not None
        self._score = score
        self._rules = {rule.id: rule.description for rule in brain.thalamus.rules.rules}
        self._store = store
        self._decisions = decisions
        self._cost = cost_per_call or None  # 0, as if not given
        self._sources = list(counts.formats)
        self._total = summary.decisions
        remembering = brain.thalamus.remembering
        self._memory = remembering if remembering is not None and remembering.recalls else None

    def content(self, draw: Plots) -> dict[str, Any]:
        reasons = self._collected.reasons
        routes = {route: self._summary.routes[route] for route in ROUTES}
        patterns = self._patterns()
        danger = self._danger()
        merged = self._merged()
        new_first = [self._shown(e) for e in self._collected.first_new if self._survives(e)]
        new_last = [self._shown(e) for e in self._collected.last_new if self._survives(e)]
        return {
            "total": self._total,
            "title": self._title(),
            "interrupted": self._summary.interrupted,
            "stopped": None if self._summary.stopped is None else _clean(self._summary.stopped, 300),
            "errors": [_clean(error, 300) for error in self._counts.errors[:_SOURCES]],
            "facts": self._facts(),
            "wall": f"{self._summary.seconds:.2f} s",
            "cpu": f"{self._summary.cpu_seconds:.2f} s",
            "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "words": ROUTE_WORDS,
            "routes": routes,
            "share": self._share,
            "scoped": self._collected.scoped,
            "novel": self._summary.whys["novel"],
            "new": self._summary.new_patterns,
            "in_all": self._summary.patterns,
            "known_before": self._summary.patterns - self._summary.new_patterns,
            "store": None if self._store is None else _clean(self._store, 200),
            "decisions": _clean(self._decisions, 200),
            "merged": merged[0],
            "router": self._router,
            "rare": (rare := self._rare(patterns)),
            "latest": [] if rare else [*new_first, *new_last][:-4:-1],
            "new_first": new_first,
            "new_last": new_last,
            "salient": [
                (f"{one.attention:.2f}", self._shown(one)) for one in self._collected.salient if self._survives(one)
            ],
            "story": story_of(self._summary),
            "spans": [
                {"id": id, "count": kept.count, "first": kept.example.n, "last": kept.last}
                for id, kept in patterns[:_SPANS]
            ],
            "recalled": self._recalled(),
            "alarms": [_clean(alarm_words(alarm), 300) for alarm in self._summary.first_alarms],
            "anomalies": [_clean(anomaly_words(one), 300) for one in self._summary.first_anomalies],
            "anomalies_total": self._summary.anomalies,
            "courses": self._courses(),
            "samples": self._summary.samples,
            "alarms_total": self._summary.alarms.total(),
            "danger": danger,
            "danger_total": sum(rule["count"] for rule in danger),
            "danger_shown": danger[:_RULES],
            "danger_low": sum(rule["count"] for rule in danger if rule["severity"] == "low"),
            "verdicts": self._summary.verdicts,
            "served": self._summary.served,
            "avoided": self._summary.avoided,
            "unspared": self._summary.unspared,
            "audit": self._audit(),
            "withheld": self._summary.withheld,
            "sessions": self._sessions(),
            "answers_off": self._summary.answers_off,
            "patterns": [self._pattern(*item) for item in patterns[:_PATTERNS]],
            "more_patterns": [self._pattern(*item) for item in patterns[_PATTERNS : _PATTERNS + _MORE_PATTERNS]],
            "lines_kept": sum(map(len, self._collected.lines.values())),
            "lines_listed": self._listed(patterns[: _PATTERNS + _MORE_PATTERNS]),
            "patterns_total": len(patterns),
            "forgotten": self._collected.forgotten,
            "named": NAMED,
            "repeats": self._repeats(),
            "repeated": self._collected.repeated + merged[0],
            "repeated_danger": self._collected.repeated_danger + merged[1],
            "known": sum(
                n
                for (_, why), n in reasons.items()
                if why in ("repeat", "known-pattern", "complex", "route", "gestating", "error")
            ),
            "rules": [
                (why, route, reasons[route, why], rule(why, route, self._settings))
                for why in dict.fromkeys((*_FIRST, *REASONS))
                for route in ROUTES
                if reasons[route, why]
            ],
            "score": None if self._score is None else self._score_section(self._score),
            "cost": self._cost,
            "why": self._whys(),
            "sample": [self._shown(example) for example in self._collected.sample],
            "bad": self._bad(),
            "bad_total": sum(lines.count for lines in self._collected.bad.values()),
            "blank": self._counts.blank,
            "stretches": _stretches(self._collected.routes),
            "speed": self._speed(),
            "latency": self._latency(),
            "plots": self._plots(draw) if self._total else {},
            "known_from": confidence(self._settings.cortical_confidence),
            "reflex_from": confidence(self._settings.reflex_confidence),
        }

    def _recalled(self) -> list[dict[str, Any]]:
        """Some inputs, and the memories of their owner that are most like each."""
        found: list[dict[str, Any]] = []
        for example in self._collected.sample if self._memory is not None else ():
            with suppress(SophiaError, ValueError):  # closed, or a text that nothing can be compared with
                like = self._memory.recall(example.text, 4, scope=example.scope)  # type: ignore[union-attr]
                others = [one for one in like if one.text != example.text][:3]
                if others:
                    shown = [(f"{one.score:.2f}", excerpt(one.text or "")) for one in others]
                    found.append({"text": excerpt(example.text), "place": self._shown(example).place, "like": shown})
            if len(found) == _RECALLED:
                break
        return found

    def _title(self) -> str:
        names = [_clean(_file(name), 60) for name in self._sources[:2]]
        more = len(self._sources) - len(names)
        return (" and ".join(names) if not more else f"{', '.join(names)} and {more} more") or "no input"

    def _facts(self) -> list[tuple[str, str]]:
        """The run in pairs of name and value."""
        counts, collected = self._counts, self._collected
        read = [
            f"{_clean(name, 80)} ({counts.formats[name]}, {_size(counts.bytes.get(name, 0))})"
            for name in self._sources[:_SOURCES]
        ]
        more = len(self._sources) - len(read)
        facts = [
            ("Input", ", ".join(read) + (f" and {more} more" if more else "") if read else "none"),
            ("Lines", f"{counts.lines:,}, of them {counts.events:,} inputs, {counts.blank:,} blank"),
            *([("Decided", f"{self._total:,} of the inputs")] if self._total < counts.events else []),
            (
                "Wall time",
                f"{self._summary.seconds:.2f} s to read, decide and write; the start and this page come on top",
            ),
            ("CPU time", f"{self._summary.cpu_seconds:.2f} s, of the same"),
        ]
        if collected.first_event is not None and collected.last_event is not None:
            facts.append(("Event time", f"{_clean(collected.first_event, 40)} to {_clean(collected.last_event, 40)}"))
        return [
            *facts,
            ("Patterns", f"{self._summary.patterns:,} in all, of them {self._summary.new_patterns:,} new in this run"),
            ("sophia", _version()),
            ("Python, SIMD", f"{platform.python_version()}, {cpu.simd_level()}"),
            ("Seed", str(self._settings.seed)),
            ("Policy", f"{self._policy}, a fingerprint of the settings and danger rules in force (policy_version)"),
        ]

    def _share(self, count: float) -> str:
        """A count as a share of all inputs; never 0 % or 100 % of what is not."""
        part = 100 * count / max(self._total, 1)
        if 0 < part < 0.1:
            return "under 0.1 %"
        return f"{min(part, 99.9) if count < self._total else part:.1f} %"

    def _place(self, source: str, line: int) -> str:
        return f"line {line:,}" if len(self._sources) <= 1 else f"{_clean(_file(source), 40)}:{line}"

    def _shown(self, example: Example) -> _Shown:
        first = None if example.pattern is None else self._first.get(self._later.survivor(example.pattern))
        place = "" if first is None else self._place(first.source, first.line)
        because = explain(example, self._settings, self._rules, self._later.of(example, first, place))
        return _Shown(
            self._place(example.source, example.line),
            excerpt(example.text, example.span),
            example.route,
            example.why,
            example.verdict,
            _clean(because, 600),
            self._template(example.pattern),
        )

    def _survives(self, example: Example) -> bool:
        """Whether its pattern was not found to be the same as another one later."""
        return example.pattern is None or self._later.survivor(example.pattern) == example.pattern

    def _template(self, pattern: int | None) -> list[Part] | None:
        """The template as it is now; None for a pattern that had to make room."""
        template = None if pattern is None else self._later.template(pattern)
        return None if template is None else excerpt(window(template)[0])

    def _merged(self) -> tuple[int, int]:
        """New patterns that were found to be the same as another, so that the first input of each of them was no first
        one; and how many of these inputs hit a danger rule."""
        collected = self._collected
        first = [
            kept.example
            for ids in self._later.absorbed.values()
            for id in ids
            if (kept := collected.patterns.get(id)) is not None and id > collected.known and not kept.example.earlier
        ]
        danger = sum(example.rule is not None for example in first)
        return max(collected.new - self._summary.new_patterns, len(first)), danger

    def _rare(self, patterns: list[tuple[int, Kept]]) -> list[dict[str, Any]]:
        """New patterns that came once or twice, without danger: those first that came after a long time without any."""
        if self._total < _RARE_FROM or self._collected.forgotten:
            return []
        quiet = self._collected.quiet
        rare = [
            (quiet[id], id, kept)
            for id, kept in patterns
            if kept.count <= _RARE and not kept.danger and quiet.get(id, 0) * QUIET >= self._total
        ]
        return [
            {
                "count": kept.count,
                "after": after,
                "place": self._place(kept.example.source, kept.example.line),
                "text": excerpt(kept.example.text),
            }
            for after, _, kept in sorted(rare, key=lambda one: (-one[0], one[1]))[:3]
        ]

    def _patterns(self) -> list[tuple[int, Kept]]:
        """Patterns by how often they came; those that were found to be one are one."""
        joined: dict[int, Kept] = {}
        for id, kept in self._collected.patterns.items():
            entry = joined.setdefault(self._later.survivor(id), Kept(kept.example))
            entry.count += kept.count
            entry.danger += kept.danger
            entry.last = max(entry.last, kept.last)
            if kept.example.n < entry.example.n:
                entry.example = kept.example
        return sorted(joined.items(), key=lambda item: (-item[1].count, item[1].example.n))

    @cached_property
    def _first(self) -> dict[int, Example]:
        """The first input of each pattern that is still counted."""
        return {id: kept.example for id, kept in self._patterns()}

    def _pattern(self, id: int, kept: Kept) -> dict[str, Any]:
        return {
            "id": id,
            "also": self._later.absorbed.get(id, [])[:_NUMBERS],
            "count": kept.count,
            "danger": kept.danger,
            "first": self._place(kept.example.source, kept.example.line),
            "template": self._template(id),
            "example": excerpt(kept.example.text),
            "lines": self._lines.get(id, []),
        }

    @cached_property
    def _lines(self) -> dict[int, list[dict[str, Any]]]:
        """Where inputs stand, by pattern: route, why, and the numbers of the lines."""
        joined: dict[int, dict[tuple[str, str, str], list[tuple[str, int]]]] = {}
        for (pattern, *key), places in self._collected.lines.items():
            if pattern is not None:
                group = joined.setdefault(self._later.survivor(pattern), {})
                group.setdefault((key[0], key[1], key[2]), []).extend(places)
        return {
            id: [
                {"route": route, "why": why, "note": _clean(note, 60)} | self._numbers(sorted(places))
                for (route, why, note), places in sorted(groups.items(), key=lambda item: min(item[1]))
            ]
            for id, groups in joined.items()
        }

    def _listed(self, patterns: list[tuple[int, Kept]]) -> int:
        """Inputs whose line stands in the table of these patterns."""
        found = Counter[int]()
        for (pattern, *_), places in self._collected.lines.items():
            if pattern is not None:
                found[self._later.survivor(pattern)] += len(places)
        return sum(found[id] for id, _ in patterns)

    def _numbers(self, places: list[tuple[str, int]]) -> dict[str, str]:
        """Lines as a list with ranges, the first dozen and the rest; of several inputs with their names."""
        runs: list[tuple[str, int, int]] = []
        for source, line in places:
            if runs and runs[-1][0] == source and line == runs[-1][2] + 1:
                runs[-1] = (source, runs[-1][1], line)
            else:
                runs.append((source, line, line))
        many = len(self._sources) > 1
        shown = [
            (f"{_clean(_file(source), 40)}:" if many else "") + (str(a) if a == b else f"{a}\u2013{b}")
            for source, a, b in runs
        ]
        return {"lines": ", ".join(shown[:_RUNS]), "more": ", ".join(shown[_RUNS:])}

    def _score_section(self, score: Score) -> dict[str, Any]:
        """How decisions agree with the labels that came with the inputs."""
        told: Any = score.as_dict()
        return {
            "labelled": told["labelled"],
            "unlabelled": told["unlabelled"],
            "readings": [
                (words, meaning, {key: _decimal(told[name][key]) for key in ("precision", "recall", "f1")}, told[name])
                for name, words, meaning in (
                    ("raised", "Deep thought", "went to deep thought, for whatever reason: what is new counts"),
                    ("danger", "Danger rule", "a danger rule hit it"),
                )
            ],
            "labels": [row | {"label": _clean(row["label"], 60)} for row in told["labels"][:_LABELS]],
            "more_labels": max(len(told["labels"]) - _LABELS, 0),
            "intents": None if "intents" not in told else _intents(told["intents"]),
        }

    def _repeats(self) -> list[dict[str, Any]]:
        order = sorted(self._collected.repeats.values(), key=lambda kept: (-kept.count, kept.example.n))
        return [
            {
                "count": kept.count,
                "avoided": kept.count - kept.drawn,
                "saved": None if self._cost is None else f"{(kept.count - kept.drawn) * self._cost:,.2f}",
                "scope": _clean(kept.example.scope, 60),
                "first": self._place(kept.example.source, kept.example.line),
                "text": excerpt(kept.example.text),
            }
            for kept in order[:_REPEATS]
        ]

    def _audit(self) -> dict[str, Any] | None:
        """How often served answers were wrong; None where none was checked."""
        summary = self._summary
        if not summary.audited:
            return None
        compared = summary.agreed + summary.differed
        return {
            "drawn": summary.audited,
            "compared": compared,
            "wrong": summary.differed,
            "open": summary.audited - compared,
            "rate": f"{summary.differed / compared:.2%}" if compared else None,
            "interval": None if summary.interval is None else [f"{end:.2%}" for end in summary.interval],
            "confidence": f"{self._settings.audit_confidence:.0%}",
        }

    def _sessions(self) -> dict[str, Any] | None:
        """Sessions that have ended and the first of those that were new; None where inputs were not told by session."""
        summary = self._summary
        if summary.open_sessions is None:
            return None
        return {
            "ended": summary.sessions["ended"],
            "novel": summary.sessions["novel"],
            "orders": summary.sessions["orders_novel"],
            "counts": summary.sessions["counts_novel"],
            "open": summary.open_sessions,
            "raised": summary.raised,
            "shown": [
                {
                    "name": excerpt(session.session),
                    "scope": _clean(session.scope, 60),
                    "inputs": session.inputs,
                    "orders": [[(id, self._template(id)) for id in order] for order in session.orders[:_ORDERS]],
                    "more": max(0, session.orders_novel - _ORDERS),
                    "counts": session.counts_novel,
                }
                for session in summary.novel_sessions
            ],
        }

    def _danger(self) -> list[dict[str, Any]]:
        """Rules that hit, the worst first."""
        order = sorted(self._collected.rules.items(), key=lambda item: (-item[1].severity, -item[1].count, item[0]))
        return [
            {
                "rule": _clean(id, 80),
                "severity": _severity(hits.severity),
                "description": _clean(self._rules.get(id, ""), 200),
                "count": hits.count,
                "verdicts": sorted(hits.verdicts.items()),
                "patterns": len({self._later.survivor(pattern) for pattern in hits.patterns}),
                "addresses": len(hits.addresses),
                "places": [self._place(*place) for place in hits.places],
                "last": self._place(*hits.last) if hits.count > len(hits.places) else None,
                "examples": [(self._place(e.source, e.line), excerpt(e.text, e.span)) for e in hits.examples],
            }
            for id, hits in order
        ]

    def _whys(self) -> list[dict[str, Any]]:
        """Each reason that came, with its examples route by route."""
        found = self._collected.reasons
        names = [*REASONS, *sorted({why for _, why in found} - set(REASONS))]
        return [
            {
                "why": why,
                "title": REASONS[why].title if why in REASONS else why,
                "meaning": REASONS[why].meaning if why in REASONS else "",
                "routes": [(route, found[route, why]) for route in ROUTES if found[route, why]],
                "examples": [
                    self._shown(e) for route in ROUTES for e in self._collected.examples.get((route, why), ())
                ],
            }
            for why in names
            if any(found[route, why] for route in ROUTES)
        ]

    def _bad(self) -> list[dict[str, Any]]:
        return [
            {
                "reason": FAULTS[reason].title if reason in FAULTS else reason,
                "meaning": FAULTS[reason].meaning if reason in FAULTS else "",
                "count": lines.count,
                "places": [self._place(*place) for place in lines.places],
                "more": lines.count - len(lines.places),
            }
            for reason, lines in sorted(self._collected.bad.items(), key=lambda item: (-item[1].count, item[0]))
        ]

    def _rates(self) -> list[float]:
        """Inputs a second in each stretch."""
        timing = self._collected.timing
        edges = timing.edges()
        return [
            (stop - start) / max(seconds, 1e-9)
            for start, stop, seconds in zip(edges, edges[1:], timing.column("seconds"), strict=False)
        ]

    def _speed(self) -> list[dict[str, str]]:
        edges = self._collected.timing.edges()
        return [
            {"inputs": _range(start, stop), "rate": f"{rate:,.0f}"}
            for start, stop, rate in zip(edges, edges[1:], self._rates(), strict=False)
        ]

    def _latency(self) -> list[dict[str, Any]]:
        """Quantiles of the microseconds of each route, and of all."""
        by_route: dict[str, Counter[float]] = {route: Counter() for route in (*ROUTES, "all")}
        for (route, us), count in self._collected.latency.items():
            by_route[route][us] += count
            by_route["all"][us] += count
        return [
            {
                "route": route,
                "count": sum(times.values()),
                "quantiles": [f"{_quantile(times, share):g}" for share in _QUANTILES],
                "slowest": f"{max(times):g}",
            }
            for route, times in by_route.items()
            if times
        ]

    def _courses(self) -> list[dict[str, Any]]:
        """The channels of sensors that are drawn: those with most anomalies, and then the first."""
        found = sorted(self._collected.courses.items(), key=lambda item: -item[1].marked)
        several = len({sensor for (sensor, _), _ in found}) > 1
        made = []
        for number, ((sensor, channel), course) in enumerate(found[:_DRAWN]):
            whose = f" of {_clean(ending(sensor, 60), 60)}" if several else ""
            rows = [
                {
                    "inputs": f"{start + 1:,} to {end:,}",
                    "least": "" if row is None else f"{row[0]:g}",
                    "largest": "" if row is None else f"{row[1]:g}",
                    "unusual": sum(start <= place < end for place, _ in course.marks),
                }
                for start, end, row in zip(course.edges(), course.edges()[1:], course.rows, strict=False)
            ]
            name = _clean(channel, 60)
            caption = f"{name}{whose} over the inputs, least and largest; circles are unusual."
            made.append(
                {"name": f"course{number}", "channel": name, "caption": caption, "rows": rows, "course": course}
            )
        return made

    def _plots(self, draw: Plots) -> dict[str, Any]:
        from markupsafe import Markup

        stream = self._collected.routes
        edges = stream.edges()
        columns = {name: stream.column(name) for name in stream.columns}
        cumulated = [sum(columns["new"][: i + 1]) for i in range(len(columns["new"]))]
        what = f"over {self._total:,} inputs in stretches of {stream.width:,}"
        bins, histogram = _histogram(self._collected.latency)
        drawn = {
            "routes": draw.shares(
                "routes",
                f"Share of each route {what}",
                edges,
                {route: columns[route] for route in ROUTES},
            ),
            "new": draw.steps(
                "new", f"Number of new patterns so far, {what}", edges, cumulated, "novel", "new patterns"
            ),
            "danger": draw.bars(
                "danger", f"Inputs that a danger rule hit, {what}", edges, columns["danger"], "danger", "inputs"
            ),
            "speed": draw.steps("speed", f"Inputs a second {what}", edges, self._rates(), "ink", "inputs a second"),
            "latency": draw.spread("latency", "Inputs by microseconds of decision, by route", bins, histogram),
        }
        if not sum(columns["danger"]):
            del drawn["danger"]
        often = self._patterns()[:_SPANS]
        if len(often) > 1 and self._summary.chapters:
            drawn["spans"] = draw.spans(
                "spans",
                f"From where to where each of the {len(often)} most frequent patterns came",
                [(f"{id}", kept.example.n, kept.last) for id, kept in often],
                [one["first"] for one in self._summary.chapters][1:],
                max(2, self._total),
            )
        for one in self._courses():
            course = one["course"]
            if course.rows:
                drawn[one["name"]] = draw.course(
                    one["name"], one["caption"], course.edges(), course.rows, course.marks, one["channel"][:_AXIS]
                )
        return {name: Markup(svg) for name, svg in drawn.items()}


def _intents(told: Any) -> dict[str, Any]:
    """The figures of a router of intents in words."""
    shares = ("right", "turned_away", "out_of_scope_recall")
    rows = sorted((row for row in told["intents"] if row["inputs"]), key=lambda row: (row["f1"] or 0.0, row["intent"]))
    keys = ("precision", "recall", "f1")
    return (
        {key: told[key] for key in ("in_scope", "out_of_scope", "served")}
        | {key: _decimal(told[key]) for key in shares}
        | {
            "macro": {key: _decimal(told["macro"][key]) for key in keys},
            "rows": [
                row | {key: _decimal(row[key]) for key in keys} | {"intent": _clean(row["intent"], 60)}
                for row in rows[:_LABELS]
            ],
            "more_rows": max(len(rows) - _LABELS, 0),
            "confusions": [
                (_clean(one["label"], 60), _clean(one["taken for"], 60), one["times"]) for one in told["confusions"]
            ],
        }
    )


def _decimal(share: float | None) -> str:
    return "\u2013" if share is None else f"{share if share == 1 else min(share, 0.999):.3f}"


def _in_force(brain: Sophia) -> Settings:
    """The settings with what was found before birth: more may be asked for before a log line is handled by reflex."""
    return brain.settings.with_changes(reflex_confidence=brain.thalamus.hot_path.reflex_from("line"))


def _stretches(line: Timeline) -> list[dict[str, Any]]:
    """The rows of a timeline for its table."""
    edges = line.edges()
    total = 0.0
    rows = []
    for start, stop, row in zip(edges, edges[1:], line.rows, strict=False):
        values = dict(zip(line.columns, row, strict=True))
        total += values["new"]
        rows.append(
            {"inputs": _range(start, stop), "new_so_far": f"{total:,.0f}"}
            | {name: f"{value:,.0f}" for name, value in values.items()}
            | {f"{route}_share": f"{100 * values[route] / max(stop - start, 1):.1f} %" for route in ROUTES}
        )
    return rows


def _histogram(latency: Counter[tuple[str, float]]) -> tuple[list[float], dict[str, Sequence[float]]]:
    """Ten bins a decade, from the quickest to the slowest."""
    places = {us: floor(10 * log10(max(us, 0.1)) + 1e-9) for _, us in latency}
    low, high = min(places.values()), max(places.values())
    parts: dict[str, list[float]] = {route: [0.0] * (high - low + 1) for route in ROUTES}
    for (route, us), count in sorted(latency.items()):
        parts[route][places[us] - low] += count
    return [10 ** (place / 10) for place in range(low, high + 2)], {
        route: values for route, values in parts.items() if any(values)
    }


def _quantile(times: Counter[float], share: float) -> float:
    wanted, seen = share * sum(times.values()), 0
    for us in sorted(times):
        seen += times[us]
        if seen >= wanted:
            return us
    return 0.0


def _severity(value: float) -> str:
    """The name of the highest level that `value` reaches."""
    return max((level, name) for name, level in SEVERITIES.items() if level <= max(value, 0.25))[1]


def _range(start: int, stop: int) -> str:
    return f"{start + 1:,}\u2013{stop:,}"


def _clean(text: str, length: int) -> str:
    """A short text from outside: secrets masked, all visible, cut."""
    return "".join(part.text for part in excerpt(text[: 4 * length], width=length))


def _file(name: str) -> str:
    """The last part of a path; standard input by its name."""
    return "standard input" if name == "-" else os.path.basename(name) or name  # noqa: PTH119 (a name, no path)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("bytes", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.1f} GB"


def _version() -> str:
    import sophia

    return sophia.__version__
