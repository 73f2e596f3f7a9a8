# cython: auto_pickle=False
"""Salience: how much of somebody's attention an input deserves, measured by what is usual in its stream.

A `Scale` is what a brain has found to be usual among inputs of one kind when it was born. What it says of a decision
depends on the decision, its text and the scale alone, so it is worked out when somebody asks.
"""

cimport cython
from libc.stdint cimport int8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from sophia._core.decision cimport SOPHIA_VETO, Decision
from sophia._core.idf cimport (
    SOPHIA_IDF_RARE,
    IdfTable,
    sophia_features,
    sophia_words_extract,
    utf8_of,
    utf8_source,
)

from typing import NamedTuple


cdef extern from "measure.h" nogil:
    enum:
        SOPHIA_MEASURE_ONE

    cdef struct sophia_measure:
        uint32_t length
        uint32_t entropy

    sophia_measure sophia_measure_text(const unsigned char *text, size_t size)
    void sophia_log2_init()
    uint32_t sophia_log2(uint64_t x)


cdef extern from "workspace.h" nogil:
    void *sophia_spare_take(void **spare)
    void *sophia_spare_put(void **spare, void *mine)


cdef enum:
    _GOOD = 1
    _BAD = -1
    _PRESSING = 2

cdef void *_spare = NULL  # a sophia_features, or NULL while a call uses it
_TONES = {"good": _GOOD, "bad": _BAD, "pressing": _PRESSING}
cdef double _PRESSED = 0.5  # the urgency of words that ask for haste
cdef double _HALF_BITS = 3.3125  # a rule's hit is half as urgent as it could be where one input in ten has it

LENGTH_TOP, ENTROPY_TOP, RARITY_TOP, DISTANCE_TOP = 20.0, 8.0, 1.0, 1.0
BINS = SCALE_BINS

sophia_log2_init()


class Measures(NamedTuple):
    """What a text is like: log2(1 + bytes), Shannon's entropy of its bytes in bits (0 to 8), and how rare its rarest
    word is (0 to 1: no document has it)."""

    length: float
    entropy: float
    rarity: float


class Salience(NamedTuple):
    """How much attention an input deserves, and why; all in [0, 1].

    urgency: how soon somebody should look. A danger rule's severity; of a rule that only reports less, the more often
        it hits in this stream (half of it where one input in ten is hit); in a message words that ask for haste count
        0.5; an input at which its pattern came too often, by an alarm, 0.75.
    novelty: how little its pattern is known: 1 for a new one, 1/2 after one sighting, 1/(n + 1) after n; more where the
        text is not quite like its pattern. Other than `Decision.novelty` it does not become 1 because a rule has hit.
    complexity: how it stands out among the inputs that were observed before birth: the mean of the shares of them that
        were shorter, whose bytes repeated more, whose rarest word was more common, and that were nearer to their
        pattern. 0.5 is usual, whatever the stream.
    valence: its tone by its words: 0 bad news, 0.5 neither, 1 good news. Words alone: it knows no irony, no negation.
    attention: novelty and urgency together, to sort by; where most inputs are new, as in a chat, novelty says little,
        and complexity has a part in it.
    """

    urgency: float
    novelty: float
    complexity: float
    valence: float
    attention: float


cdef sophia_features *_words_of(object text, IdfTable table, sophia_measure *measure) except NULL:
    """The measure and the words of a text; to be given back with _give."""
    cdef Py_ssize_t size = 0
    source = utf8_source(text)
    cdef const unsigned char *data = utf8_of(source, &size)
    cdef sophia_features *words = <sophia_features *>sophia_spare_take(&_spare)
    if words == NULL:
        words = <sophia_features *>malloc(sizeof(sophia_features))
    if words == NULL:
        raise MemoryError("no memory for the words of a text")
    measure[0] = sophia_measure_text(data, <size_t>size)
    if sophia_words_extract(data, <size_t>size, &table.keys, words) < 0:
        words.count = 0  # longer than 4 GiB
    return words


cdef inline void _give(sophia_features *words) noexcept nogil:
    free(sophia_spare_put(&_spare, words))


def measure(text, IdfTable words not None):
    """Length, entropy and rarity of a text (str, or bytes of UTF-8) as a `Measures`. About 0.5 us for a line of a log.

        >>> from sophia._core.idf import IdfTable
        >>> table = IdfTable()
        >>> for line in ("the cat sat", "the cat ran"):
        ...     table.observe_words(line)
        >>> measure("the cat", table).rarity < measure("the dog", table).rarity
        True
        >>> measure("aaaa", table)
        Measures(length=2.322021484375, entropy=0.0, rarity=1.0)
    """
    cdef sophia_measure found
    cdef sophia_features *features = _words_of(text, words, &found)
    cdef uint32_t rarity = words.rarity(features)
    _give(features)
    return Measures(
        found.length / <double>SOPHIA_MEASURE_ONE, found.entropy / <double>SOPHIA_MEASURE_ONE,
        rarity / <double>SOPHIA_IDF_RARE,
    )


cdef double _rank(const sophia_rank *of, double value) noexcept nogil:
    """The share of what was observed that lies below a value; half of what lies in its own bin counts."""
    cdef int at = <int>(value * SCALE_BINS / of.top)
    if at >= SCALE_BINS:
        at = SCALE_BINS - 1
    return 0.5 * (of.below[at] + of.below[at + 1])


cdef inline double _worth(double severity, uint64_t seen, uint64_t hits) noexcept nogil:
    """A severity, less the more of what was seen the rule had hit."""
    cdef double bits = (sophia_log2(seen + 2) - sophia_log2(hits + 1)) / 4096.0
    return severity * bits / (bits + _HALF_BITS)


