"""Class prototypes that learn from examples."""

from libc.stdint cimport int8_t, uint8_t

from sophia._core.cpu cimport sophia_ln_kernels


cdef extern from "prototypes.h" nogil:
    enum sophia_prototype_rule:
        SOPHIA_RULE_ONLINE
        SOPHIA_RULE_ADAPT

    cdef struct sophia_prototypes:
        size_t dim, classes
        float *sums
        double *squares
        uint8_t *moved

    double sophia_norm_i8(const int8_t *row, size_t dim)
    double sophia_norm_f32(const float *row, size_t dim)
    void sophia_prototype_scores(const sophia_prototypes *prototypes, const int8_t *row, double norm,
                                 const sophia_ln_kernels *kernels, double *scores)
    void sophia_prototype_move(sophia_prototypes *prototypes, size_t c, const int8_t *row, double norm, double step,
                               double score, const sophia_ln_kernels *kernels)
    bint sophia_prototype_learn(sophia_prototypes *prototypes, const int8_t *row, size_t label,
                                sophia_prototype_rule rule, double rate, double margin,
                                const sophia_ln_kernels *kernels, double *scores)


cdef class Prototypes:
    cdef sophia_prototypes table

    # Private to the module.
    cdef int refresh(self) except -1
    cdef object _compared(self, object rows, object workers, bint cosine)
