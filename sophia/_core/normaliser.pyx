"""Normal form of a text: what may differ between two inputs that share one answer.

The rule is in ``include/normalise.h``: NFC, case folded in plain words only, blanks and line breaks collapsed,
one closing mark behind a word dropped at the very end. Everything else is meaning and stays.
"""

import sys
import unicodedata

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy

from cpython.unicode cimport (
    Py_UNICODE_ISALPHA,
    Py_UNICODE_ISLOWER,
    Py_UNICODE_ISNUMERIC,
    Py_UNICODE_ISSPACE,
    Py_UNICODE_ISTITLE,
    Py_UNICODE_ISUPPER,
    Py_UNICODE_TOLOWER,
)


cdef extern from "normalise.h" nogil:
    enum:
        SOPHIA_CLASS_OTHER
        SOPHIA_CLASS_LOWER
        SOPHIA_CLASS_UPPER
        SOPHIA_CLASS_LETTER
        SOPHIA_CLASS_DIGIT
        SOPHIA_CLASS_SPACE
        SOPHIA_CLASS_BREAK
        SOPHIA_CLASS_APOSTROPHE
        SOPHIA_CLASS_OPEN
        SOPHIA_CLASS_CLOSE
        SOPHIA_CLASS_STOP
        SOPHIA_CLASS_QUERY
        SOPHIA_CLASS_BANG
        SOPHIA_EDIT_DROP
        SOPHIA_EDIT_KEEP
        SOPHIA_EDIT_FOLD
        SOPHIA_EDIT_SPACE
        SOPHIA_EDIT_BREAK
    uint8_t sophia_ascii_class(unsigned char c)
    void sophia_plan_edits(const uint8_t *cls, size_t size, uint8_t *edit)


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    object PyUnicode_FromKindAndData(int kind, const void *buffer, Py_ssize_t size)
    int PyUnicode_4BYTE_KIND


# Part of every policy version: a change of the rule makes stored answers unreachable instead of wrong.
VERSION = 2

cdef uint8_t _ascii[128]
cdef uint8_t _odd[16]  # classes that the short way cannot take
cdef uint8_t _is_mark[16]
for _code in range(128):
    _ascii[_code] = sophia_ascii_class(_code)
for _code in range(16):
    _odd[_code] = _code in (SOPHIA_CLASS_UPPER, SOPHIA_CLASS_BREAK)
    _is_mark[_code] = _code in (SOPHIA_CLASS_STOP, SOPHIA_CLASS_QUERY, SOPHIA_CLASS_BANG)


cdef size_t normalise_ascii(
    const unsigned char *text, size_t size, uint8_t *classes, unsigned char *out
) noexcept nogil:
    cdef uint8_t *edit = classes + size
    cdef size_t i, kept = 0
    cdef uint8_t before = SOPHIA_CLASS_SPACE, here
    cdef unsigned int odd = 0
    # Small letters, single spaces and no mark at the end: its own normal form, as most messages are.
    for i in range(size):
        here = _ascii[text[i]]
        classes[i] = here
        odd |= _odd[here] | ((here == SOPHIA_CLASS_SPACE) & ((before == SOPHIA_CLASS_SPACE) | (text[i] != c" ")))
        before = here
    if not odd and before != SOPHIA_CLASS_SPACE and not _is_mark[before]:
        memcpy(out, text, size)
        return size
    sophia_plan_edits(classes, size, edit)
    for i in range(size):
        if edit[i] == SOPHIA_EDIT_DROP:
            continue
        if edit[i] == SOPHIA_EDIT_FOLD:
            out[kept] = text[i] + 32
        elif edit[i] == SOPHIA_EDIT_SPACE:
            out[kept] = c" "
        elif edit[i] == SOPHIA_EDIT_BREAK:
            out[kept] = c"\n"
        else:
            out[kept] = text[i]
        kept += 1
    return kept


cdef uint8_t _class_of(Py_UCS4 c):
    if c < 128:
        return _ascii[c]
    if Py_UNICODE_ISNUMERIC(c):  # before the letters: a Roman numeral is both
        return SOPHIA_CLASS_DIGIT
    if Py_UNICODE_ISUPPER(c) or Py_UNICODE_ISTITLE(c):
        # No lower case, or one that takes two code points (dotted capital I): a letter without case.
        return SOPHIA_CLASS_LETTER if c == 0x130 or Py_UNICODE_TOLOWER(c) == c else SOPHIA_CLASS_UPPER
    if Py_UNICODE_ISLOWER(c):
        return SOPHIA_CLASS_LOWER
    if Py_UNICODE_ISALPHA(c):
        return SOPHIA_CLASS_LETTER
    if c in (0x85, 0x2028, 0x2029):
        return SOPHIA_CLASS_BREAK
    if Py_UNICODE_ISSPACE(c):
        return SOPHIA_CLASS_SPACE
    if c in (0x2018, 0x2019):
        return SOPHIA_CLASS_APOSTROPHE
    if c in (0x201C, 0x201E, 0xAB, 0xBF, 0xA1):
        return SOPHIA_CLASS_OPEN
    if c in (0x201D, 0xBB):
        return SOPHIA_CLASS_CLOSE
    return SOPHIA_CLASS_OTHER


