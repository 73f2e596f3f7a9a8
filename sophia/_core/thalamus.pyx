# Over 600 lines: one class, whose steps share the strings, keys and locks that a batch borrows.
"""The hot path: exact cache, danger, intent, pattern, familiarity, salience.

A batch goes through in four steps: the strings are read (GIL), the stateless work is done (no GIL), the danger
engine sees the candidates of the literal prefilter (GIL), and the inputs are decided one after the other, in
order (no GIL). So the decisions are the same for any batch size.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from sophia._core.decision cimport (
    SOPHIA_ALLOW,
    SOPHIA_VETO,
    SOPHIA_DEEP_THOUGHT,
    SOPHIA_ROUTED,
    SOPHIA_UNJUDGED,
    SOPHIA_WHY_EMPTY,
    SOPHIA_WHY_INVALID,
    SOPHIA_WHY_TOO_LONG,
    Decision,
    sophia_complexity,
    sophia_decide,
    sophia_evidence,
    sophia_has_controls,
    sophia_only_blanks,
    sophia_policy,
)
from sophia._core.detour cimport may_hide, views
from sophia._core.idf cimport sophia_features
from sophia._core.intent cimport INTENT_OUT_OF_SCOPE, INTENT_ROUTE, IntentModel
from sophia._core.normaliser cimport normalise_ascii, normalise_unicode, stream_safe
from sophia._core.pattern cimport SOPHIA_PATTERN_OK, sophia_pattern_seen
from sophia._core.reflex cimport sophia_hash128, sophia_reflex_ahead, sophia_reflex_entry
from sophia._core.salience cimport Scale
from sophia._core.vector cimport SOPHIA_BSC, Hypervector, SharedVector, freeze, new_vector

from sophia._core.decision import FAULTS, VERDICTS
from sophia._core.normaliser import normalise
from sophia.errors import SophiaError


cdef extern from "ahead.h" nogil:
    void sophia_ahead(const void *place)


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    object PyUnicode_DecodeUTF8(const char *text, Py_ssize_t size, const char *errors)


cdef extern from "hash.h" nogil:
    uint64_t sophia_mix64(uint64_t x)
    sophia_hash128 sophia_hash_bytes(const void *data, size_t size, uint64_t key)
    uint64_t SOPHIA_MIX_A
    uint64_t SOPHIA_MIX_B


cdef extern from "pattern.h" nogil:
    uint64_t sophia_owner_of(const unsigned char *scope, size_t size)


cdef extern from *:
    """
    #include <stdio.h>
    #include <time.h>
    static double sophia_seconds(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    }
    static int sophia_name(char *out, size_t room, uint64_t run, uint64_t n)
    {
        return snprintf(out, room, "%llu.%llu", (unsigned long long)run, (unsigned long long)n);
    }
    """
    double sophia_seconds() noexcept nogil
    int sophia_name(char *out, size_t room, uint64_t run, uint64_t n) noexcept nogil


_KINDS = ("message", "line")  # by whether it is a line

cdef enum:
    _RULES = 1024  # danger rules whose hits are counted
    _EARNED = 3  # allowed sightings in a scope after which the pattern's own count is believed
    _ABREAST = 64  # texts whose literals are sought in one call
    _AHEAD = 3     # inputs between being asked for and being decided
    _LONG = 8  # inputs from which on giving the GIL away costs less than keeping it
    _MISSING_SCAN = 1
    _MISSING_ANSWER = 2
    _MISSING_COMPARISON = 3
    _MISSING_SUSPICION = 4

# Before the text, a key has the kind of input, then scope and context, each behind its length: no two inputs
# that differ in one of them share a key.
cdef size_t _PREFIX = 1 + 2 * sizeof(uint32_t)


cdef inline uint64_t _in_scope(uint64_t code, const unsigned char *scope, size_t size) noexcept nogil:
    """A pattern's or masked line's code, made the scope's own."""
    cdef uint64_t h = code
    cdef size_t i
    for i in range(size):
        h = sophia_mix64(h + scope[i] + SOPHIA_MIX_A)
    return sophia_mix64(h + SOPHIA_MIX_B)


