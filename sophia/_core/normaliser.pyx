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


cdef inline bint _is_mark_sign(Py_UCS4 c):
    """Whether a code point is a combining mark, or falls apart into marks only."""
    if c in (0xFF9E, 0xFF9F, 0xF73, 0xF75, 0xF81):
        return True
    if c < 0x300 or Py_UNICODE_ISALPHA(c) or Py_UNICODE_ISSPACE(c):
        return False
    return unicodedata.combining(chr(c)) != 0


cpdef bint stream_safe(str text):
    """False for a text with more than 32 combining marks in a row, which normalising would take quadratic time for."""
    cdef Py_UCS4 c
    cdef int run = 0
    for c in text:
        if not _is_mark_sign(c):
            run = 0
        else:
            run += 1
            if run > 32:
                return False
    return True


# Signs of other scripts, and other signs, that look like those of ASCII, as an attacker's keyboard has them.
_LOOKALIKES = (
    ("\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0455\u0458\u0501\u051b\u051d\u04bb", "aeopcxyisjdqwh"),
    ("\u0432\u043a\u043c\u043d\u0442\u0433\u043f\u0475\u04cf\u04c0", "bkmhtrnvlI"),
    ("\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0406\u0408\u0405\u0423", "ABEKMHOPCTXIJSY"),
    ("\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7", "ABEZHIKMNOPTYX"),
    ("\u03bf\u03b1\u03bd\u03b9\u03c1\u03c5\u03ba\u03c4\u03b7\u03b5\u03c9\u03b3\u03c7\u03c2\u03f3", "oavipuktnewyxsj"),
    ("\u0561\u0570\u0578\u057d\u0581\u0585\u0566\u0575", "whnugoqj"),
    # Latin letters without a compatibility form: dotless, script, barred and small capitals.
    ("\u0131\u0237\u0251\u0261\u0269\u026a\u00f8\u00d8\u0111\u0110\u0127\u0126", "ijagiioOdDhH"),
    ("\u0142\u0141\u0167\u0166\u0180\u0268\u0247\u0249\u024d\u024f\u0289\u01e5\u1d7d\u01b6", "lLtTbiejryugpz"),
    ("\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u1d0a\u1d0b\u029f\u1d0d\u0274", "abcdefghjklmn"),
    ("\u1d0f\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22", "oprstuvwyz"),
    ("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\u2796\ufe58\ufe63\uff0d", "-" * 13),
    ("\u2215\u2044\u29f8\u2571\u27cb\u2216\u29f5\u29f9\u2572\u27cd", "/////" + "\\" * 5),
    ("\u2018\u2019\u201b\u02b9\u02bc\u2032", "'" * 6),
    ("\u201c\u201d\u201f", '"' * 3),
    ("\u2217\u204e\u2731\u223c\u2223\u01c0\u2236\ua789\u02d0\u2039\u203a\u066a", "***~||:::<>%"),
)

# Letters in a shape of their own, alphabets in order: in a dark circle, in a dark square, as half a flag.
_SHAPED = (0x1F150, 0x1F170, 0x1F1E6)

# Code points that show nothing and take no room: Cf, Cc but blanks, default ignorables.
_HIDDEN = (
    (0x00, 0x09), (0x0E, 0x20), (0x7F, 0x85), (0x86, 0xA0), (0xAD, 0xAE), (0x34F, 0x350),
    (0x600, 0x606), (0x61C, 0x61D), (0x6DD, 0x6DE), (0x70F, 0x710), (0x890, 0x892), (0x8E2, 0x8E3),
    (0x17B4, 0x17B6), (0x180B, 0x1810), (0x200B, 0x2010), (0x202A, 0x202F),
    (0x2060, 0x2070), (0xD800, 0xE000), (0xFE00, 0xFE10),
    (0xFEFF, 0xFF00), (0xFFF0, 0xFFFE), (0x110BD, 0x110BE), (0x110CD, 0x110CE),
    (0x13430, 0x13440), (0x1BCA0, 0x1BCA4), (0x1D173, 0x1D17B), (0xE0000, 0xE0020), (0xE007F, 0xE1000),
)

