"""Questions in plain English that templates over the chronicle can answer; of others it says that they cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from sophia.errors import ConfigError
from sophia.store.views import NAMED, ROUTES, SEEN

__all__ = ["EXAMPLES", "MOST", "Question", "understood"]

EXAMPLES = (
    "what was new after 14:00?",
    "what was dangerous today?",
    "what came most often in the last 3 hours?",
    "what happened yesterday?",
    "how many inputs were there on 2026-11-30?",
    "how many calls were avoided this week?",
    "what fell silent?",
    "which alarms were there between 09:00 and 12:00?",
    "what was slow today?",
    "what deserves attention since 2026-11-30 14:00?",
)

MOST = 50
"""Rows of an answer. A query gives one more where there are more."""

_LONGEST = 500


class Question(NamedTuple):
    """What was understood, in words; and the query that answers it."""

    words: str
    sql: str


class _Span(NamedTuple):
    """A stretch of time; None where it has no end."""

    start: datetime | None
    end: datetime | None

    def holds(self, column: str) -> str:
        """The condition that a column lies in it, in SQL."""
        ends = (">=", self.start), ("<", self.end)
        return " AND ".join([f"{column} {sign} {_literal(at)}" for sign, at in ends if at is not None]) or "TRUE"

    @property
    def words(self) -> str:
        if self.start is None and self.end is None:
            return "in all that is kept"
        start = "" if self.start is None else f" from {_spoken(self.start)}"
        return (start + ("" if self.end is None else f" until {_spoken(self.end)}")).strip()


class _Topic(NamedTuple):
    """Words that ask for it, and what is asked then, of a span."""

    asked_by: frozenset[str]
    words: str
    sql: Callable[[_Span], str]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _new(span: _Span) -> str:
    return (
        "SELECT seen, source, line, decisions, template FROM first_seen "
        f"WHERE was_first IS NOT FALSE AND {span.holds('seen')} ORDER BY seen DESC, pattern DESC LIMIT {MOST + 1}"
    )


def _danger(span: _Span) -> str:
    return (
        f"SELECT rule, max(severity) AS severity, count(*) AS inputs, min({SEEN}) AS first, max({SEEN}) AS last, "
        f"arg_max(source, {SEEN}) AS source, arg_max(line, {SEEN}) AS line FROM decisions "
        f"WHERE rule IS NOT NULL AND {span.holds(SEEN)} GROUP BY rule ORDER BY severity DESC, inputs DESC, rule "
        f"LIMIT {MOST + 1}"
    )


def _often(span: _Span) -> str:
    return (
        f"SELECT root AS pattern, count(*) AS inputs, any_value(template) AS template FROM {NAMED} "
        f"WHERE {span.holds(SEEN)} GROUP BY root ORDER BY inputs DESC, root LIMIT {MOST + 1}"
    )


def _happened(span: _Span) -> str:
    return (
        'SELECT coalesce(last_event, ended) AS ended, title, significance, inputs, "from", "to", danger, alarms, '
        f"new_patterns FROM chapters WHERE {span.holds('coalesce(last_event, ended)')} "
        f"ORDER BY id DESC LIMIT {MOST + 1}"
    )


def _counted(span: _Span) -> str:
    return f"SELECT count(*) AS inputs, {ROUTES} FROM decisions WHERE {span.holds(SEEN)}"


def _avoided(span: _Span) -> str:
    return (
        "SELECT count(answer) AS answered_from_memory, count(*) FILTER (route = 'reflex' AND answer IS NULL) AS "
        "reflex_without_answer, count(*) FILTER (route = 'deep_thought') AS deep_thought, count(*) AS inputs "
        f"FROM decisions WHERE {span.holds(SEEN)}"
    )


def _silent(span: _Span) -> str:
    return f"SELECT * FROM silence WHERE {span.holds('last')} LIMIT {MOST + 1}"


def _slow(span: _Span) -> str:
    return (
        "SELECT route, count(*) AS inputs, quantile_disc(us, .5) AS p50_us, quantile_disc(us, .99) AS p99_us, "
        f"max(us) AS max_us FROM decisions WHERE {span.holds(SEEN)} GROUP BY route ORDER BY p99_us DESC, route"
    )


def _attention(span: _Span) -> str:
    return (
        f"SELECT attention, {SEEN} AS seen, source, line, route, why FROM decisions "
        f"WHERE attention IS NOT NULL AND {span.holds(SEEN)} ORDER BY attention DESC, run, n LIMIT {MOST + 1}"
    )


def _alarms(span: _Span) -> str:
    at = "coalesce(noticed, decided)"
    return (
        f"SELECT {at} AS noticed, kind, a.source, pattern, since, usual, found, template FROM alarms a LEFT JOIN "
        "(SELECT p.id, r.template FROM patterns p JOIN patterns r ON r.id = coalesce(p.root, p.id)) ON id = pattern "
        f"WHERE {span.holds(at)} ORDER BY noticed DESC, run DESC, n DESC, pattern LIMIT {MOST + 1}"
    )


_TOPICS = (
    _Topic(_set("new novel unknown unseen"), "patterns that were first seen", _new),
    _Topic(
        _set("danger dangerous dangers refused vetoed veto flagged rule rules attack attacks"),
        "inputs that a danger rule hit",
        _danger,
    ),
    _Topic(_set("often frequent frequently common commonest top frequency"), "patterns by how often they came", _often),
    _Topic(
        _set("happened happen happens happening chapter chapters changed story"),
        "chapters that ended",
        _happened,
    ),
    _Topic(_set("avoided avoid saved save spared answered cached"), "calls that were avoided", _avoided),
    _Topic(_set("alarm alarms alarmed bursts burst"), "alarms of patterns that fell silent or came too often", _alarms),
    _Topic(_set("silent silence quiet missing stopped vanished"), "patterns that fell silent", _silent),
    _Topic(
        _set("slow slowest slower latency microseconds"),
        "how long decisions took (means of batches, in microseconds)",
        _slow,
    ),
    _Topic(_set("attention look salient salience urgent important interesting"), "inputs by attention", _attention),
    _Topic(_set("inputs input decisions decision lines messages routes route decided"), "inputs by route", _counted),
)
# What may stand beside: it asks for nothing by itself.
_BESIDE = _set(
    "what which who was were is are be been has have had did do the a an any all there it of in at on for "
    "me show tell list give please how many came come comes coming seen see kind kinds pattern patterns most "
    "deserves deserve worth fell fall gone went call calls that and so far "
    "ones things thing anything something everything"
)
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_CLOCK = r"(?P<clock>\d{1,2}:\d{2}(?::\d{2})?)"
_DATE = r"(?P<date>\d{4}-\d{2}-\d{2})"
_LIMITS = {"after": "start", "since": "start", "from": "start", "before": "end", "until": "end", "till": "end"}
_LIMIT = rf"\b(?P<word>{'|'.join(_LIMITS)}) (?=\d)(?:{_DATE}[ t]?)?{_CLOCK}?(?P<utc>z?)\b"
_BETWEEN = r"\bbetween (?=\d)(?P<day>\d{4}-\d{2}-\d{2}[ t]?)?(?P<from>[\d:z]*) and (?=\d)"
_NAMED = rf"\b(?:(?P<word>{'|'.join(_LIMITS)}) )?(?P<name>today|yesterday|this week|this hour)\b"
_LAST = r"\b(?:in|over|during|for) the last (?P<count>\d{1,6} )?(?P<unit>minute|hour|day|week)s?\b"


def understood(question: str, *, now: datetime, zone: tzinfo = UTC) -> Question:
    """The query that answers a question, and how it was understood. `now` and `zone` give words of time their meaning.

    One topic, and any number of words of time; ConfigError for all else, which says what was not understood.

        >>> asked = understood("What was new after 14:00?", now=datetime(2026, 11, 30, 18, tzinfo=UTC))
        >>> asked.words
        'patterns that were first seen from 2026-11-30 14:00:00 UTC'
        >>> understood("why is the sky blue?", now=datetime(2026, 11, 30, tzinfo=UTC))
        Traceback (most recent call last):
        sophia.errors.ConfigError: this cannot be answered from what was decided: 'why', 'sky', 'blue' ...
    """
    text = " ".join(question.lower().split())
    if len(text) > _LONGEST:
        message = f"a question of {len(text):,} characters; ask one in at most {_LONGEST}"
        raise ConfigError(message)
    try:
        span, rest = _time(text, now.astimezone(zone))
    except (ValueError, OverflowError) as error:
        message = f"the time in {question!r:.200} cannot be read ({error})"
        raise ConfigError(message) from error
    words = re.findall(r"[^\W_]+", rest)
    if odd := re.search(r"[^\w\s.,?'\"-]|\w-|-\w", rest):  # it may turn what is asked into its opposite
        words.append(odd[0])
    topics = [topic for topic in _TOPICS if topic.asked_by & set(words)]
    strange = [word for word in words if word not in _BESIDE and not any(word in topic.asked_by for topic in topics)]
    if len(topics) > 1 and topics[-1] is _TOPICS[-1]:  # "inputs" is said of all of them
        topics.pop()
    if strange or len(topics) != 1:
        raise _refused(strange, topics)
    if span.start is not None and span.end is not None and span.start >= span.end:
        message = f"the time in {question!r:.200} ends before it begins ({span.words})"
        raise ConfigError(message)
    topic = topics[0]
    try:
        return Question(f"{topic.words} {span.words}", topic.sql(span))
    except OverflowError as error:
        message = f"the time in {question!r:.200} is in no calendar"
        raise ConfigError(message) from error


def _refused(strange: list[str], topics: list[_Topic]) -> ConfigError:
    if strange:
        what = "this cannot be answered from what was decided: " + ", ".join(f"{word!r}" for word in strange[:5])
    elif topics:
        what = "this asks for several things at once: " + "; ".join(topic.words for topic in topics)
    else:
        what = "this asks for nothing that is known"
    return ConfigError(
        f"{what} ... What can be asked: " + " | ".join(EXAMPLES) + "; for all else there is `sophia weave --sql`"
    )


def _time(text: str, now: datetime) -> tuple[_Span, str]:
    """The span that the words of time say, and the text without them. ValueError where they say several."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    base = today  # the day that a clock is of
    spans: list[_Span] = []
    limits: dict[str, datetime] = {}

    def put(end: str, at: datetime) -> None:
        if end in limits:
            message = "it begins or ends twice; ask of one time at once"
            raise ValueError(message)
        limits[end] = at

    def between(found: re.Match[str]) -> str:
        # a time of day is of the day before it
        day = found["day"].rstrip(" t") + " " if found["day"] else ""
        alone = re.match(r"\d{1,2}:", text[found.end() :]) is not None
        return f"from {day}{found['from']} until {day if alone else ''}"

    def named(found: re.Match[str]) -> str:
        nonlocal base
        name, word = found["name"], found["word"]
        hour = now.replace(minute=0, second=0, microsecond=0)
        week = today - timedelta(days=today.weekday())
        start, end = {
            "today": (today, today + timedelta(days=1)),
            "yesterday": (today - timedelta(days=1), today),
            "this week": (week, week + timedelta(days=7)),
            "this hour": (hour, hour + timedelta(hours=1)),
        }[name]
        if name == "yesterday":
            base = start
        if word is None:
            spans.append(_Span(start, end))
        else:
            put(_LIMITS[word], end if word == "after" else start)
        return " "

    def on(found: re.Match[str]) -> str:
        nonlocal base
        base = _day(found["date"], now)
        spans.append(_Span(base, base + timedelta(days=1)))
        return " "

    def last(found: re.Match[str]) -> str:
        # Of the time that has gone by, whatever clocks were set to meanwhile.
        seconds = int(found["count"] or 1) * _UNITS[found["unit"]]
        spans.append(_Span((now.astimezone(UTC) - timedelta(seconds=seconds)).astimezone(now.tzinfo), now))
        return " "

    def limit(found: re.Match[str]) -> str:
        word, clock = found["word"], found["clock"]
        at = _day(found["date"], now) if found["date"] else base
        if found["utc"]:
            at = at.replace(tzinfo=UTC)
        if clock:
            hour, minute, second = (*map(int, clock.split(":")), 0)[:3]
            at = at.replace(hour=hour, minute=minute, second=second)
        elif word == "after":
            at += timedelta(days=1)
        put(_LIMITS[word], at.astimezone(now.tzinfo))
        return " "

    text = re.sub(_BETWEEN, between, text)
    for pattern, read in ((_NAMED, named), (rf"\bon {_DATE}\b", on), (_LAST, last), (_LIMIT, limit)):
        text = re.sub(pattern, read, text)
    if len(spans) > 1:
        message = "it says several spans; ask of one time at once"
        raise ValueError(message)
    starts = [at for at in (limits.get("start"), *(span.start for span in spans)) if at is not None]
    ends = [at for at in (limits.get("end"), *(span.end for span in spans)) if at is not None]
    return _Span(max(starts, default=None), min(ends, default=None)), text


def _day(text: str, now: datetime) -> datetime:
    year, month, day = map(int, text.split("-"))
    return now.replace(year=year, month=month, day=day, hour=0, minute=0, second=0, microsecond=0)


def _literal(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S.%f')}+00'"


def _spoken(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