cdef bytes normalise_unicode(str text):
    cdef str composed = unicodedata.normalize("NFC", text)
    cdef Py_ssize_t size = len(composed), i, kept = 0
    cdef Py_UCS4 c
    cdef Py_UCS4 *out
    cdef uint8_t *classes
    cdef uint8_t *edit
    if size == 0:
        return b""
    out = <Py_UCS4 *>PyMem_Malloc(size * (sizeof(Py_UCS4) + 2))
    if out == NULL:
        raise MemoryError(f"normal form of a text of {size} characters")
    classes = <uint8_t *>(out + size)
    edit = classes + size
    try:
        for i in range(size):
            classes[i] = _class_of(composed[i])
        sophia_plan_edits(classes, size, edit)
        for i in range(size):
            c = composed[i]
            if edit[i] == SOPHIA_EDIT_DROP:
                continue
            if edit[i] == SOPHIA_EDIT_FOLD:
                c = Py_UNICODE_TOLOWER(c)
            elif edit[i] == SOPHIA_EDIT_SPACE:
                c = u" "
            elif edit[i] == SOPHIA_EDIT_BREAK:
                c = u"\n"
            out[kept] = c
            kept += 1
        return (<str>PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, out, kept)).encode("utf-8")
    finally:
        PyMem_Free(out)


cpdef bint stream_safe(str text):
    """False for a text with more than 32 combining marks in a row, which normalising would take quadratic time for."""
    cdef Py_UCS4 c
    cdef int run = 0
    for c in text:
        if c < 0x300 or Py_UNICODE_ISALPHA(c) or Py_UNICODE_ISSPACE(c):
            run = 0
        elif unicodedata.combining(chr(c)):
            run += 1
            if run > 32:
                return False
        else:
            run = 0
    return True


# Letters of other scripts that look like Latin ones, as an attacker's keyboard has them.
_LOOKALIKES = (
    ("\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0455\u0458\u0501\u051b\u051d\u04bb", "aeopcxyisjdqwh"),
    ("\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406\u0408\u0405\u0423", "ABEKMHOPCTXIJSY"),
    ("\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7", "ABEZHIKMNOPTYX"),
    ("\u03bf\u03b1\u03bd\u03b9\u03c1\u03c5", "oavipu"),
    ("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "----------"),
)

# Code points that show nothing or sit on a letter: Cf, Cc but blanks, default ignorables, the common Mn blocks.
_HIDDEN = (
    (0x00, 0x09), (0x0E, 0x20), (0x7F, 0x85), (0x86, 0xA0), (0xAD, 0xAE), (0x300, 0x370), (0x483, 0x48A),
    (0x600, 0x606), (0x61C, 0x61D), (0x6DD, 0x6DE), (0x70F, 0x710), (0x890, 0x892), (0x8E2, 0x8E3), (0x115F, 0x1161),
    (0x17B4, 0x17B6), (0x180B, 0x1810), (0x1AB0, 0x1B00), (0x1DC0, 0x1E00), (0x200B, 0x2010), (0x202A, 0x202F),
    (0x2060, 0x2070), (0x20D0, 0x2100), (0x2800, 0x2801), (0x3164, 0x3165), (0xD800, 0xE000), (0xFE00, 0xFE10),
    (0xFE20, 0xFE30), (0xFEFF, 0xFF00), (0xFFA0, 0xFFA1), (0xFFF0, 0xFFFE), (0x110BD, 0x110BE), (0x110CD, 0x110CE),
    (0x13430, 0x13440), (0x1BCA0, 0x1BCA4), (0x1D173, 0x1D17B), (0xE0000, 0xE0020), (0xE007F, 0xE0100),
    (0xE0100, 0xE01F0),
)

cdef dict _dropped = None
cdef dict _blanked = None


cdef int _fill_tables() except -1:
    """What a hidden sign becomes in the two views of a text: nothing, or a space."""
    global _dropped, _blanked
    shared = {0x0B: " ", 0x85: " ", 0x2028: " ", 0x2029: " "}  # blanks for us, not for the rules' \\s
    for signs, letters in _LOOKALIKES:
        shared.update(zip(map(ord, signs), letters))
    for code in range(0xE0020, 0xE007F):  # tag letters: ASCII, shown by nobody
        shared[code] = chr(code - 0xE0000)
    codes = [code for low, high in _HIDDEN for code in range(low, high)]
    _dropped = dict.fromkeys(codes) | shared
    _blanked = dict.fromkeys(codes, " ") | shared
    return 0


cdef list unmask(str text):
    if _dropped is None:
        _fill_tables()
    cdef str plain = unicodedata.normalize("NFKD", text) if stream_safe(text) else text
    cdef list views = []
    for view in (plain.translate(_dropped), plain.translate(_blanked)):
        if view != text and view not in views:
            views.append(view)
    return views


def normalise(text: str) -> str:
    """The normal form of `text`: equal for two texts that may share an answer.

    ASCII costs a few nanoseconds a character, other text some tens (Python's Unicode tables; their version,
    ``unicodedata.unidata_version``, is part of the policy version). Thread-safe. Raises UnicodeEncodeError
    for lone surrogates. Example::

        >>> normalise("  How do I turn ON   dark mode?\\r\\n")
        'how do i turn ON dark mode'
        >>> normalise("Give 5 mW") == normalise("give 5 MW")
        False
    """
    cdef bytes raw
    cdef bytearray work, out
    cdef size_t kept
    if not PyUnicode_IS_ASCII(text):
        return normalise_unicode(text).decode("utf-8")
    raw = text.encode("ascii")
    work = bytearray(2 * len(raw) + 1)
    out = bytearray(len(raw) + 1)
    kept = normalise_ascii(raw, len(raw), <uint8_t *><char *>work, <unsigned char *><char *>out)
    return out[:kept].decode("ascii")


if sys.byteorder != "little":
    raise ImportError("sophia supports little-endian machines only (x86-64, aarch64)")
