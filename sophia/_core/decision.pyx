"""Decisions: what they say, and the rule that makes them from evidence.

The rule is in ``include/salience.h``: danger, novelty, doubt and complexity may only raise the level of thought.
"""

cimport cython


ROUTES = ("reflex", "cortical", "deep_thought")
VERDICTS = ("allow", "flag", "veto")
WHYS = (
    "repeat", "known-pattern", "route", "novel", "danger", "low-confidence", "out-of-scope", "complex", "too-long",
    "empty", "invalid", "gestating", "error",
)
JUDGED = (None, "route", "low-confidence", "out-of-scope")
cdef enum:
    MOST_SOURCES = 4096
FAULTS = {None: 0, "too-long": SOPHIA_WHY_TOO_LONG, "empty": SOPHIA_WHY_EMPTY, "invalid": SOPHIA_WHY_INVALID}


# No part of the garbage collector: a decision holds texts, numbers and a hit, and nothing that it holds can hold it.
@cython.no_gc
@cython.final
@cython.freelist(512)
cdef class Decision:
    """What became of one input. Immutable; made by the hot path only.

    ``route`` is "reflex", "cortical" or "deep_thought"; ``why`` one of `WHYS`; ``verdict`` "allow", "flag" or
    "veto"; ``allowed`` is False under a veto, whatever the route. ``us`` is the time the input took, averaged
    over the batch that it came in; ``vector`` the input's memory vector where the brain makes them.

    ``audit`` is True for a served answer that was drawn to be checked: serve it, do the expensive step as well and
    call ``complete``. ``agrees`` says how that ended where the input brought an answer itself, else it is None.
    ``danger_score`` is how much the text sounds like an attack, where that could still raise the level of thought: at
    or over the limit the route is "deep_thought", with why "danger" and verdict "allow". It never refuses.

    ``withheld`` is True where an answer is stored but not given: answers are switched off (see
    `Settings.audit_budget`), the order of its session is new, or its sample unusual.

    With a model in use ``intent`` is the route that it takes, or None; ``confidence`` the probability that it is
    right; ``runner_up`` the best one that was not taken; ``model`` the model's version.

    ``anomaly`` is how unusual the sample of a sensor is, 0 to 1, by its channel ``channel`` (None where none is unusual
    at all); ``sensor`` names it. All are None for other inputs. From `Settings.sensor_alarm` on the route is
    "deep_thought"; ``resting`` is True where that was told of the sensor a short time ago, and is not told again.

    ``session`` is the session that the input was said to belong to, or None. ``session_novel`` holds the ids of the
    last patterns of that session where they had never come in this order before: the route is then "deep_thought",
    and a stored answer is withheld.

    What the decision rests on: ``earlier`` inputs of its pattern came before, in any scope and whatever became of them,
    ``earlier_same`` of them with the same words in every place that no mask covers; ``accepted`` and ``accepted_same``
    say how many of those were accepted in this scope, as far as that is counted (3 is three or more); ``closeness``
    is the share of the words that the pattern has too, 1.0 where ``accepted_same`` alone says most. A danger rule is
    decided before any of that is looked at: ``novelty`` is 1.0, and ``confidence``, ``accepted`` and ``accepted_same``
    are 0.
    """

    def __cinit__(self):
        # What nobody has decided yet is the expensive step, not an answer.
        self._route = SOPHIA_DEEP_THOUGHT
        self._why = SOPHIA_WHY_INVALID
        self._agrees = -1
        self._danger_score = -1.0

    def __init__(self):
        raise TypeError("decisions are made by routing a text, not by hand")

    @property
    def id(self):
        """The input's own id, or `run`.`n`: unique in a store."""
        return self._id if self._id is not None else f"{self._run}.{self.n}"

    @property
    def route(self):
        return ROUTES[self._route]

    @property
    def kind(self):
        """"message" (compared in its normal form) or "line" (compared as it stands)."""
        return "line" if self._line else "message"

    @property
    def why(self):
        return WHYS[self._why]

    @property
    def verdict(self):
        return VERDICTS[self._verdict]

    @property
    def allowed(self):
        """False when the caller must refuse: a danger rule vetoed the input."""
        return self._verdict != SOPHIA_VETO

    @property
    def pattern(self):
        """Stable id of the template that the text belongs to; None where the text could not be read, and for
        another writing of an answered text that fits none."""
        return self._pattern if self._pattern else None

    @property
    def match(self):
        """(id of the decision whose answer is served, 1.0); or, where the brain recalls, ("m" and the number of the
        memory of its scope that the text is most like, how much); or None."""
        if self._source is not None:
            return self._source, 1.0
        return None if self._like is None else (self._like, self._likeness)

    @property
    def agrees(self):
        """Whether the answer that this audited input brought is the one it was served; None where it brought none."""
        return None if self._agrees < 0 else self._agrees == 1

    @property
    def danger_score(self):
        """How much the text sounds like an attack, 0 to 1; None where the level of thought did not depend on it."""
        return None if self._danger_score < 0.0 else self._danger_score

    @property
    def anomaly(self):
        """How unusual the sample is, 0 to 1; None for what is none."""
        return None if self.sensor is None else self._anomaly

    @property
    def moment(self):
        """The time that the input names, in its `ts` or where a line of a log has it, in seconds since 1970 (what names
        no zone is UTC); of a line without one that of the line before it. None where there is none with a year, and
        where the input has neither a source nor a `ts`, as with `route`."""
        return self._moment if self._moment else None

    @property
    def k(self):
        return None

    @property
    def salience(self):
        """How much attention the input deserves, and why, as a :class:`sophia._core.salience.Salience`: measured by
        what was usual in the stream when the brain was born. None before that, and for a kind of input (message, line)
        of which nothing was observed then. About 1 us when it is first asked for."""
        if self._salience is None and self._scale is not None:
            self._salience = self._scale.of(self)
        return self._salience

    def salience_record(self):
        """`salience` as it stands in a record of `sophia run`, as JSON; "null" where there is none."""
        if self._scale is not None:
            return self._scale.record(self)
        if self._salience is None:
            return "null"
        return "{" + ", ".join(f'"{name}": {value:.4f}' for name, value in self._salience._asdict().items()) + "}"

    def to_dict(self):
        """The decision as the record of `sophia run` says it: a dict that json.dumps takes."""
        danger = self.danger
        record = {
            "n": self.n, "id": self.id, "ts": self.ts, "scope": self.scope, "route": self.route, "why": self.why,
            "verdict": self.verdict, "novelty": round(self.novelty, 4),
            "danger": None if danger is None else {
                "rule": danger.rule, "severity": danger.severity, "span": list(danger.span), "via": danger.via,
            },
            "pattern": self.pattern, "intent": self.intent, "confidence": round(self.confidence, 4),
            "runner_up": self.runner_up,
            "match": None if self.match is None else {"id": self.match[0], "score": round(self.match[1], 4)},
            "answer": self.answer,
            "k": None, "policy_version": self.policy_version, "us": round(self.us, 1),
            "audit": self.audit, "agrees": self.agrees, "withheld": self.withheld,
            "danger_score": None if self._danger_score < 0.0 else round(self._danger_score, 4),
            "salience": None if self.salience is None else {
                name: round(value, 4) for name, value in self.salience._asdict().items()
            },
        }
        if self.model is not None:
            record["model"] = self.model
        if self.sensor is not None:
            record |= {
                "sensor": self.sensor, "anomaly": round(self._anomaly, 4), "channel": self.channel,
                "resting": self.resting,
            }
        if self.session is not None:
            record["session"] = self.session
            record["session_novel"] = None if self.session_novel is None else list(self.session_novel)
        return record

    def __eq__(self, other):
        if not isinstance(other, Decision):
            return NotImplemented
        return self.__reduce__()[1] == other.__reduce__()[1]

    def __hash__(self):
        return hash((self._run, self.n, self.text))

    def __repr__(self):
        return (
            f"<Decision {self.id} {self.route} ({self.why}), {self.verdict}, novelty {self.novelty:.2f}, "
            f"confidence {self.confidence:.2f}>"
        )

    def __reduce__(self):
        return _rebuild, (
            self.n, self._id, self._run, self.text, self.scope, self.context, self.ts, self.danger, self.answer,
            self._source, self.novelty, self.confidence, self.complexity, self.us, self.policy_version,
            self._pattern, self._line, self._route, self._why, self._verdict, self.vector,
            self.audit, self._agrees, self.withheld, self.intent, self.runner_up, self.model, self._danger_score,
            self.earlier, self.earlier_same, self.accepted, self.accepted_same, self.closeness,
            self.session, self.session_novel, self._like, self._likeness, self.salience,
            self.sensor, self._anomaly, self.channel, self.resting, self._moment,
        )


