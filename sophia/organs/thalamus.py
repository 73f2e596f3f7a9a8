# Over 600 lines: one class, whose parts share the state of the hot path and what is to be kept of it.
"""The Thalamus: routes each input to the level of thought that it deserves.

A plain class around the compiled hot path. It owns the routing state (patterns, familiarity, exact cache, danger
rules) and knows nothing of stores: what must be kept is handed out as `Changes`.
"""

from __future__ import annotations

import json
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sophia._core.cuckoo import GenerationalFilter
from sophia._core.decision import Decision, set_alarm, set_moments
from sophia._core.encode import TextEncoder
from sophia._core.idf import IdfTable
from sophia._core.normaliser import VERSION as NORMAL_FORM
from sophia._core.pattern import PatternTable
from sophia._core.reflex import ReflexCache
from sophia._core.rhythm import Alarm, RhythmTable
from sophia._core.salience import Scale
from sophia._core.thalamus import HotPath
from sophia.config import Settings
from sophia.errors import StoreCorrupt
from sophia.organs.audit import Audit
from sophia.organs.batch import Columns
from sophia.organs.danger import RuleSet
from sophia.organs.masks import Masks
from sophia.organs.moments import DATED, Moments
from sophia.organs.suspicion import trained
from sophia.store.changes import NOTHING, Answer, Answers, Changes
from sophia.store.derived import KINDS, NAMES, replay
from sophia.store.drift_table import DriftTable

if TYPE_CHECKING:
    from sophia.organs.intents import Intents
    from sophia.organs.remembering import Remembering
    from sophia.organs.sensors import Sensors
    from sophia.organs.sessions import Sessions
    from sophia.store.sensor_table import SensorTable
    from sophia.store.session_table import SessionTable

__all__ = ["CHANGE_LOG", "LOG_BYTES", "Growth", "Thalamus"]

# Bytes of familiarity changes kept between two commits; when they overflow, the store takes a full dump.
CHANGE_LOG = 1 << 20

# Bytes of a derived table's log from which on a dump replaces it: replaying more would make opening slow.
LOG_BYTES = 1 << 20
_LARGEST_LOG = 1 << 24  # of one whose dumps are larger


_UNREAD = float("nan")  # a time that an input names, and that cannot be read
_ALARMED = 0.75  # the urgency of an input at which an alarm was raised

_SOURCES = 4096  # keys that are kept at hand

# Alarms that wait to be asked for; `sophia run` asks after each batch.
_WAITING = 1 << 15  # more than one batch can raise: one for each pattern in each source, as long as it is silent


class _Times(NamedTuple):
    """Of a batch: where each input comes from, what the store knows that by, and when it was."""

    sources: list[str]
    keys: list[str]
    moments: list[float | None]


class Growth(Protocol):
    """What a Thalamus tells of its decisions until the brain is born: see :mod:`sophia.gestation`."""

    stage: str
    chapter: dict[str, Any] | None
    inputs: int
    birth: dict[str, Any] | None
    words: IdfTable
    drift: DriftTable

    @property
    def gestating(self) -> bool:
        """Whether it is not born yet."""

    @property
    def crystalline(self) -> bool:
        """Whether it learns no more."""

    @property
    def due(self) -> bool:
        """Whether it is to be born now."""

    def need(self, inputs: int | None, seconds: float | None) -> None:
        """Changes what birth needs."""

    def look(self, now: float) -> None:
        """Counts the time that has passed."""

    def parts(self, columns: Columns) -> Iterator[Columns]:
        """A batch in pieces, cut where it may be born."""

    def observe(self, decisions: Sequence[Decision]) -> None:
        """Takes decisions in order."""

    def bear(self, now: float, run: int, patterns: int) -> None:
        """It is born."""

    def scales(self) -> Iterator[tuple[str, Scale, float]]:
        """By kind of input what it is measured by after birth, and the least confidence for a reflex."""

    def freeze(self, *, frozen: bool) -> None:
        """Learns no more, or learns again."""

    def changes(self) -> tuple[str | None, dict[str, Any] | None]:
        """Its state, where it is another one, and a new chapter."""


