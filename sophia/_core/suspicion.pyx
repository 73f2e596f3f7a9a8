"""The danger score: how much a text sounds like one that turns a model against its owner.

A readout of two classes, calm and dangerous, over the text's words and pieces of words. A long text is read in windows
that overlap by half, and the highest score counts: an order in the middle of a letter is not diluted by the letter.
The score may raise the level of thought; what is refused, only the rules decide.
"""

cimport cython
from libc.math cimport exp, isfinite

from sophia._core.idf cimport utf8_of, utf8_source
from sophia._core.normaliser cimport stream_safe
from sophia._core.readout cimport Readout, sophia_judgement

from sophia._core.normaliser import normalise


cdef enum:
    _WINDOW = 128       # bytes
    _STEP = 64
    _FEATURES = 20      # about three words: with fewer, one of them would decide
    _REACH = 32         # bytes over which a window's edge is moved to a blank


cdef inline size_t _edge(const unsigned char *text, size_t size, size_t at) noexcept nogil:
    """Where a window that should begin or end at a byte does so: after the next blank, or at a whole character."""
    cdef size_t i
    if at >= size:
        return size
    for i in range(at, min(at + _REACH, size)):
        if text[i] == c" " or text[i] == c"\n":
            return i + 1
    while at < size and (text[at] & 0xC0) == 0x80:
        at += 1
    return at


@cython.final
cdef class Suspicion:
    """A readout of two classes (0 calm, 1 dangerous) and what the difference of their scores means.

    The score is 1 / (1 + exp(-(slope * difference + offset))) of the most suspicious window; a text of one or two words
    has none (0). Immutable; thread-safe. About 1 us for a text of 40 bytes, and 40 ns a byte for a long one. Raises
    ValueError for what cannot be meant.
    """

    def __cinit__(self, Readout readout not None, *, double slope, double offset):
        if readout.classes != 2 or readout.encoder is None:
            raise ValueError(f"a danger score needs a readout of two classes over texts, not of {readout.classes}")
        if not (isfinite(slope) and isfinite(offset) and slope > 0.0):
            raise ValueError(f"slope {slope} and offset {offset} must be finite, slope over 0")
        self.readout, self.slope, self.offset = readout, slope, offset

    cdef double judge(self, const unsigned char *text, size_t size) noexcept nogil:
        cdef sophia_judgement found
        cdef double score, best = 0.0
        cdef size_t begin = 0, end
        while True:
            end = size if size - begin <= _WINDOW else _edge(text, size, begin + _WINDOW)
            if self.readout.judge(text + begin, end - begin, &found) != 0:
                return 1.0
            if found.seen >= _FEATURES:
                score = found.best_score - found.second_score
                score = 1.0 / (1.0 + exp(-(self.slope * (score if found.best == 1 else -score) + self.offset)))
                best = max(best, score)
            if end >= size:
                return best
            begin = _edge(text, size, begin + _STEP)

    def score(self, str text not None):
        """The score of one text, 0 to 1. A heap of combining marks, or half a surrogate pair, scores 1."""
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data
        cdef double found
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return 1.0
            if not stream_safe(text):
                return 1.0
            text = normalise(text)
        source = utf8_source(text)
        data = utf8_of(source, &size)
        with nogil:
            found = self.judge(data, <size_t>size)
        return found

    def __reduce__(self):
        raise TypeError("a Suspicion cannot be pickled; make it anew")
