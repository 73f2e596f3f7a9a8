"""Detours by which words get past the danger rules, for C callers."""

from sophia._core.literals cimport LiteralSet


cdef extern from "detour.h" nogil:
    enum:
        SOPHIA_DETOUR_DEPTH

    bint sophia_detour_possible(const unsigned char *text, size_t size)
    size_t sophia_detour_view(const unsigned char *text, size_t size, unsigned char *out, unsigned *kinds)


cdef extern from "spacing.h" nogil:
    bint sophia_spacing_possible(const unsigned char *text, size_t size)
    size_t sophia_spacing_view(const unsigned char *text, size_t size, unsigned char *out, bint *changed)


# [(text, detours)]: what `text` says when its detours are undone; see views_of.
cdef list views(str text)

# Whether some view of an ASCII text by its encodings or spacing may hit a rule, or needs Python to be read. `work` has
# room for three times `size` bytes.
cdef bint may_hide(LiteralSet literals, const unsigned char *text, size_t size, unsigned char *work) noexcept nogil
