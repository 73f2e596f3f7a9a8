"""Normal form of a text, the part of the exact cache's key that the user wrote."""

from libc.stdint cimport uint8_t

# Writes the normal form of ASCII `text` to `out` (room for `size` bytes) and returns its length; `classes` is
# scratch of 2 * size bytes. No byte of `text` may be above 127.
cdef size_t normalise_ascii(
    const unsigned char *text, size_t size, uint8_t *classes, unsigned char *out
) noexcept nogil

# The UTF-8 normal form of any string that can be encoded; NFC first.
cdef bytes normalise_unicode(str text)

# What a danger rule should see of a text that hides its letters (compatibility forms, zero-width signs, control
# characters): other texts to scan beside it, none where nothing is hidden. In all of them letters are plain and marks
# gone; in the first, what shows nothing is a blank where it takes room and nothing where it takes none; in the second
# it is always a blank; in the third never, and tag characters are the letters they stand for.
cdef list unmask(str text)

# False for a text with more than 32 combining marks in a row: normalising it takes quadratic time, and nobody
# writes so (Unicode Standard Annex 15, Stream-Safe Text Format).
cpdef bint stream_safe(str text)
