"""The hot path: what one input goes through."""

from libc.stdint cimport uint8_t, uint64_t

from sophia._core.cuckoo cimport GenerationalFilter
from sophia._core.decision cimport sophia_evidence, sophia_outcome, sophia_policy
from sophia._core.encode cimport TextEncoder
from sophia._core.idf cimport sophia_features
from sophia._core.intent cimport IntentModel, sophia_intent
from sophia._core.literals cimport LiteralSet
from sophia._core.pattern cimport PatternTable, sophia_pattern_seen
from sophia._core.reflex cimport ReflexCache, sophia_hash128, sophia_reflex_entry
from sophia._core.suspicion cimport Suspicion
from sophia._core.vector cimport SharedVector


# One input on its way. Text, scope, context and answer are borrowed from Python strings that the caller keeps
# alive; `key` lies in the hot path's own block; `served` is owned until the decision is built.
cdef struct sophia_input:
    const unsigned char *text
    size_t size
    const unsigned char *shape  # what the pattern stage sees: the text, or what is left of it by the user's masks
    size_t shape_size
    const unsigned char *form  # what the model reads, where that is neither the text nor the end of the key
    size_t form_size
    const unsigned char *scope
    size_t scope_size
    const unsigned char *context
    size_t context_size
    const unsigned char *answer
    size_t answer_size
    const unsigned char *name
    size_t name_size
    unsigned char *key
    size_t key_size
    sophia_hash128 hash
    uint64_t n
    bint line
    bint ascii
    bint keyed
    bint scanned
    bint detours  # words may be hidden or encoded: what the text says without that is scanned as well
    bint sought  # for the literals of the rules, which decide whether the engine sees it
    bint alarm
    bint asked
    bint withheld
    bint audit  # served, and drawn to be checked
    bint compared
    int agrees  # -1 where the input brought no answer to compare with
    bint answered  # the cache had an answer when the batch was prepared
    bint judged
    bint suspected
    bint unreadable  # by the model: a heap of combining marks
    int fault
    Py_ssize_t danger
    sophia_outcome outcome
    sophia_intent intent
    double complexity
    double suspicion
    double suspicion_ahead  # what it will be, if it is asked for, where it is `suspected`
    bint sighted  # its pattern has been counted; `_sighting` of the hot path is of it
    double closeness
    uint64_t pattern
    size_t merged  # how many ids of the batch had become another's when it was decided
    uint64_t earlier
    uint64_t earlier_same
    int accepted
    int accepted_same
    unsigned char *served
    size_t served_size


cdef struct sophia_sightings:
    uint64_t code
    int times  # how many the filter holds, up to the number that is believed


cdef class HotPath:
    cdef readonly PatternTable patterns
    cdef readonly GenerationalFilter familiar
    cdef readonly ReflexCache cache
    cdef readonly str policy_version
    cdef readonly uint64_t run
    cdef ReflexCache _cache_or_spare  # never None: its lock is always taken
    cdef LiteralSet _literals
    cdef TextEncoder _encoder
    cdef sophia_features *_features
    cdef IntentModel _next_model  # taken by the next batch; None: no model
    cdef IntentModel _model  # of this batch
    cdef object _scan
    cdef object _suspect
    cdef Suspicion _suspicion  # None until a decision depends on it
    cdef sophia_pattern_seen _sighting
    cdef object _recall
    cdef object _reshape
    cdef list _shapes  # strings and bytes that the batch borrows from, kept until the next one
    cdef bint _asks
    cdef bint _busy
    cdef sophia_sightings _owed[2]  # of the last decided input, while _owes: by its masked line and its pattern
    cdef bint _owes
    cdef public bint ask_store  # the store holds answers that the cache never had
    cdef readonly object audit
    cdef public bint answers_off  # stored answers are not served
    cdef public bint frozen  # decides, and learns nothing
    cdef public uint64_t served  # answers served since auditing began: numbers the draws
    cdef bint _auditing
    cdef uint64_t _audit_seed
    cdef uint64_t _audit_limit  # a draw up to this is an audit
    cdef object _clock
    cdef sophia_policy _policies[2]  # of messages, of lines
    cdef uint64_t _seen[2]  # inputs of each kind so far, and by rule how many were hit
    cdef list _hits
    cdef readonly list merges  # of the last batch: (place of the input, id that became another's then)
    cdef list _scales  # what their decisions are measured by; None before birth
    cdef size_t _max_chars
    cdef double _ttl
    cdef bint _expiring  # some entry may expire, so the clock must be asked
    cdef sophia_input *_inputs
    cdef size_t _inputs_room
    cdef unsigned char *_keys
    cdef size_t _keys_room
    cdef uint8_t *_classes
    cdef size_t _classes_room
    cdef unsigned char *_views  # two views of the longest text of a batch
    cdef size_t _views_room
    cdef int _reserve(self, size_t count, size_t key_bytes, size_t longest, size_t widest) except -1
    cdef int _read(self, sophia_input *one, object text, object scope, object context, object answer,
                   object name, object line, object fault, list kept) except -1
    cdef void _make_key(self, sophia_input *one) noexcept nogil
    cdef void _find_candidate(self, sophia_input *one, double now) noexcept nogil
    cdef void _seek_literals(self, size_t count) noexcept nogil
    cdef void _judge(self, sophia_input *one) noexcept nogil
    cdef double _suspect_text(self, sophia_input *one) noexcept nogil
    cdef void _suspect_ahead(self, sophia_input *one) noexcept nogil
    cdef void _judge_into(self, sophia_input *one, sophia_evidence *seen) noexcept nogil
    cdef void _prepare_all(self, size_t count, double now) noexcept nogil
    cdef int _decide_from(self, size_t *i, size_t count, double now) noexcept nogil
    cdef void _ask_ahead(self, const sophia_input *one) noexcept nogil
    cdef int _decide(self, sophia_input *one, double now) noexcept nogil
    cdef bint _seen_before(self, const unsigned char *text, size_t size, sophia_pattern_seen *sighting) noexcept nogil
    cdef bint _sight(self, sophia_input *one, const sophia_reflex_entry *entry, const sophia_evidence *seen,
                     sophia_pattern_seen *sighting) noexcept nogil
    cdef int _familiarity(self, uint64_t code) noexcept nogil
    cdef void _settle(self) noexcept nogil
    cdef void _remember(self, sophia_input *one, const sophia_pattern_seen *seen, double now) noexcept nogil
    cdef int _decide_all(self, size_t count, list texts, list hits, double now) except -1
    cdef int _engine(self, list owners, list texts, list hits) except -1
    cdef int _note(self, list found, list owners, list vias, list texts, list hits) except -1
    cdef int _scan_late(self, size_t i, list texts, list hits) except -1
    cdef int _ask_store(self, size_t i) except -1
    cdef int _compare(self, size_t i) except -1
    cdef object _from_batch(self, size_t i)
    cdef int _tell_merges(self, size_t count) except -1
    cdef uint64_t _count_hit(self, bint line, str rule) except? 0
    cdef int _enter(self) except -1
    cdef SharedVector _remembered(self, const sophia_input *one)
    cdef list _build(self, size_t count, list texts, list scopes, list contexts, list stamps, list names, list hits,
                     double us)
    cdef list _route(self, size_t count, list texts, list scopes, list contexts, list stamps, list names, list kept)
