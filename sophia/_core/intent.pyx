"""From the scores of a readout to an intent, or to none, with a confidence: compiled, without the GIL.

The confidence is a logistic function of the best score alone. The margin to the second best would make it no better
calibrated and much worse at telling what is out of scope: 0.97 of 1 of pairs in the right order fall to 0.94.
"""

cimport cython
from libc.math cimport exp, isfinite, isnan
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from sophia._core.idf cimport utf8_of, utf8_source
from sophia._core.normaliser cimport stream_safe
from sophia._core.readout cimport Readout, sophia_judgement

from sophia._core.normaliser import normalise


INTENT_WHYS = ("route", "low-confidence", "out-of-scope")
"""Why an intent is taken, or why none is."""

cdef enum:
    _KNOWN_SHARE = 5  # with less than one feature in this many known, a text is out of scope


@cython.final
cdef class IntentModel:
    """A readout with the names, thresholds and calibration of its classes. Immutable; thread-safe.

    The confidence of a text is 1 / (1 + exp(-(slope * best score + offset))). Below the threshold of the best route
    the answer is none, "low-confidence"; below half of it, or where less than a fifth of the text's features were
    ever seen in training, "out-of-scope". `safe` says which routes may be handled by reflex. `version` names the
    model in decisions. Raises ValueError for what cannot be meant. About 1.3 us a text of 40 bytes.
    """

    def __cinit__(self, Readout readout not None, tuple names not None, *, list thresholds not None,
                  list safe not None, double slope, double offset, str version=""):
        cdef uint32_t route
        if not (len(names) == len(thresholds) == len(safe) == readout.classes):
            raise ValueError(f"{len(names)} names, {len(thresholds)} thresholds and {len(safe)} marks of safety for "
                             f"{readout.classes} classes; each class needs one of each")
        if not (isfinite(slope) and isfinite(offset) and slope > 0.0):
            raise ValueError(f"slope {slope} and offset {offset} must be finite, slope over 0")
        self.readout, self.names, self.version = readout, names, version
        self.slope, self.offset = slope, offset
        self._thresholds = <double *>malloc(readout.classes * sizeof(double))
        self._safe = <unsigned char *>malloc(readout.classes)
        if self._thresholds == NULL or self._safe == NULL:
            raise MemoryError(f"no memory for {readout.classes} routes")
        for route in range(readout.classes):
            self._thresholds[route] = thresholds[route]
            self._safe[route] = bool(safe[route])
            if isnan(self._thresholds[route]) or not 0.0 <= self._thresholds[route] <= 1.0:
                raise ValueError(f"the threshold of {names[route]!r} is {thresholds[route]!r}; it must be 0 to 1")

    def __dealloc__(self):
        free(self._thresholds)
        free(self._safe)

    cdef void judge(self, const unsigned char *text, size_t size, sophia_intent *out) noexcept nogil:
        cdef sophia_judgement found
        cdef double threshold
        memset(out, 0, sizeof(sophia_intent))
        out.why = INTENT_OUT_OF_SCOPE
        if self.readout.judge(text, size, &found) != 0 or found.seen == 0:
            return
        out.seen, out.best, out.second = found.seen, found.best, found.second
        out.score, out.second_score = found.best_score, found.second_score
        out.confidence = 1.0 / (1.0 + exp(-(self.slope * found.best_score + self.offset)))
        out.safe = self._safe[found.best]
        threshold = self._thresholds[found.best]
        if found.known * _KNOWN_SHARE < found.seen or out.confidence < 0.5 * threshold:
            return
        out.why = INTENT_ROUTE if out.confidence >= threshold else INTENT_LOW_CONFIDENCE

    cdef object intent_of(self, const sophia_intent *judged):
        """The name of the route that is taken, or None."""
        return self.names[judged.best] if judged.why == INTENT_ROUTE else None

    cdef object runner_up_of(self, const sophia_intent *judged):
        """The best route that is not taken: the second best, or the best where none is."""
        if judged.seen == 0:
            return None
        if judged.why != INTENT_ROUTE:
            return self.names[judged.best]
        return self.names[judged.second] if judged.second != judged.best else None

    def predict(self, str text not None):
        """(intent or None, confidence, runner-up or None, why) for one text; the runner-up is the best not taken."""
        cdef sophia_intent judged
        cdef Py_ssize_t size = 0
        cdef const unsigned char *data
        memset(&judged, 0, sizeof(judged))
        judged.why = INTENT_OUT_OF_SCOPE
        # Half of a surrogate pair is no text, and composing a heap of combining marks takes quadratic time.
        if text.isascii() or (stream_safe(text) and _encodes(text)):
            source = utf8_source(text if text.isascii() else normalise(text))
            data = utf8_of(source, &size)
            with nogil:
                self.judge(data, <size_t>size, &judged)
        return self.intent_of(&judged), judged.confidence, self.runner_up_of(&judged), INTENT_WHYS[judged.why]

    def confidence_of(self, double score):
        """The confidence that a best score means."""
        return 1.0 / (1.0 + exp(-(self.slope * score + self.offset)))

    def __reduce__(self):
        raise TypeError("an IntentModel cannot be pickled; save the Intents that it belongs to")


cdef bint _encodes(str text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