def _rebuild(n, name, run, text, scope, context, ts, danger, answer, source, novelty, confidence, complexity, us,
             policy_version, pattern, line, route, why, verdict, vector, audit, agrees, withheld, intent, runner_up,
             model, danger_score, earlier, earlier_same, accepted, accepted_same, closeness, session=None,
             session_novel=None, like=None, likeness=0.0, salience=None, sensor=None, anomaly=0.0, channel=None,
             resting=False, moment=0.0):
    cdef Decision d = Decision.__new__(Decision)
    d.n, d._id, d._run, d.text, d.scope, d.context, d.ts = n, name, run, text, scope, context, ts
    d.danger, d.answer, d._source = danger, answer, source
    d.novelty, d.confidence, d.complexity, d.us = novelty, confidence, complexity, us
    d.policy_version, d._pattern, d.vector = policy_version, pattern, vector
    d._line, d._route, d._why, d._verdict = line, route, why, verdict
    d.audit, d._agrees, d.withheld = audit, agrees, withheld
    d.intent, d.runner_up, d.model, d._danger_score = intent, runner_up, model, danger_score
    d.earlier, d.earlier_same, d.closeness = earlier, earlier_same, closeness
    d.accepted, d.accepted_same = accepted, accepted_same
    d.session, d.session_novel = session, session_novel
    d._like, d._likeness = like, likeness
    d._salience = salience
    d.sensor, d._anomaly, d.channel, d.resting = sensor, anomaly, channel, resting
    d._moment = moment
    return d