class Thalamus:
    """Routing state and the hot path over it. Not thread-safe; :class:`sophia.Sophia` holds the lock.

    With `keep_changes` what was learned is kept for `take_changes`, to be called often. `recall` finds an answer that
    was handed out so, by key, policy and time; it is asked when the cache could not hold all of them. `audit` checks
    served answers; without one, none is drawn. `remembering` remembers inputs, and is asked what they are like.
    `gestation` observes until the brain is born; without one it was born long ago.
    """

    def __init__(
        self,
        settings: Settings,
        rules: RuleSet,
        *,
        run: int = 1,
        patterns: PatternTable | None = None,
        familiar: GenerationalFilter | None = None,
        idf: IdfTable | None = None,
        sessions: SessionTable | None = None,
        sensors: SensorTable | None = None,
        rhythms: RhythmTable | None = None,
        recall: Callable[[bytes, str, float], Answer | None] | None = None,
        keep_changes: bool = False,
        audit: Audit | None = None,
        remembering: Remembering | None = None,
        gestation: Growth | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self.settings = settings
        self._masks = None if settings.mask in ("auto", "none") else Masks.load(settings.mask)
        self.remembering = remembering
        self.gestation = gestation
        self.rules = rules
        self.patterns = (
            patterns if patterns is not None else PatternTable(settings.pattern_capacity, masks=settings.mask != "none")
        )
        self.familiar = (
            familiar
            if familiar is not None
            else GenerationalFilter(
                settings.familiar_capacity, seed=settings.seed, track_changes=CHANGE_LOG if keep_changes else 0
            )
        )
        self.idf = idf if idf is not None else IdfTable(seed=settings.seed)
        self.cache = ReflexCache(settings.cache_bytes, settings.cache_entries) if settings.cache else None
        self.policy_version = _policy_version(settings, rules, self._masks)
        self.audit = audit if audit is not None else Audit(settings.with_changes(audit=0.0))
        self._clock = clock
        self._keep_changes = keep_changes
        # What has no dump yet gets one with its first change: a log alone would not say what its hashes are keyed with.
        self._dump_sizes: dict[str, int] = {}
        self._log_sizes = {name: 0 if name == "familiar" else LOG_BYTES for name in NAMES}
        self.rhythms = RhythmTable(track=keep_changes) if rhythms is None else rhythms
        self._alarms: deque[Alarm] = deque(maxlen=_WAITING)
        self._latest: dict[str, float] = {}  # the event time of each source, as far as it names one
        self.moments = Moments()
        self.timed = 0
        """Inputs since it was made of which the time is known."""
        self._keys: dict[str, str] = {}
        self._told_tally = ""
        self._given = _Given(recall, self.policy_version, clock)
        self._intents: Intents | None = None
        self._session_table = sessions
        self._sessions: Sessions | None = None
        self._sensor_table = sensors
        self._sensors: Sensors | None = None
        self.hot_path = HotPath(
            patterns=self.patterns,
            familiar=self.familiar,
            recall=None if recall is None else self._given,
            clock=clock,
            run=run,
            encoder=TextEncoder(seed=self.idf.seed, idf=self.idf) if settings.vectors else None,
            reshape=None if self._masks is None else self._masks.apply,
            audit=self.audit,
            cache=self.cache,
            policy_version=self.policy_version,
            **_policy(settings, rules),
        )
        self.hot_path.gestating = self.gestating
        self._use_scales()
        self.hot_path.frozen = gestation is not None and gestation.crystalline

    def apply(
        self,
        settings: Settings,
        rules: RuleSet,
        answers: Sequence[Answer] = (),
        *,
        complete: bool = True,
    ) -> None:
        """Decides by these from the next batch on, or, where they cannot be taken, as before. Stored answers are served
        under their own policy only: `answers` are those of the new one, or, if not `complete`, some."""
        version = self.version_of(settings, rules)
        cache, same = self.cache, version == self.policy_version
        if not same and settings.cache:
            cache = ReflexCache(settings.cache_bytes, settings.cache_entries)
        self.hot_path.use_policy(cache=cache, policy_version=version, **_policy(settings, rules))
        self.settings, self.rules, self.cache, self.policy_version = settings, rules, cache, version
        self._given.policy = version
        self._use_scales()
        if not same and cache is not None:
            given = {one.key: one for one in self._given.answers if one.counts_under(version)}
            newest = [given.pop(one.key, one) for one in answers] + list(given.values())
            self.load_answers(newest, complete=complete)

    def version_of(self, settings: Settings, rules: RuleSet) -> str:
        """The policy version that these have here."""
        return _policy_version(settings, rules, self._masks)

    def route_batch(self, columns: Columns, n: int) -> list[Decision]:
        """Decisions for a batch, as if its inputs had come one at a time; numbered from `n`.

        An answer that came with an input is stored if the input is allowed.
        """
        gestation = self.gestation
        if gestation is None or not gestation.gestating:
            return self._route_batch(columns, n)
        _check(columns)  # before a part of it is learned
        gestation.look(self._clock())
        self._bear_if_due(gestation)
        decisions: list[Decision] = []
        for part in gestation.parts(columns):  # the first one ends where the birth comes
            some = self._route_batch(part, n + len(decisions))
            decisions += some
            if gestation.gestating:
                gestation.observe(some)
                self._bear_if_due(gestation)
        return decisions

    @property
    def frozen(self) -> bool:
        """Whether it learns nothing."""
        return bool(self.hot_path.frozen)

    @property
    def crystalline(self) -> bool:
        """Whether the brain has been told to learn no more."""
        return self.gestation is not None and self.gestation.crystalline

    def crystallise(self, commit: Callable[[], None]) -> None:
        """Learns nothing from now on; `commit` makes durable what was learned, and this."""
        if self.gestation is not None:
            self.gestation.freeze(frozen=True)
        try:
            commit()
        except BaseException:
            self.liquefy()
            raise
        self.hot_path.frozen = True

    def liquefy(self) -> None:
        """Learns again."""
        if self.gestation is not None:
            self.gestation.freeze(frozen=False)
        self.hot_path.frozen = False

    @property
    def gestating(self) -> bool:
        """Whether the brain is not born yet."""
        return self.gestation is not None and self.gestation.gestating

    def _bear_if_due(self, gestation: Growth) -> None:
        if gestation.due:
            gestation.bear(self._clock(), self.hot_path.run, len(self.patterns))
            self.hot_path.gestating = False
            self._use_scales()

    def _use_scales(self) -> None:
        """From birth on inputs are measured by what is usual; that may only ask for more before a reflex."""
        for kind, scale, confident in () if self.gestation is None else self.gestation.scales():
            self.hot_path.born(kind, scale, max(self.settings.reflex_confidence, confident))

    def _route_batch(self, columns: Columns, n: int) -> list[Decision]:
        c = columns
        decisions = self.hot_path.route_batch(
            c.texts, n, c.scopes, c.contexts, c.answers, c.stamps, c.names, c.lines, c.faults
        )
        times = None if c.sources is None and c.stamps is None else self._read_times(decisions, c)
        if self.frozen:
            if c.sessions is not None:
                self.sessions.follow(decisions, c.sessions)
            if c.samples is not None:
                self.sensors.follow(decisions, c.samples, frozen=True)
            return decisions
        if times is not None:
            self._follow_rhythms(decisions, times)
        if c.answers is not None and self._keep_changes:
            for decision, answer in zip(decisions, c.answers, strict=True):
                kept = None if answer is None else self._answer(decision, answer)
                if kept is not None:
                    self._given.answers.append(kept)
        if c.sessions is not None:
            self.sessions.follow(decisions, c.sessions)
        if c.samples is not None:
            self.sensors.follow(decisions, c.samples)
        if self.remembering is not None:
            self.remembering.follow(decisions, c.answers)
            if not self._keep_changes:
                self.remembering.take()
        return decisions

    def _read_times(self, decisions: list[Decision], columns: Columns) -> _Times:
        """Where the inputs come from, and their event times, of which the decisions are told."""
        # Batches of several inputs that were put together have no source where one of them had none.
        sources = [""] * len(decisions) if columns.sources is None else [source or "" for source in columns.sources]
        keys = list(map(self._key, sources))
        moments = list(self._moments(columns, keys))
        named, lines = moments, columns.lines
        if lines is not None and None in moments:
            named = [
                self._named(columns, i) if line and moment is None else moment
                for i, (line, moment) in enumerate(zip(lines, moments, strict=True))
            ]
        set_moments(decisions, keys, named, DATED, self._latest)
        return _Times(sources, keys, moments)

    def _named(self, columns: Columns, i: int) -> float | None:
        """Of a line whose time was not read: None where it names none."""
        text = columns.texts[i]
        stamped = columns.stamps is not None and columns.stamps[i] is not None
        return _UNREAD if stamped or (text is not None and self.moments.names_time(text)) else None

    def _follow_rhythms(self, decisions: list[Decision], times: _Times) -> None:
        """Puts decisions into the rhythm of their patterns, by the times of their inputs; one at which its pattern came
        too often is urgent. A pattern that became another's comes no more, and is no silence."""
        sources, keys, moments = times
        self.timed += len(moments) - moments.count(None)
        patterns = [decision.pattern for decision in decisions]  # None is a sign of life of its source
        start = 0
        for end, loser in [*self.hot_path.merges, (len(moments), None)]:
            found = self.rhythms.observe_many(
                keys[start:end], patterns[start:end], moments[start:end], alarming=not self.gestating
            )
            for i, alarm in found:
                decision = decisions[start + i]
                if alarm.kind == "rate":
                    set_alarm(decision, _ALARMED)
                template = self._template(alarm.pattern)
                self._alarms.append(alarm._replace(source=sources[start + i], n=decision.n, template=template))
            start = end
            if loser is not None:
                self.rhythms.forget({loser})

    def _moments(self, columns: Columns, keys: Sequence[str]) -> Iterator[float | None]:
        """The event time of each input: its stamp, or what a line begins with."""
        lines, stamps = columns.lines, columns.stamps
        of_stamp, of_line = self.moments.of_stamp, self.moments.of_line
        for i, text in enumerate(columns.texts):
            stamp: object = None if stamps is None else stamps[i]
            if isinstance(stamp, str):
                yield of_stamp(stamp)
            elif isinstance(stamp, datetime):
                yield (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
            elif isinstance(stamp, int | float):
                yield of_stamp(f"{stamp:.9f}" if isinstance(stamp, float) else str(stamp))
            elif text and lines is not None and lines[i]:
                yield of_line(keys[i], text)
            else:
                yield None

    def _key(self, source: str) -> str:
        """What the store knows a source by: nobody can read its name there."""
        key = self._keys.get(source)
        if key is None:
            from hashlib import blake2b

            if len(self._keys) >= _SOURCES:
                self._keys.clear()
            seed = self.settings.seed.to_bytes(8, "little")
            key = blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8, key=seed).hexdigest()
            self._keys[source] = key
        return key

    def _template(self, pattern: int) -> str | None:
        try:
            return self.patterns.template(pattern) if pattern else None
        except KeyError:
            return None

    def take_alarms(self) -> list[Alarm]:
        """Alarms since the last call, the last 4,096 of them."""
        alarms = list(self._alarms)
        self._alarms.clear()
        return alarms

    def route(self, text: str, n: int, scope: str | None, context: str | None, line: bool) -> Decision:
        """One decision, as :meth:`route_batch` makes it."""
        gestation = self.gestation
        if gestation is not None and gestation.gestating:
            gestation.look(self._clock())
            self._bear_if_due(gestation)
        decision = self.hot_path.route(text, n, scope, context, line)
        if gestation is not None and gestation.gestating:
            gestation.observe([decision])
            self._bear_if_due(gestation)
        if self.remembering is not None:
            self.remembering.follow([decision], None)
            if not self._keep_changes:
                self.remembering.take()
        return decision

    @property
    def sessions(self) -> Sessions:
        """The sessions that inputs are said to belong to; made when there is a first one."""
        if self._sessions is None:
            from sophia.organs.sessions import Sessions

            self._sessions = Sessions(
                self.settings, self.hot_path.run, self.audit.claim, self._session_table, track=self._keep_changes
            )
        return self._sessions

    @property
    def has_sessions(self) -> bool:
        """Whether any input was said to belong to one, now or in what was loaded."""
        return self._sessions is not None or self._session_table is not None

    @property
    def sensors(self) -> Sensors:
        """The sensors of which inputs are samples; made when there is a first one."""
        if self._sensors is None:
            from sophia.organs.sensors import Sensors

            self._sensors = Sensors(self.settings, self.audit.claim, self._sensor_table, track=self._keep_changes)
        return self._sensors

    @property
    def has_sensors(self) -> bool:
        """Whether any input was a sample, now or in what was loaded."""
        return self._sensors is not None or self._sensor_table is not None

    @property
    def intents(self) -> Intents | None:
        """The router that the next batch is judged with, or None."""
        return self._intents

    def use(self, intents: Intents | None) -> None:
        """Judges with this router from the next batch on, or with none. One step, from any thread: no decision, and
        no batch, sees two. Stored answers stay: they rest on identical text, not on a route."""
        self.hot_path.use(None if intents is None else intents.model)
        self._intents = intents

    def complete(self, decision: Decision, answer: str) -> bool:
        """Stores the answer that the expensive step gave. False where nothing may be stored.

        That is so for a text that is not allowed, cannot be read or is too long, and for a decision that was
        made under another policy: its danger scan says nothing about today's rules.
        """
        kept = self._answer(decision, answer)
        if kept is None or decision.policy_version != self.policy_version:
            return False
        self.hot_path.store_answer(kept.key, kept.raw, answer, kept.name, kept.expires)
        if self._keep_changes:
            self._given.answers.append(kept)
        if self.remembering is not None:
            self.remembering.complete(decision, answer)
            if not self._keep_changes:
                self.remembering.take()
        return True

    def answer_key(self, decision: Decision) -> bytes | None:
        """What inputs that may share an answer have in common; None for one that shares with none."""
        if decision.text is None or decision.verdict != "allow" or decision.why in _UNREADABLE:
            return None
        return self.hot_path.key(decision.text, decision.scope, decision.context, decision.kind == "line")

    def count_audit(self, *, agrees: bool) -> None:
        """Counts a comparison made outside of the hot path; it may end the serving of answers."""
        self.audit.count(agrees)
        self.hot_path.answers_off = self.audit.off

    def resume_answers(self) -> None:
        """Answers are served again, and the audit counts from nothing."""
        self.audit.resume()
        self.hot_path.answers_off = False

    def reject(self, decision: Decision) -> None:
        """Undoes a wrong decision: un-caches its answer, makes its pattern unfamiliar, takes back the sighting.

        Where the decision is an audit that waits for its answer, this is a difference.
        """
        if self.audit.claim(decision):
            self.count_audit(agrees=False)
        if self.hot_path.reject(decision) and self._keep_changes and decision.text is not None:
            key = self.hot_path.key(decision.text, decision.scope, decision.context, decision.kind == "line")
            self._given.answers.append(Answer(key, b"", None, decision.id, decision.policy_version, 0.0))

    def load_answers(self, answers: list[Answer], *, complete: bool) -> None:
        """Fills the cache from a store, the last one the most recent; `complete` says that these are all."""
        self.hot_path.ask_store = not complete
        for answer in answers:
            if answer.text is not None:
                self.hot_path.store_answer(answer.key, answer.raw, answer.text, answer.name, answer.expires)

    def take_changes(self) -> Changes:
        """What was learned since the last call; nothing where changes are not kept."""
        if not self._keep_changes:
            return NOTHING
        logs, dumps = {}, {}
        for name in self._names():
            log = KINDS[name].changes(self._table(name))
            # None: more than the log between two calls could hold, or a table without one.
            if log is None or (log and self._logged(name, len(log))):
                dumps[name] = self.dump(name)
            elif log:
                logs[name] = log
        if self.gestation is not None and self.gestation.chapter is not None and "words" not in dumps:
            dumps["words"] = self.dump("words")  # whole, and never changed again: a damaged log costs nothing of it
            logs.pop("words", None)
        audit = self.audit.changes(self.hot_path.served)
        made, let_go = ([], 0) if self.remembering is None else self.remembering.take()
        life, chapter = (None, None) if self.gestation is None else self.gestation.changes()
        changes = Changes(
            self._given.answers,
            self.patterns.changes(),
            logs,
            dumps,
            audit,
            life,
            () if chapter is None else (chapter,),
            self._tally(),
            made,
            let_go,
        )
        self._given.answers = Answers()
        return changes

    def count_log(self, name: str, size: int) -> None:
        """Tells how long a derived table's log already is."""
        self._log_sizes[name] = size

    def _logged(self, name: str, size: int) -> bool:
        """Adds to the length of a log; True when it is time for a dump, which starts the log anew."""
        self._log_sizes[name] += size
        # A large table is not written anew for a log that is small beside it.
        if self._log_sizes[name] <= max(LOG_BYTES, self._dump_sizes.get(name, 0)):
            return False
        self._log_sizes[name] = 0
        return True

    def dump(self, name: str) -> bytes:
        """A whole derived table, by its name in the store."""
        dump: bytes = self._table(name).dump()
        if name == "sensors":
            self._dump_sizes[name] = min(len(dump), _LARGEST_LOG)
        return dump

    def dumps(self) -> dict[str, bytes]:
        """All derived tables that hold something."""
        return {name: self.dump(name) for name in self._names()}

    def load_tally(self, text: str) -> None:
        """Goes on from what `Changes.tally` told. StoreCorrupt where that cannot be."""
        try:
            told = json.loads(text)
            moments = Moments(told["moments"])
            self.hot_path.tally = told
        except (ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError) as error:
            message = f"the counts of rules cannot be read ({error})"
            raise StoreCorrupt(message) from error
        self.moments = moments

    def replay(self, name: str, changes: bytes) -> None:
        """Applies one logged change of a derived table."""
        replay(name, self._table(name), changes)

    def _table(self, name: str) -> Any:
        if name == "sessions":
            return self.sessions.table
        if name == "sensors":
            return self.sensors.table
        if name in ("words", "drift"):
            return getattr(self.gestation, name)
        return {"familiar": self.familiar, "idf": self.idf, "rhythms": self.rhythms}[name]

    def _names(self) -> list[str]:
        """The derived tables that there are."""
        missing = ["sessions"] * (not self.has_sessions) + ["sensors"] * (not self.has_sensors)
        missing += ["words", "drift"] * (self.gestation is None)
        return [name for name in NAMES if name not in missing]

    def _tally(self) -> str | None:
        """How often danger rules hit, and where event times stand, where that is not what was last handed out."""
        text = json.dumps({**self.hot_path.tally, "moments": self.moments.state()}, separators=(",", ":"))
        if text == self._told_tally:
            return None
        self._told_tally = text
        return text

    def _answer(self, decision: Decision, answer: str) -> Answer | None:
        """The answer as it is stored, or None where nothing may be."""
        key = self.answer_key(decision)
        if key is None or decision.text is None:
            return None
        expires = self._clock() + self.settings.ttl if self.settings.ttl else 0.0
        return Answer(key, decision.text.encode(), answer, decision.id, decision.policy_version, expires)


class _Given:
    """Answers that wait for `take_changes`. Called with a key, finds the last one under it, here or where they went.

    No part of the Thalamus: the hot path calls it, and the two would keep each other in memory.
    """

    def __init__(
        self, recall: Callable[[bytes, str, float], Answer | None] | None, policy: str, clock: Callable[[], float]
    ) -> None:
        self.answers = Answers()
        self._recall = recall
        self.policy = policy
        self._clock = clock

    def __call__(self, key: bytes) -> tuple[bytes, str, str, float] | None:
        found = self.answers.latest(key)
        if found is not None and not found.counts_under(self.policy):
            found = None
        if found is None and self._recall is not None:
            found = self._recall(key, self.policy, self._clock())
        return None if found is None or found.text is None else (found.raw, found.text, found.name, found.expires)


def _check(columns: Columns) -> None:
    """TypeError or UnicodeEncodeError for a column that the hot path could not take."""
    for name, values in (
        ("text", columns.texts),
        ("scope", columns.scopes),
        ("context", columns.contexts),
        ("answer", columns.answers),
        ("id", columns.names),
    ):
        for value in values or ():
            if value is not None and not isinstance(value, str):
                message = f"a {name} must be str or None, not {type(value).__name__}; decode bytes first"
                raise TypeError(message)
            if value is not None and name != "text":
                value.encode()


_UNREADABLE = ("invalid", "empty", "too-long")


def _policy(settings: Settings, rules: RuleSet) -> dict[str, Any]:
    """What the hot path decides by."""
    danger = settings.on_danger
    return {
        "literals": rules.literals,
        "scan": rules.scan_many,
        "message_danger": "veto" if danger == "auto" else danger,
        "message_alarm": "flag" if danger == "auto" else danger,
        "line_danger": "flag" if danger == "auto" else danger,
        "message_reflex": settings.reflex_messages,
        "line_reflex": settings.reflex_lines,
        "max_chars": settings.max_chars,
        "ttl": settings.ttl,
        "reflex_confidence": settings.reflex_confidence,
        "cortical_confidence": settings.cortical_confidence,
        "complex_limit": settings.complex_limit,
        "suspect": trained if settings.danger_score < 1.0 else None,
        "message_suspicion": settings.danger_score,
    }


def _policy_version(settings: Settings, rules: RuleSet, masks: Masks | None) -> str:
    """Names everything that a stored answer depends on: rules, normal form, Unicode tables, settings."""
    from hashlib import blake2b

    parts = [rules.version, str(NORMAL_FORM), unicodedata.unidata_version, settings.decision_text()]
    parts += [] if masks is None else masks.patterns
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()
