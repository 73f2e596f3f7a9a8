"""Features through a random matrix to hypervectors."""

from libc.stdint cimport int8_t, uint64_t

from sophia._core.cpu cimport sophia_ln_kernels


cdef extern from "projection.h" nogil:
    enum:
        SOPHIA_PROJECTION_ROWS

    cdef struct sophia_projection:
        size_t features, dim, blocks
        const float *weights
        const float *phases

    cdef struct sophia_projection_space:
        float *x
        int8_t *out

    void sophia_projection_space_free(sophia_projection_space *space)
    sophia_projection_space *sophia_projection_space_new(const sophia_projection *projection)
    void sophia_projection_run(const sophia_projection *projection, sophia_projection_space *space, size_t rows,
                               const sophia_ln_kernels *kernels)
    void sophia_projection_bits(const int8_t *row, size_t dim, uint64_t *out)


cdef class ProjectionEncoder:
    """Immutable but for its spare working memory; safe from any thread."""

    cdef float *weights
    cdef float *phases      # NULL: signs
    cdef sophia_projection plan
    cdef void *spare        # a sophia_projection_space, or NULL while a call uses it

    # Private to the module.
    cdef object _many(self, object values, object out, object workers, int form, int ndim)