# Code points that show nothing and take room, and are letters or signs to Unicode.
_BLANKS = (0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0, 0x1D159)

# Blanks for us, not for the rules' \s; the others have a space as compatibility form.
_SPACES = (0x0B, 0x85, 0x1680, 0x2028, 0x2029)

# Marks that combine with nothing in canonical order: gone in every view, as the others are.
_ENCLOSING = ((0x488, 0x48A), (0x1ABE, 0x1ABF), (0x20DD, 0x20E1), (0x20E2, 0x20E5), (0xA670, 0xA673))

cdef dict _shown = None  # what a sign becomes in the three views of a text, see unmask


cdef enum:
    _GONE = 0x110000  # no code point


cdef int _fill_shown() except -1:
    global _shown
    cdef dict shown = {}
    shown.update((code, (_GONE, 32, _GONE)) for low, high in _HIDDEN for code in range(low, high))
    shown.update((code, (32, 32, _GONE)) for code in _BLANKS)
    shown.update((code, (_GONE, 32, code - 0xE0000)) for code in range(0xE0020, 0xE007F))  # tags
    shown.update((code, (_GONE, _GONE, _GONE)) for low, high in _ENCLOSING for code in range(low, high))
    alike = dict.fromkeys(_SPACES, " ")
    for signs, letters in _LOOKALIKES:
        alike.update(zip(map(ord, signs), letters, strict=True))
    for first in _SHAPED:
        alike.update((first + at, chr(ord("A") + at)) for at in range(26))
    shown.update((code, (ord(sign), ord(sign), ord(sign))) for code, sign in alike.items())
    _shown = shown
    return 0


cdef inline bint _is_long(Py_UCS4 c):
    """Whether a code point has a long compatibility form without Latin letters: a text of them could crowd out its own
    views."""
    return 0x3200 <= c <= 0xFDFC and (
        c < 0x3250 or 0x3260 <= c < 0x3280 or 0x3300 <= c < 0x3371 or 0x33AE <= c < 0x33B0 or c >= 0xFDF0
    )


cdef str _bare(str text):
    """A text without combining marks and without signs that have long compatibility forms."""
    cdef Py_UCS4 c
    for c in text:
        if c >= 0x300 and (_is_mark_sign(c) or _is_long(c)):
            break
    else:
        return text
    return "".join([chr(c) for c in text if c < 0x300 or not (_is_mark_sign(c) or _is_long(c))])


cdef list unmask(str text):
    if _shown is None:
        _fill_shown()
    # Marks go first: without them the form takes linear time, whatever the text.
    cdef str plain = unicodedata.normalize("NFKD", _bare(text)), view
    cdef Py_ssize_t size = len(plain), i
    cdef Py_ssize_t kept[3]
    cdef Py_UCS4 c
    cdef Py_UCS4 shape[3]
    cdef int k, shapes = 1
    cdef tuple found
    cdef list views = []
    cdef Py_UCS4 *out = <Py_UCS4 *>PyMem_Malloc(3 * size * sizeof(Py_UCS4) + 1)
    if out == NULL:
        raise MemoryError(f"plain forms of a text of {size} characters")
    try:
        kept[0] = kept[1] = kept[2] = 0
        for i in range(size):
            c = plain[i]
            shape[0] = shape[1] = shape[2] = c
            if c < 0x20 or c >= 0x7F:
                found = <tuple>_shown.get(<int>c)
                if found is not None:
                    shape[0], shape[1], shape[2] = <int>found[0], <int>found[1], <int>found[2]
                    if shape[0] != shape[1] or shape[0] != shape[2]:
                        shapes = 3
                elif _is_mark_sign(c):
                    continue
            for k in range(3):
                out[k * size + kept[k]] = shape[k]
                kept[k] += shape[k] != _GONE
        for k in range(shapes):
            view = PyUnicode_FromKindAndData(PyUnicode_4BYTE_KIND, out + k * size, kept[k])
            if view != text and view not in views:
                views.append(view)
        return views
    finally:
        PyMem_Free(out)


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
