"""The danger score for C callers."""

from sophia._core.readout cimport Readout


cdef class Suspicion:
    cdef readonly Readout readout
    cdef readonly double slope
    cdef readonly double offset
    # 0 to 1; 0 for a text of one or two words, 1 where memory is missing (in doubt, more thought). UTF-8 as the readout
    # takes it.
    cdef double judge(self, const unsigned char *text, size_t size) noexcept nogil