@cython.final
cdef class HotPath:
    """Routes texts. Not thread-safe: one caller at a time (the organ around it holds the lock).

    `scan` is the danger engine: a list of str in, a list of hits or None out. `recall` is asked for an
    answer when the cache has had to drop entries: key bytes in, (raw, answer, name, expires) or None out.
    `reshape` is what the user's masks make of a text, for the pattern stage only: a str in, a str out.
    `audit` says which share of the served answers is checked, is told of each draw that waits for an answer, and
    compares where the input brought one; see sophia.organs.audit.
    `suspect` makes the danger score when a decision first depends on it: messages that reach `message_suspicion` go to
    DEEP_THOUGHT. A model of intents is set with `use`; without one nothing is judged.
    """

    def __cinit__(
        self, *, PatternTable patterns not None, GenerationalFilter familiar not None, ReflexCache cache,
        LiteralSet literals not None, scan, clock, policy_version, run, message_danger, message_alarm, line_danger,
        message_reflex, line_reflex, max_chars, ttl, reflex_confidence, cortical_confidence, complex_limit, recall=None,
        TextEncoder encoder=None, reshape=None, audit=None, suspect=None, message_suspicion=2.0
    ):
        self.patterns = patterns
        self.familiar = familiar
        self._recall = recall
        self._asks = recall is not None
        self._reshape = reshape
        self._clock = clock
        self.audit = audit
        if audit is not None:
            self.answers_off = audit.off
            self.served = audit.served
            self._audit_seed = sophia_mix64(<uint64_t>audit.seed + SOPHIA_MIX_B)
            self._auditing = audit.limit > 0
            self._audit_limit = <uint64_t>(audit.limit - 1) if self._auditing else 0
        self._encoder = encoder
        if encoder is not None:
            self._features = <sophia_features *>_grown(NULL, sizeof(sophia_features))
        self.run = run
        self._hits = [{}, {}]
        self._scales = [None, None]
        self.merges = []
        self.use_policy(
            cache=cache, literals=literals, scan=scan, policy_version=policy_version, message_danger=message_danger,
            message_alarm=message_alarm, line_danger=line_danger, message_reflex=message_reflex,
            line_reflex=line_reflex, max_chars=max_chars, ttl=ttl, reflex_confidence=reflex_confidence,
            cortical_confidence=cortical_confidence, complex_limit=complex_limit, suspect=suspect,
            message_suspicion=message_suspicion,
        )
        patterns.table.noting = True

    def use_policy(
        self, *, ReflexCache cache, LiteralSet literals not None, scan, str policy_version not None, message_danger,
        message_alarm, line_danger, message_reflex, line_reflex, size_t max_chars, double ttl,
        double reflex_confidence, double cortical_confidence, double complex_limit, suspect=None,
        double message_suspicion=2.0
    ):
        """Decides by these from the next batch on: all of them, or, where one cannot be taken, none. `cache` has
        answers of this policy only. How sure a familiar input must be that `born` measures is to be told again."""
        cdef sophia_policy policies[2]
        cdef int kind
        for kind, (reflex_safe, verdict, alarm) in enumerate(
            ((message_reflex, message_danger, message_alarm), (line_reflex, line_danger, line_danger))
        ):
            policies[kind] = self._policies[kind]
            policies[kind].reflex_confidence = reflex_confidence
            policies[kind].cortical_confidence = cortical_confidence
            policies[kind].complex_limit = complex_limit
            policies[kind].reflex_safe = reflex_safe
            policies[kind].danger_verdict = VERDICTS.index(verdict)
            policies[kind].alarm_verdict = VERDICTS.index(alarm)
            policies[kind].suspicion_limit = 2.0
        if suspect is not None:
            policies[0].suspicion_limit = message_suspicion
        spare = cache if cache is not None else ReflexCache(1 << 16, 16)
        self.cache, self._cache_or_spare = cache, spare
        self._literals, self._scan, self._suspect = literals, scan, suspect
        self.policy_version = policy_version
        self._max_chars, self._ttl = max_chars, ttl
        self._expiring = self._expiring or ttl > 0.0
        self._policies[0], self._policies[1] = policies[0], policies[1]

    def __dealloc__(self):
        PyMem_Free(self._inputs)
        PyMem_Free(self._keys)
        PyMem_Free(self._classes)
        PyMem_Free(self._views)
        PyMem_Free(self._features)

    cdef int _reserve(self, size_t count, size_t key_bytes, size_t longest, size_t widest) except -1:
        """Room for a batch; blocks grow and are kept, so a steady stream allocates nothing here."""
        if count > self._inputs_room:
            self._inputs = <sophia_input *>_grown(self._inputs, count * sizeof(sophia_input))
            self._inputs_room = count
        if key_bytes > self._keys_room:
            self._keys = <unsigned char *>_grown(self._keys, key_bytes)
            self._keys_room = key_bytes
        if 2 * longest > self._classes_room:
            self._classes = <uint8_t *>_grown(self._classes, 2 * longest)
            self._classes_room = 2 * longest
        if 3 * widest > self._views_room:
            self._views = <unsigned char *>_grown(self._views, 3 * widest)
            self._views_room = 3 * widest
        return 0

    cdef int _read(self, sophia_input *one, object text, object scope, object context, object answer,
                   object name, object line, object fault, list kept) except -1:
        """Borrows the bytes of one input's strings. A text that cannot be encoded is a fault, not an error."""
        cdef Py_ssize_t size = 0
        memset(one, 0, sizeof(sophia_input))
        one.danger = -1
        one.agrees = -1
        one.suspicion = -1.0
        if scope:
            one.scope = <const unsigned char *>PyUnicode_AsUTF8AndSize(scope, &size)
            one.scope_size = <size_t>size
        if context:
            one.context = <const unsigned char *>PyUnicode_AsUTF8AndSize(context, &size)
            one.context_size = <size_t>size
        if answer is not None:
            one.answer = <const unsigned char *>PyUnicode_AsUTF8AndSize(answer, &size)
            one.answer_size = <size_t>size
        if name is not None:
            one.name = <const unsigned char *>PyUnicode_AsUTF8AndSize(name, &size)
            one.name_size = <size_t>size
        one.line = line
        one.fault = FAULTS[fault]
        if text is None:
            one.fault = one.fault or SOPHIA_WHY_INVALID
            return 0
        one.ascii = PyUnicode_IS_ASCII(text)
        if one.ascii:
            one.text = <const unsigned char *>PyUnicode_AsUTF8AndSize(text, &size)
        else:
            try:
                one.text = <const unsigned char *>PyUnicode_AsUTF8AndSize(text, &size)
            except UnicodeEncodeError:  # half a surrogate pair: no text, but the rules must see what is there
                one.fault = SOPHIA_WHY_INVALID
                one.danger = 0
                one.detours = True
                return 0
        one.size = <size_t>size
        one.shape, one.shape_size = one.text, one.size
        if self._reshape is not None:
            shape = <str?>self._reshape(text)
            self._shapes.append(shape)
            one.shape = <const unsigned char *>PyUnicode_AsUTF8AndSize(shape, &size)
            one.shape_size = <size_t>size
        if one.fault == 0 and <size_t>len(<str>text) > self._max_chars:
            one.fault = SOPHIA_WHY_TOO_LONG
        if one.fault == 0 and not one.ascii and not one.line:
            if not stream_safe(text):  # a heap of combining marks: composing it takes quadratic time
                one.fault = SOPHIA_WHY_INVALID
            else:
                kept.append(normalise_unicode(text))
        elif one.fault == 0 and not one.ascii and self._model is not None:
            if stream_safe(text):
                form = normalise_unicode(text)
                self._shapes.append(form)
                one.form, one.form_size = <const unsigned char *><char *>form, <size_t>len(form)
            else:
                one.unreadable = True
        return 0

    cdef void _make_key(self, sophia_input *one) noexcept nogil:
        """Key and hash of one input, with its place in the cache asked for."""
        cdef uint32_t size
        if one.fault != 0:
            return
        one.key[0] = c"l" if one.line else c"m"
        size = <uint32_t>one.scope_size
        memcpy(one.key + 1, &size, sizeof(size))
        size = <uint32_t>one.context_size
        memcpy(one.key + 1 + sizeof(size), &size, sizeof(size))
        if one.scope_size:
            memcpy(one.key + _PREFIX, one.scope, one.scope_size)
        if one.context_size:
            memcpy(one.key + _PREFIX + one.scope_size, one.context, one.context_size)
        if not one.keyed:
            one.key_size = _PREFIX + one.scope_size + one.context_size
            if one.line:
                memcpy(one.key + one.key_size, one.text, one.size)
                one.key_size += one.size
            else:
                one.key_size += normalise_ascii(one.text, one.size, self._classes, one.key + one.key_size)
        if (one.line and sophia_only_blanks(one.text, one.size)) or (
            one.key_size == _PREFIX + one.scope_size + one.context_size
        ):
            one.fault = SOPHIA_WHY_EMPTY
            return
        if self.cache is not None:
            one.hash = self.cache.hash_key(one.key, one.key_size)
            sophia_reflex_ahead(&self.cache.cache, one.hash)

    cdef void _find_candidate(self, sophia_input *one, double now) noexcept nogil:
        """Whether the danger engine must see one input."""
        cdef const sophia_reflex_entry *entry
        if one.fault == 0 and self.cache is not None:
            # A look without a trace: what is evicted later must not depend on how inputs were batched.
            entry = self.cache.peek(one.key, one.key_size, one.hash, now)
            one.answered = entry != NULL and entry.has_value
            if entry != NULL and _same(entry, one):
                return
        one.scanned = True
        if one.text != NULL:
            one.detours = (
                not one.ascii or sophia_has_controls(one.text, one.size)
                or may_hide(self._literals, one.text, one.size, self._views)
            )
            if one.detours:
                one.danger = 0  # a candidate; -1 again unless the engine finds a rule
            else:
                one.sought = True

    cdef void _seek_literals(self, size_t count) noexcept nogil:
        """Which of the inputs without detours the danger engine must see, several at a time."""
        cdef const unsigned char *texts[_ABREAST]
        cdef size_t sizes[_ABREAST]
        cdef size_t places[_ABREAST]
        cdef unsigned char hits[_ABREAST]
        cdef size_t i, k, held = 0
        for i in range(count):
            if self._inputs[i].sought:
                texts[held], sizes[held], places[held] = self._inputs[i].text, self._inputs[i].size, i
                held += 1
            if held == _ABREAST or i + 1 == count:
                self._literals.may_hit_many(texts, sizes, held, hits)
                for k in range(held):
                    if hits[k]:
                        self._inputs[places[k]].danger = 0
                held = 0

    cdef void _prepare_all(self, size_t count, double now) noexcept nogil:
        """Nothing here changes any state that decides."""
        cdef size_t i
        with self._cache_or_spare.lock:
            for i in range(count):
                self._make_key(&self._inputs[i])
            for i in range(count):
                self._find_candidate(&self._inputs[i], now)
        self._seek_literals(count)
        if self._model is not None:
            for i in range(count):
                if self._inputs[i].fault == 0 and not self._inputs[i].answered and self._inputs[i].danger < 0:
                    self._judge(&self._inputs[i])
            if self._suspicion is not None:
                for i in range(count):
                    self._suspect_ahead(&self._inputs[i])

    cdef void _judge(self, sophia_input *one) noexcept nogil:
        """What the model says of one input, which depends on its text alone."""
        cdef size_t start = _PREFIX + one.scope_size + one.context_size
        one.judged = True
        if one.unreadable:
            one.intent.why = INTENT_OUT_OF_SCOPE
        elif one.form != NULL:
            self._model.judge(one.form, one.form_size, &one.intent)
        elif one.ascii:
            self._model.judge(one.text, one.size, &one.intent)
        else:
            self._model.judge(one.key + start, one.key_size - start, &one.intent)

    cdef double _suspect_text(self, sophia_input *one) noexcept nogil:
        """The danger score of a message: of the text, or of its normal form where it is not ASCII."""
        cdef size_t start = _PREFIX + one.scope_size + one.context_size
        if one.ascii:
            return self._suspicion.judge(one.text, one.size)
        return self._suspicion.judge(one.key + start, one.key_size - start)

    cdef void _suspect_ahead(self, sophia_input *one) noexcept nogil:
        """The score of an input that will most likely be asked for its score: together they share the caches."""
        if one.judged and one.intent.why == INTENT_ROUTE and self._policies[one.line].suspicion_limit <= 1.0:
            one.suspicion_ahead, one.suspected = self._suspect_text(one), True

    cdef void _judge_into(self, sophia_input *one, sophia_evidence *seen) noexcept nogil:
        """The model's word as evidence. It was not asked ahead where an answer or a rule seemed to settle all."""
        if not one.judged:
            self._judge(one)
        seen.judged = SOPHIA_ROUTED + one.intent.why
        seen.intent_safe = one.intent.safe
        seen.intent_confidence = one.intent.confidence

    cdef int _decide_from(self, size_t *i, size_t count, double now) noexcept nogil:
        """Decides from input *i on, until all are decided (0) or one says what it misses.

        Holds the locks of what it changes, so that another thread may look at them meanwhile.
        """
        cdef int missing = 0
        with self.patterns.lock, self.familiar.lock, self._cache_or_spare.lock:
            while i[0] < count:
                if i[0] + _AHEAD < count:
                    self._ask_ahead(&self._inputs[i[0] + _AHEAD])
                missing = self._decide(&self._inputs[i[0]], now)
                if missing:
                    break
                self._inputs[i[0]].merged = self.patterns.table.losers_count
                i[0] += 1
            self._settle()
        return missing

    cdef void _ask_ahead(self, const sophia_input *one) noexcept nogil:
        """Asks for what deciding an input will read: since it was prepared, the rest of the batch went by."""
        if one.text != NULL:
            sophia_ahead(one.text)
            sophia_ahead(one.key)
        if one.fault == 0 and self.cache is not None:
            sophia_reflex_ahead(&self.cache.cache, one.hash)

    cdef int _decide(self, sophia_input *one, double now) noexcept nogil:
        """Decides one input and learns from it; or says what is missing, to be called again with it."""
        cdef sophia_evidence seen
        cdef sophia_pattern_seen sighting
        cdef const sophia_reflex_entry *entry = NULL
        cdef uint64_t by_leaf = 0, by_pattern = 0
        cdef int leaf_times = 0, pattern_times = 0
        cdef uint64_t ahead[2]
        cdef size_t start
        cdef bint stored, learned
        memset(&seen, 0, sizeof(seen))
        memset(&sighting, 0, sizeof(sighting))
        if one.fault == 0 and self.cache is not None:
            entry = self.cache.find(one.key, one.key_size, one.hash, now)
            if entry == NULL and self._asks and not one.asked and (self.ask_store or self.cache.forgetful()):
                self._settle()
                if self.familiar.contains_hash(_answered(one.key, one.key_size)):
                    return _MISSING_ANSWER
            if not one.scanned and (entry == NULL or not _same(entry, one)):
                return _MISSING_SCAN
        stored = entry != NULL and entry.has_value and one.danger < 0
        # What is compared has been served: it may itself be what switches the answers off.
        seen.withheld = stored and self.answers_off and not one.compared
        if stored and not seen.withheld and self._auditing and not one.compared:
            one.audit = sophia_mix64(self._audit_seed ^ sophia_mix64(self.served + SOPHIA_MIX_A)) <= self._audit_limit
            if one.audit and one.answer != NULL:
                return _MISSING_COMPARISON
        seen.fault = one.fault
        seen.danger = one.danger >= 0
        seen.alarm = one.alarm
        seen.repeat = stored and not seen.withheld
        if one.sighted:                 # it was no repeat, and nothing refused it
            sighting, learned = self._sighting, not self.frozen
        else:
            learned = self._sight(one, entry, &seen, &sighting)
        self._settle()
        one.pattern = sighting.id
        one.earlier, one.earlier_same = sighting.count, sighting.leaf_count
        one.closeness = sighting.closeness
        if one.fault == 0 and not seen.danger:
            by_leaf = _in_scope(sighting.leaf_hash, one.scope, one.scope_size)
            by_pattern = _in_scope(sophia_mix64(sighting.id), one.scope, one.scope_size)
            ahead[0], ahead[1] = sophia_mix64(by_leaf), sophia_mix64(by_pattern)
            self.familiar.prefetch_hashes(ahead, 2)  # the filter is larger than the caches
            # What the table has never seen and never forgot, no scope has allowed.
            if sighting.leaf_count > 0 or self.patterns.table.evicted > 0:
                leaf_times = self._familiarity(by_leaf)
            if sighting.count > 0:
                pattern_times = self._familiarity(by_pattern)
            one.accepted, one.accepted_same = pattern_times, leaf_times
            if not seen.repeat:
                _weigh(&seen, &sighting, leaf_times, pattern_times)
                if self._model is not None:
                    self._judge_into(one, &seen)
                if seen.familiar:
                    one.closeness = seen.closeness
        if not seen.repeat and one.fault == 0:
            start = _PREFIX + one.scope_size + one.context_size
            one.complexity = seen.complexity = sophia_complexity(one.key + start, one.key_size - start)
        one.withheld = seen.withheld
        one.judged = seen.judged != SOPHIA_UNJUDGED
        one.outcome = sophia_decide(&seen, &self._policies[one.line])
        # The score can only raise the level: it is asked for where there is something to raise, and not of what was
        # thought about already.
        if (
            one.outcome.route != SOPHIA_DEEP_THOUGHT and not seen.repeat
            and self._policies[one.line].suspicion_limit <= 1.0
        ):
            if self._suspicion is None:
                one.sighted, self._sighting = True, sighting
                return _MISSING_SUSPICION
            seen.suspicion = one.suspicion = (
                one.suspicion_ahead if one.suspected else self._suspect_text(one)
            )
            one.outcome = sophia_decide(&seen, &self._policies[one.line])
        if one.fault != 0 or seen.danger:
            return 0
        if seen.repeat:
            self.served += self._auditing
            one.served = <unsigned char *>malloc(entry.value_size + 1)
            if one.served == NULL:  # no answer without memory: think instead
                one.outcome.route = SOPHIA_DEEP_THOUGHT
                one.audit = False
            else:
                memcpy(one.served, entry.value, entry.value_size)
                one.served_size = entry.value_size
        self._owed[0].code, self._owed[0].times = by_leaf, leaf_times
        self._owed[1].code, self._owed[1].times = by_pattern, pattern_times
        self._owes = learned
        if self.cache is not None and not self.frozen and (one.answer != NULL or entry == NULL):
            self._remember(one, &sighting, now)
        return 0

    cdef bint _sight(self, sophia_input *one, const sophia_reflex_entry *entry, const sophia_evidence *seen,
                     sophia_pattern_seen *sighting) noexcept nogil:
        """Finds the input's pattern and counts it; False where nothing was learned.

        What is refused leaves no words behind, so it is only matched. Another writing (capitals, a closing sign) of
        what is answered from memory is the same input: it counts for the pattern of the first.
        """
        cdef const sophia_policy *policy = &self._policies[one.line]
        cdef uint64_t owner = sophia_owner_of(one.scope, one.scope_size)
        if one.fault != 0 and one.fault != SOPHIA_WHY_TOO_LONG:
            return False
        if self.frozen:
            self.patterns.match_line(one.shape, one.shape_size, sighting)
            return False
        if seen.danger and (policy.alarm_verdict if seen.alarm else policy.danger_verdict) == SOPHIA_VETO:
            self.patterns.match_line(one.shape, one.shape_size, sighting)
            return False
        # The entry of the same input knows where its masked form is held; else the text is masked.
        if entry != NULL and (seen.repeat or _same(entry, one)) and self.patterns.observe_leaf(
            <uint32_t>entry.tag[2], entry.tag[1], one.n, owner, sighting
        ) == SOPHIA_PATTERN_OK:
            return True
        if not seen.repeat or self._seen_before(one.shape, one.shape_size, sighting):
            self.patterns.observe_line(one.shape, one.shape_size, one.n, owner, sighting)
            if entry != NULL and _same(entry, one):
                _keep_leaf(<sophia_reflex_entry *>entry, sighting)
            return True
        if self._reshape is None and self._seen_before(entry.raw, entry.raw_size, sighting):
            self.patterns.observe_line(entry.raw, entry.raw_size, one.n, owner, sighting)
            return True
        sighting.leaf = UINT32_MAX      # held nowhere, should the entry take this writing over
        return False

    cdef bint _seen_before(self, const unsigned char *text, size_t size, sophia_pattern_seen *sighting) noexcept nogil:
        """Whether the table holds the text's masked form. Clears the sighting if so."""
        self.patterns.match_line(text, size, sighting)
        if sighting.leaf_count == 0:
            return False
        memset(sighting, 0, sizeof(sighting[0]))
        return True

    cdef int _familiarity(self, uint64_t code) noexcept nogil:
        """How often this was allowed before in its scope, up to _EARNED. The pattern table's counts are no evidence
        by themselves: they hold every scope's lines, and lines that a danger rule hit."""
        cdef int times = 0
        while times < _EARNED and self.familiar.contains_hash(sophia_mix64(code + times)):
            times += 1
        return times

    cdef void _settle(self) noexcept nogil:
        """Makes the last decided input more familiar: one more allowed sighting of its codes. Done just before the
        filter is asked again, when the lines that were asked for have long arrived. A full filter refuses: then the
        level of thought can only be higher."""
        cdef int i, k
        if not self._owes:
            return
        self._owes = False
        for i in range(2):
            for k in range(min(self._owed[i].times + 1, <int>_EARNED)):
                self.familiar.refresh_hash(sophia_mix64(self._owed[i].code + k))

    cdef void _remember(self, sophia_input *one, const sophia_pattern_seen *seen, double now) noexcept nogil:
        """Puts a decided input into the cache, with the answer that it brought. A refusal costs a repeat."""
        cdef uint64_t tag[3]
        cdef char made[48]
        cdef unsigned char *value = NULL
        cdef uint32_t size = 0
        cdef size_t total = 0
        tag[0], tag[1], tag[2] = seen.id, seen.leaf_hash, seen.leaf
        if one.answer != NULL:
            size = <uint32_t>(one.name_size if one.name != NULL else sophia_name(made, sizeof(made), self.run, one.n))
            total = sizeof(size) + size + one.answer_size
            value = <unsigned char *>malloc(total)
            if value == NULL:
                return
            memcpy(value, &size, sizeof(size))
            memcpy(value + sizeof(size), one.name if one.name != NULL else <unsigned char *>made, size)
            memcpy(value + sizeof(size) + size, one.answer, one.answer_size)
            self.familiar.refresh_hash(_answered(one.key, one.key_size))
        self.cache.put_entry(
            one.key, one.key_size, one.hash, one.text, one.size, value, total, one.answer != NULL, 0, tag,
            now + self._ttl if self._ttl > 0.0 else 0.0, one.scope, one.scope_size,
        )
        free(value)

    def use(self, IntentModel model):
        """Judges with another model, or with none, from the next batch on; no batch sees two. From any thread."""
        self._next_model = model

    @property
    def model(self):
        """The model that the next batch is judged with, or None."""
        return self._next_model

    @property
    def gestating(self):
        """Whether nothing is handled by reflex for being familiar; a change holds from the next batch on."""
        return self._policies[0].gestating != 0

    @gestating.setter
    def gestating(self, bint value):
        self._policies[0].gestating = self._policies[1].gestating = value

    def born(self, kind, Scale scale, double reflex_confidence):
        """From the next batch on, inputs of a kind ("message", "line") are measured by `scale`, and handled by reflex
        for being familiar only with that much confidence."""
        cdef int line = _KINDS.index(kind)
        self._scales[line] = scale
        self._policies[line].reflex_confidence = reflex_confidence

    def reflex_from(self, kind):
        """The least confidence with which a familiar input of a kind is handled by reflex."""
        return self._policies[_KINDS.index(kind)].reflex_confidence

    @property
    def tally(self):
        """By kind: how many inputs there were, and how many of them each danger rule hit; as JSON has it."""
        return {
            kind: {"seen": self._seen[line], "hits": dict(sorted(self._hits[line].items()))}
            for line, kind in enumerate(_KINDS)
        }

    @tally.setter
    def tally(self, told):
        seen, hits = [], []
        for kind in _KINDS:
            seen.append(told[kind]["seen"])
            hits.append(dict(told[kind]["hits"]))
            numbers = [seen[-1], *hits[-1].values()]
            if not all(type(number) is int and 0 <= number <= seen[-1] < 1 << 62 for number in numbers):
                raise ValueError(f"{kind}: {told[kind]!r:.80} are no counts")
            if len(hits[-1]) > _RULES or not all(type(rule) is str for rule in hits[-1]):
                raise ValueError(f"{kind}: {len(hits[-1])} rules, or names that are none")
        self._seen[0], self._seen[1], self._hits = seen[0], seen[1], hits

    @property
    def busy(self):
        """A batch is being routed: only seen from a signal handler, or by a caller that breaks the rule above."""
        return self._busy

    cdef int _enter(self) except -1:
        if self._busy:
            raise SophiaError("the hot path is in the middle of a batch; one caller at a time, no signal handler")
        self._busy = True
        self._shapes = []
        self._model = self._next_model
        return 0

    cdef list _route(self, size_t count, list texts, list scopes, list contexts, list stamps, list names, list kept):
        cdef double started = sophia_seconds(), now = <double>self._clock() if self._expiring else 0.0
        cdef size_t i, key_bytes = 0, longest = 0, widest = 0, at = 0, wide = 0
        cdef sophia_input *one
        cdef bytes form
        cdef list candidates = None, hits = []
        for i in range(count):
            one = &self._inputs[i]
            widest = max(widest, one.size)
            if one.fault != 0:
                continue
            one.keyed = not one.ascii and not one.line
            one.key_size = _PREFIX + one.scope_size + one.context_size
            if one.keyed:
                form = kept[wide]
                wide += 1
                one.key_size += len(form)
            else:
                one.key_size += one.size
                longest = max(longest, one.size)
            key_bytes += one.key_size
        self._reserve(count, key_bytes, longest, widest)
        self.patterns.table.losers_count = 0  # what others have merged is not of this batch
        wide = 0
        for i in range(count):
            one = &self._inputs[i]
            one.key = self._keys + at
            at += one.key_size
            if one.keyed:
                form = kept[wide]
                wide += 1
                memcpy(one.key + one.key_size - len(form), <const char *>form, len(form))
        if count >= _LONG:
            with nogil:
                self._prepare_all(count, now)
        else:
            self._prepare_all(count, now)
        for i in range(count):
            if self._inputs[i].danger == 0:
                self._inputs[i].danger = -1
                if candidates is None:
                    candidates = []
                candidates.append(i)
        if candidates is not None:
            self._engine(candidates, texts, hits)
        try:
            self._decide_all(count, texts, hits, now)
        except BaseException:
            for i in range(count):
                free(self._inputs[i].served)
            raise
        return self._build(count, texts, scopes, contexts, stamps, names, hits,
                           1e6 * (sophia_seconds() - started) / count)

    cdef int _decide_all(self, size_t count, list texts, list hits, double now) except -1:
        """Decides a prepared batch in order, fetching what an input turns out to miss."""
        cdef size_t i = 0
        cdef int missing
        while i < count:
            if count >= _LONG:
                with nogil:
                    missing = self._decide_from(&i, count, now)
            else:
                missing = self._decide_from(&i, count, now)
            if missing == _MISSING_SCAN:
                self._scan_late(i, texts, hits)
            elif missing == _MISSING_ANSWER:
                self._ask_store(i)
            elif missing == _MISSING_COMPARISON:
                self._compare(i)
            elif missing == _MISSING_SUSPICION:
                self._suspicion = self._suspect()
        return 0

    cdef int _engine(self, list owners, list texts, list hits) except -1:
        """Asks the danger engine about inputs, by their numbers. The raw text comes first; what it says when its
        detours are undone only where that is not refused already."""
        cdef size_t owner
        cdef list shown = [], vias = [], whose = []
        self._note(self._scan([texts[owner] for owner in owners]), owners, None, texts, hits)
        for owner in owners:
            if not self._inputs[owner].detours or (self._inputs[owner].danger >= 0 and not self._inputs[owner].alarm):
                continue
            for plain, via in views(texts[owner]):
                shown.append(plain)
                vias.append(via)
                whose.append(owner)
        if shown:
            self._note(self._scan(shown), whose, vias, texts, hits)
        return 0

    cdef int _note(self, list found, list owners, list vias, list texts, list hits) except -1:
        """Takes note of the hits of inputs: the first of each counts, but for one that refuses where the first only
        reports."""
        cdef size_t owner, i
        for i in range(<size_t>len(owners)):
            hit, owner = found[i], owners[i]
            if hit is None or (self._inputs[owner].danger >= 0 and (hit.alarm or not self._inputs[owner].alarm)):
                continue
            if vias is not None:  # positions in a view mean nothing to the caller
                hit = hit._replace(span=(0, len(texts[owner])), via=vias[i])
            self._inputs[owner].danger = len(hits)
            self._inputs[owner].alarm = hit.alarm
            hits.append(hit)
        return 0

    cdef int _scan_late(self, size_t i, list texts, list hits) except -1:
        """Scans an input that had looked like a repeat when the batch began, and is not one any more."""
        cdef sophia_input *one = &self._inputs[i]
        one.scanned = True
        one.detours = not one.ascii or sophia_has_controls(one.text, one.size) or may_hide(
            self._literals, one.text, one.size, self._views
        )
        return self._engine([i], texts, hits)

    cdef int _ask_store(self, size_t i) except -1:
        """Fetches an answer that the cache had no room for; once for each input."""
        cdef sophia_input *one = &self._inputs[i]
        cdef bytes key = (<char *>one.key)[:one.key_size]
        one.asked = True
        found = self._from_batch(i)
        if found is None:
            found = self._recall(key)
        if found is not None:
            self.store_answer(key, *found)
        return 0

    cdef int _compare(self, size_t i) except -1:
        """Tells the audit what an input is about to be served and what it brought; the audit may end the serving.

        Between two inputs of a batch, so that every later one sees it, however the stream was cut.
        """
        cdef sophia_input *one = &self._inputs[i]
        cdef const sophia_reflex_entry *entry
        cdef uint32_t size
        cdef bytes value = None
        with self.cache.lock:
            entry = self.cache.peek(one.key, one.key_size, one.hash, 0.0)
            if entry != NULL and entry.has_value:
                value = (<char *>entry.value)[:entry.value_size]
        one.compared = True
        if value is None:  # emptied by another thread meanwhile
            one.audit = False
            return 0
        memcpy(&size, <const char *>value, sizeof(size))
        one.agrees = self.audit.compare(
            value[sizeof(size) + size:].decode(), (<char *>one.answer)[:one.answer_size].decode()
        )
        self.answers_off = self.audit.off
        return 0

    cdef object _from_batch(self, size_t i):
        """An answer that an earlier input of this batch brought, and that was evicted again: no store has it yet."""
        cdef sophia_input *one = &self._inputs[i]
        cdef sophia_input *other
        cdef size_t k = i
        while k > 0:
            k -= 1
            other = &self._inputs[k]
            if (
                other.answer != NULL and other.outcome.verdict == SOPHIA_ALLOW and other.fault == 0
                and other.key_size == one.key_size and memcmp(other.key, one.key, one.key_size) == 0
            ):
                name = f"{self.run}.{other.n}"
                if other.name != NULL:
                    name = (<char *>other.name)[:other.name_size].decode()
                return (
                    (<char *>other.text)[:other.size], (<char *>other.answer)[:other.answer_size].decode(), name,
                    <double>self._clock() + self._ttl if self._ttl > 0.0 else 0.0,
                )
        return None

    cdef SharedVector _remembered(self, const sophia_input *one):
        """The input's memory vector: its features weighed by what came before, then counted themselves."""
        cdef Hypervector vector
        cdef int code
        cdef size_t start = _PREFIX + one.scope_size + one.context_size
        if one.fault != 0 or one.danger >= 0:
            return None
        vector = new_vector(SOPHIA_BSC, self._encoder.dim, None)
        with nogil:
            code = self._encoder.features_into(one.key + start, one.key_size - start, self._features)
            if code >= 0:
                if self._encoder.idf is not None and not self.frozen:
                    self._encoder.idf.count(self._features, 1)
                code = self._encoder.features_b1_into(self._features, <uint64_t *>vector.data)
        return freeze(vector, self._encoder.seed) if code >= 0 else None

    cdef list _build(self, size_t count, list texts, list scopes, list contexts, list stamps, list names, list hits,
                     double us):
        cdef size_t i
        cdef uint32_t size
        cdef sophia_input *one
        cdef Decision d
        cdef list out = []
        self._tell_merges(count)
        for i in range(count):
            one = &self._inputs[i]
            d = Decision.__new__(Decision)
            d.n = one.n
            d._run = self.run
            d._id = names[i] if names is not None else None
            d.text = texts[i]
            d.scope = (scopes[i] or "") if scopes is not None else ""
            d.context = (contexts[i] or "") if contexts is not None else ""
            d.ts = stamps[i] if stamps is not None else None
            d._scale = self._scales[one.line]
            d._seen = self._seen[one.line]
            if one.danger >= 0:
                d.danger = hits[one.danger]
                d._hits = self._count_hit(one.line, d.danger.rule)
            if not self.frozen:
                self._seen[one.line] += 1
            d.novelty = one.outcome.novelty
            d.confidence = one.outcome.confidence
            d.complexity = one.complexity
            d.closeness = one.closeness
            d.earlier, d.earlier_same = one.earlier, one.earlier_same
            d.accepted, d.accepted_same = one.accepted, one.accepted_same
            d.us = us
            d.policy_version = self.policy_version
            d._pattern = one.pattern
            d._line = one.line
            d._route = one.outcome.route
            d._why = one.outcome.why
            d._verdict = one.outcome.verdict
            d.withheld = one.withheld
            d._danger_score = one.suspicion
            d.audit = one.audit
            d._agrees = one.agrees
            if self._model is not None:
                d.model = self._model.version
                if one.judged:
                    d.intent = self._model.intent_of(&one.intent)
                    d.runner_up = self._model.runner_up_of(&one.intent)
            if self._encoder is not None:
                d.vector = self._remembered(one)
            if one.served != NULL:
                memcpy(&size, one.served, sizeof(size))
                d._source = PyUnicode_DecodeUTF8(<char *>one.served + sizeof(size), size, NULL)
                d.answer = PyUnicode_DecodeUTF8(
                    <char *>one.served + sizeof(size) + size, one.served_size - sizeof(size) - size, NULL
                )
                free(one.served)
                one.served = NULL
            if one.audit and one.agrees < 0:
                self.audit.expect(d)
            out.append(d)
        return out

    cdef int _tell_merges(self, size_t count) except -1:
        cdef size_t i, k = 0
        if self.merges:
            self.merges = []
        for i in range(count):
            while k < self._inputs[i].merged:
                self.merges.append((i, self.patterns.table.losers[k]))
                k += 1
        return 0

    cdef uint64_t _count_hit(self, bint line, str rule) except? 0:
        """Counts the hit of a rule; returns how many there were before."""
        cdef dict hits = <dict>self._hits[line]
        before = hits.get(rule, 0)
        if not self.frozen and (before or len(hits) < _RULES):
            hits[rule] = before + 1
        return before

    def route(self, text, uint64_t n, scope=None, context=None, bint line=False):
        """One input, one decision: the same as a batch of one."""
        cdef list kept = []
        text, scope, context = _plain(text, "text"), _plain(scope, "scope"), _plain(context, "context")
        self._enter()
        try:
            self._reserve(1, 0, 0, 0)
            self._read(&self._inputs[0], text, scope, context, None, None, line, None, kept)
            self._inputs[0].n = n
            return self._route(
                1, [text], None if scope is None else [scope], None if context is None else [context], None, None, kept
            )[0]
        finally:
            self._busy = False

    def route_batch(self, list texts, uint64_t n, list scopes=None, list contexts=None, list answers=None,
                    list stamps=None, list names=None, list lines=None, list faults=None):
        """Decisions for `texts`, numbered from `n`, as if they had come one at a time.

        Each column is a list as long as `texts`, or None where no input has that property. `lines` says which
        inputs are lines (compared as they stand), `faults` which could not be read: "invalid", "empty" or
        "too-long" (a text of None is invalid). Cost: about 1 us a repeat, 2 to 3 us a new text.
        """
        cdef size_t i, count = len(texts)
        cdef list kept = []
        if count == 0:
            return []
        for column in (scopes, contexts, answers, stamps, names, lines, faults):
            if column is not None and <size_t>len(column) != count:
                raise ValueError(f"a column of {len(column)} values for {count} texts; they must be equally long")
        # Copies: another thread may change the caller's lists while the strings are borrowed without the GIL.
        texts = _column(texts, "text")
        scopes, contexts = _column(scopes, "scope"), _column(contexts, "context")
        answers, names = _column(answers, "answer"), _column(names, "id")
        self._enter()
        try:
            self._reserve(count, 0, 0, 0)
            for i in range(count):
                self._read(
                    &self._inputs[i], texts[i],
                    scopes[i] if scopes is not None else None,
                    contexts[i] if contexts is not None else None,
                    answers[i] if answers is not None else None,
                    names[i] if names is not None else None,
                    lines[i] if lines is not None else False,
                    faults[i] if faults is not None else None,
                    kept,
                )
                self._inputs[i].n = n + i
            return self._route(count, texts, scopes, contexts, stamps, names, kept)
        finally:
            self._busy = False

    def key(self, str text, str scope="", str context="", bint line=False):
        """The cache key of an input as bytes: equal for two inputs that may share an answer."""
        cdef bytes form = text.encode() if line else normalise(text).encode()
        cdef bytes in_scope = scope.encode(), in_context = context.encode()
        return (
            (b"l" if line else b"m") + len(in_scope).to_bytes(4, "little") + len(in_context).to_bytes(4, "little")
            + in_scope + in_context + form
        )

    def store_answer(self, bytes key, bytes raw, str answer, str name, double expires):
        """Puts an answer into the cache under `key`; False when there is no cache or it is too large for it."""
        cdef uint64_t tag[3]
        cdef bytes source = name.encode()
        cdef bytes value = len(source).to_bytes(4, "little") + source + answer.encode()
        tag[0] = tag[1] = 0
        tag[2] = UINT32_MAX  # held nowhere: the first repeat masks the text
        cdef size_t scope = int.from_bytes(key[1:1 + sizeof(uint32_t)], "little")
        if self.cache is None:
            return False
        self._expiring |= expires > 0.0
        self.familiar.refresh_hash(_answered(key, len(key)))
        return self.cache.put_entry(
            key, len(key), self.cache.hash_key(key, len(key)), raw, len(raw), value, len(value), True, 0, tag,
            expires, <const unsigned char *><char *>key + _PREFIX, scope,
        ) == 0

    def reject(self, Decision decision not None):
        """Undoes what was learned from `decision`: its cached answer, its familiarity, its sighting.

        False for a text that cannot be read, of which nothing was learned.
        """
        cdef bytes scope = decision.scope.encode(), text, key
        cdef sophia_pattern_seen sighting
        cdef const unsigned char *at = scope
        cdef uint64_t k
        if decision.text is None or decision._why >= SOPHIA_WHY_TOO_LONG:
            return False
        try:
            text = decision.text.encode()
        except UnicodeEncodeError:  # half a surrogate pair, in a text whose reason is danger
            return False
        if self.cache is not None:
            key = self.key(decision.text, decision.scope, decision.context, decision._line)
            self.cache.drop_entry(key, len(key), self.cache.hash_key(key, len(key)))
        memset(&sighting, 0, sizeof(sighting))
        if self._reshape is not None:
            text = self._reshape(decision.text).encode()
        if self.patterns.match_line(text, len(text), &sighting) == 0 and sighting.id:
            for k in range(<uint64_t>_EARNED):
                self.familiar.discard_hash(sophia_mix64(_in_scope(sighting.leaf_hash, at, len(scope)) + k))
                self.familiar.discard_hash(sophia_mix64(_in_scope(sophia_mix64(sighting.id), at, len(scope)) + k))
            self.patterns.forget_sighting(sighting.id, sighting.leaf_hash)
        return True