def set_match(Decision decision not None, str id not None, double score):
    """Tells a decision that nobody has been handed yet which memory its text is like; nothing else is changed."""
    decision._like, decision._likeness = id, score


def set_alarm(Decision decision not None, double urgency):
    """Says that an alarm was raised at a decision that nobody has been handed yet: its salience is at least so urgent.
    Nothing else is changed."""
    decision._alarm = urgency


def set_moments(
    list decisions not None, list sources not None, list moments not None, double least, dict latest not None
):
    """Tells decisions that nobody has been handed yet which times their inputs name: those of at least so many seconds
    since 1970. A line that names none is of the time of the one before it in its source, which `latest` has for 4,096
    sources; it is brought up to date. ValueError where these are not as many. Nothing else is changed."""
    cdef Py_ssize_t i
    cdef Decision one
    cdef object moment
    if not len(decisions) == len(sources) == len(moments):
        raise ValueError(
            f"{len(moments)} moments and {len(sources)} sources of {len(decisions)} decisions; there is one of each"
        )
    for i in range(len(decisions)):
        one = <Decision?>decisions[i]
        moment = moments[i]
        if moment is None:
            moment = latest.get(sources[i]) if one._line else None
        elif <double>moment >= least:
            if len(latest) >= MOST_SOURCES and sources[i] not in latest:
                del latest[next(iter(latest))]
            latest[sources[i]] = moment
        else:
            moment = None
        if moment is not None:
            one._moment = moment


def set_session(Decision decision not None, str session not None, tuple novel=None):
    """Puts a decision that nobody has been handed yet into its session; `novel` are patterns in a never-seen order.

    Such an order is novelty: it raises the level to DEEP_THOUGHT, whatever the text alone deserved, and touches
    neither verdict nor danger. Nothing else is changed, and nothing is ever lowered.
    """
    decision.session = session
    decision.session_novel = novel
    if novel is not None:
        raise_level(decision, 1.0)