@cython.final
cdef class Scale:
    """What is usual among the inputs of one kind: distributions of length, entropy, rarity and of the distance from the
    pattern (1 - closeness), and a table of words.

    `length`, `entropy`, `rarity` and `distance` are 64 counts each, of bins of equal width from 0 to 20, 8, 1 and 1.
    Without a count a rank is 0.5. `crowded` says that most of the inputs were new. `tone` maps words (lower case) to
    "good", "bad" or "pressing"; at most 1,024.
    """

    def __cinit__(self, IdfTable words not None, *, length, entropy, rarity, distance, crowded, tone=None):
        cdef int i, k
        cdef double total, below
        self.words = words
        self.crowded = crowded
        for k, (name, counts, top) in enumerate((
            ("length", length, LENGTH_TOP), ("entropy", entropy, ENTROPY_TOP), ("rarity", rarity, RARITY_TOP),
            ("distance", distance, DISTANCE_TOP),
        )):
            if len(counts) != SCALE_BINS:
                raise ValueError(f"{name} has {len(counts)} counts; it takes {SCALE_BINS}")
            if not all(isinstance(count, int) and 0 <= count < 1 << 62 for count in counts):
                raise ValueError(f"{name} has counts that are none: {counts!r:.80}")
            total, below = sum(counts), 0.0
            self.ranks[k].top = top
            for i in range(SCALE_BINS):
                self.ranks[k].below[i] = below / total if total else 0.5
                below += counts[i]
            self.ranks[k].below[SCALE_BINS] = 1.0 if total else 0.5
        memset(self.tone_keys, 0, sizeof(self.tone_keys))
        memset(self.tone_values, 0, sizeof(self.tone_values))
        tone = {} if tone is None else dict(tone)  # whose length is that of its items: a full table has no end
        if len(tone) > TONE_SLOTS // 2:
            raise ValueError(f"tone has {len(tone)} words; it takes {TONE_SLOTS // 2} at most")
        for word, kind in tone.items():
            self._put_word(word, _TONES[kind])

    def _put_word(self, word, int value):
        cdef sophia_measure found
        cdef sophia_features *features = _words_of(word, self.words, &found)
        try:
            if features.count != 1:
                raise ValueError(f"tone has {word!r}, which is not one word of letters")
            self._add_tone(features.entries[0].hash, <int8_t>value)
        finally:
            _give(features)

    cdef void _add_tone(self, uint64_t key, int8_t value) noexcept nogil:
        cdef uint64_t at = key & (TONE_SLOTS - 1)
        while self.tone_keys[at] != 0 and self.tone_keys[at] != key:
            at = (at + 1) & (TONE_SLOTS - 1)
        self.tone_keys[at], self.tone_values[at] = key, value

    cdef int _tone(self, uint64_t key) noexcept nogil:
        cdef uint64_t at = key & (TONE_SLOTS - 1)
        while self.tone_keys[at] != 0:
            if self.tone_keys[at] == key:
                return self.tone_values[at]
            at = (at + 1) & (TONE_SLOTS - 1)
        return 0

    def of(self, Decision decision not None):
        """The `Salience` of a decision. About 1 us for a line of a log."""
        cdef sophia_salience found
        self.measure(decision, &found)
        return Salience(found.urgency, found.novelty, found.complexity, found.valence, found.attention)

    def record(self, Decision decision not None):
        """The same as it stands in a record of `sophia run`: a JSON object, four decimals each. Half the cost."""
        cdef sophia_salience found
        self.measure(decision, &found)
        # not by printf, whose decimal point is the locale's
        return (
            f'{{"urgency": {found.urgency:.4f}, "novelty": {found.novelty:.4f}, "complexity": {found.complexity:.4f}, '
            f'"valence": {found.valence:.4f}, "attention": {found.attention:.4f}}}'
        )

    cdef int measure(self, Decision decision, sophia_salience *out) except -1:
        cdef sophia_measure found
        cdef sophia_features *features
        cdef uint32_t i
        cdef int tone, good = 0, bad = 0, pressing = 0
        cdef double urgency = decision._alarm, novelty = decision.novelty, complexity = 0.0, known, same
        if decision.text is not None:
            features = _words_of(decision.text, self.words, &found)
            complexity = (
                _rank(&self.ranks[0], found.length / <double>SOPHIA_MEASURE_ONE)
                + _rank(&self.ranks[1], found.entropy / <double>SOPHIA_MEASURE_ONE)
                + _rank(&self.ranks[2], self.words.rarity(features) / <double>SOPHIA_IDF_RARE)
                + _rank(&self.ranks[3], 1.0 - decision.closeness)
            ) * 0.25
            for i in range(features.count):
                tone = self._tone(features.entries[i].hash)
                good += tone == _GOOD
                bad += tone == _BAD
                pressing += tone == _PRESSING
            _give(features)
        if pressing and not decision._line:
            urgency = max(urgency, _PRESSED)
        if decision.danger is not None:
            if decision._verdict == SOPHIA_VETO:
                urgency = max(urgency, decision.danger.severity)
            else:
                urgency = max(urgency, _worth(decision.danger.severity, decision._seen, decision._hits))
            known, same = <double>decision.earlier, <double>decision.earlier_same
            novelty = 1.0 - max(decision.closeness * known / (known + 1.0), same / (same + 1.0))
        out.urgency, out.novelty, out.complexity = urgency, novelty, complexity
        out.valence = 0.5 + 0.5 * (good - bad) / <double>(good + bad + 1)
        if self.crowded:
            out.attention = (novelty + urgency + complexity) / 3.0
        else:
            out.attention = 0.5 * (novelty + urgency)
        return 0