cdef inline void _weigh(
    sophia_evidence *seen, const sophia_pattern_seen *sighting, int leaf_times, int pattern_times
) noexcept nogil:
    """Evidence for familiarity: exactly this masked text, or else its pattern, allowed before in this scope."""
    cdef double count
    if leaf_times > 0:
        seen.familiar = True
        seen.closeness = 1.0
        seen.count = leaf_times if leaf_times < _EARNED else max(<double>leaf_times, <double>sighting.leaf_count)
    count = pattern_times if pattern_times < _EARNED else max(<double>pattern_times, <double>sighting.count)
    if pattern_times > 0 and count * sighting.closeness > seen.count * seen.closeness:
        seen.familiar = True
        seen.closeness = sighting.closeness
        seen.count = count


cdef inline uint64_t _answered(const unsigned char *key, size_t size) noexcept nogil:
    """The familiarity code of an answered input: where it is missing, the store need not be asked."""
    return sophia_hash_bytes(key, size, SOPHIA_MIX_A).low


cdef inline void _keep_leaf(sophia_reflex_entry *entry, const sophia_pattern_seen *sighting) noexcept nogil:
    """Where the masked form of the entry's text is held: the next input of the same bytes need not be masked."""
    entry.tag[0], entry.tag[1], entry.tag[2] = sighting.id, sighting.leaf_hash, sighting.leaf


cdef inline bint _same(const sophia_reflex_entry *entry, const sophia_input *one) noexcept nogil:
    """The entry was filled with exactly these raw bytes, so their danger scan has been done."""
    return entry.raw_size == one.size and memcmp(entry.raw, one.text, one.size) == 0


cdef inline object _plain(object value, str what):
    """An exact str (a subclass may lie about its bytes), or None."""
    if value is None or type(value) is str:
        return value
    if not isinstance(value, str):
        raise TypeError(f"a {what} must be str or None, not {type(value).__name__}; decode bytes first")
    return str.__str__(value)


cdef list _column(list values, str what):
    if values is None:
        return None
    for value in values:
        if type(value) is not str and value is not None:
            return [_plain(value, what) for value in values]
    return values[:]


cdef void *_grown(void *block, size_t size) except NULL:
    cdef void *grown = PyMem_Realloc(block, size)
    if grown == NULL:
        raise MemoryError(f"the hot path needs {size} bytes for this batch; send smaller batches")
    return grown