def set_anomaly(
    Decision decision not None, str sensor not None, double score, str channel, bint raised, bint resting=False
):
    """Says how unusual the sample is that a decision is about, which nobody has been handed yet, and by which channel;
    where it is to be `raised`, that is novelty, as a new order in :func:`set_session` is. `resting`: nobody is told.
    """
    decision.sensor, decision._anomaly, decision.channel, decision.resting = sensor, score, channel, resting
    if raised:
        raise_level(decision, score)


cdef raise_level(Decision decision, double novelty):
    """Something beside the text is new: whatever was decided by it, it is thought about."""
    if decision._route == SOPHIA_DEEP_THOUGHT:
        return
    decision._route = SOPHIA_DEEP_THOUGHT
    decision._why = SOPHIA_WHY_NOVEL
    decision.novelty = max(decision.novelty, novelty)
    withhold(decision)


cdef withhold(Decision decision):
    """An answer that is stored is not given."""
    if decision.answer is not None:
        decision.answer = decision._source = None
        decision.withheld = True
        if decision._agrees < 0:  # it was drawn to be checked, and is not served
            decision.audit = False


def set_error(Decision decision not None):
    """Says of a decision that nobody has been handed yet that what keeps it failed: it is no reflex, and serves no
    answer. Nothing is ever lowered, and neither verdict nor danger is touched."""
    withhold(decision)
    if decision._route == SOPHIA_REFLEX:
        decision._route = SOPHIA_CORTICAL
        decision._why = SOPHIA_WHY_ERROR


def decide(
    *, policy, fault=None, danger=False, alarm=False, repeat=False, withheld=False, familiar=False, count=0.0,
    closeness=0.0, complexity=0.0, judged=None, intent_confidence=0.0, intent_safe=False, suspicion=0.0
):
    """The routing rule alone: (route, why, verdict, confidence, novelty) for the evidence given.

    `policy` maps reflex_confidence, cortical_confidence, complex_limit, reflex_safe, danger_verdict and
    alarm_verdict, and may map suspicion_limit (2: none) and gestating (False). `judged` is what a model says: None (no
    model), "route", "low-confidence" or "out-of-scope"; `suspicion` the danger score.
    Pure; thread-safe; under 2 us. Example::

        >>> policy = dict(reflex_confidence=0.75, cortical_confidence=0.5, complex_limit=0.75,
        ...               reflex_safe=True, danger_verdict="veto", alarm_verdict="flag")
        >>> decide(policy=policy, familiar=True, count=3, closeness=1.0)
        ('reflex', 'known-pattern', 'allow', 0.75, 0.25)
    """
    cdef sophia_policy rule
    cdef sophia_evidence seen
    cdef sophia_outcome outcome
    rule.reflex_confidence = policy["reflex_confidence"]
    rule.cortical_confidence = policy["cortical_confidence"]
    rule.complex_limit = policy["complex_limit"]
    rule.reflex_safe = policy["reflex_safe"]
    rule.danger_verdict = VERDICTS.index(policy["danger_verdict"])
    rule.alarm_verdict = VERDICTS.index(policy["alarm_verdict"])
    rule.suspicion_limit = policy.get("suspicion_limit", 2.0)
    rule.gestating = policy.get("gestating", False)
    seen.fault = FAULTS[fault]
    seen.danger, seen.alarm, seen.repeat, seen.familiar = danger, alarm, repeat, familiar
    seen.withheld = withheld
    seen.count, seen.closeness, seen.complexity = count, closeness, complexity
    seen.judged = JUDGED.index(judged)
    seen.intent_confidence, seen.intent_safe, seen.suspicion = intent_confidence, intent_safe, suspicion
    outcome = sophia_decide(&seen, &rule)
    return ROUTES[outcome.route], WHYS[outcome.why], VERDICTS[outcome.verdict], outcome.confidence, outcome.novelty
