"""Labelled vectors, and the float weights that are trained on them."""

from libc.stdint cimport int16_t, uint32_t, uint64_t

from sophia._core.lexical cimport LexicalEncoder
from sophia._core.rows cimport Rows


cdef extern from "training.h" nogil:
    cdef struct sophia_ro_training:
        uint32_t classes
        size_t stride
        float smoothing
        float rate
        uint32_t dropout
        const float *free

    cdef struct sophia_ro_examples:
        const uint32_t *labels
        const uint64_t *offsets
        const uint32_t *positions
        const int16_t *values
        const unsigned char *rows
        size_t row_bytes
        size_t dim
        int packed

    cdef struct sophia_ro_scratch:
        uint32_t *positions
        float *values
        int16_t *row
        uint32_t *all
        float *scores
        const float *zeros


cdef extern from "pages.h" nogil:
    size_t SOPHIA_PAGES_LEAST
    void *sophia_pages_take(size_t bytes)
    void *sophia_pages_zeroed(size_t bytes)
    void sophia_pages_give(void *block, size_t bytes)


# Zeros at a multiple of 64 bytes, the caller's to give back with sophia_pages_give().
cdef void *zeros(size_t size) except NULL

cdef size_t round_up(size_t n, size_t step) noexcept nogil


cdef class Examples:
    cdef readonly LexicalEncoder encoder    # None for rows
    cdef readonly size_t dim
    cdef sophia_ro_examples given           # points into the blocks below, or into `rows`, which holds its owner
    cdef Py_ssize_t count
    cdef uint32_t classes                   # one more than the largest label
    cdef size_t longest                     # terms of an example, without the bias
    cdef uint64_t *offsets
    cdef uint32_t *positions
    cdef int16_t *values
    cdef uint32_t *labels
    cdef Rows rows
    cdef int take_labels(self, list numbers, Py_ssize_t count, str what) except -1
    cdef int take_texts(self, list sources) except -1
    cdef int reserve(self, uint64_t terms) except -1


cdef class Weights:
    cdef readonly LexicalEncoder encoder    # None for weights over rows
    cdef readonly size_t dim
    cdef readonly uint32_t classes
    cdef size_t stride
    cdef float *data                # (dim + 1) rows of stride, 64-byte aligned; the last is the bias's
    cdef float *squares             # dim + 1
    cdef int set_up(self, object source, size_t classes) except -1
