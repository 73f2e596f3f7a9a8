"""Detours by which words get past the danger rules, and the texts that show them.

Three kinds: signs that hide letters (invisible signs, compatibility forms, stacked marks, look-alikes; undone by
``normaliser.unmask``), encodings (base64, hexadecimal, percent signs, backslash escapes, character references;
undone by ``include/detour.h``), and spacing (runs of blanks, continued lines, paths that wind; ``include/spacing.h``),
which is undone in every view. Each may hide another. The raw text is scanned as well, by whoever asks for these.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from sophia._core.decision cimport sophia_has_controls
from sophia._core.literals cimport LiteralSet
from sophia._core.normaliser cimport unmask


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL


# Bits of a view's detours, in the order in which they are told.
_NAMES = ("percent", "escape", "entity", "base64", "hex", "disguise", "spacing")
cdef enum:
    _DISGUISE = 32
    _SPACING = 64
    _ROOM = 4           # times the bytes of the text, and a page: the characters that all its views may hold together
    _PAGE = 4096


cdef bint hides(object text):
    """Whether letters of a text may be hidden by signs that are no letters."""
    cdef bytes data
    if not PyUnicode_IS_ASCII(text):
        return True
    data = (<str>text).encode("ascii")
    return sophia_has_controls(<const unsigned char *>PyBytes_AS_STRING(data), <size_t>PyBytes_GET_SIZE(data))


cdef tuple _decoded(str text):
    """(view, bits) of the encodings of a text; bits 0 where it has none."""
    cdef bytes data = text.encode("utf-8", "replace")
    cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(data)
    cdef size_t size = <size_t>PyBytes_GET_SIZE(data), wrote
    cdef unsigned kinds = 0
    if not sophia_detour_possible(at, size):
        return None, 0
    cdef bytes out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
    cdef unsigned char *to = <unsigned char *>PyBytes_AS_STRING(out)
    with nogil:
        wrote = sophia_detour_view(at, size, to, &kinds)
    if not kinds:
        return None, 0
    return out[:wrote].decode("utf-8", "replace"), kinds


cdef str _spaced(str text):
    """A text with its spacing undone; the text itself where that is as usual."""
    cdef Py_ssize_t length = 0
    cdef bytes data
    cdef const unsigned char *at
    if PyUnicode_IS_ASCII(text):  # as it lies there
        at = <const unsigned char *>PyUnicode_AsUTF8AndSize(text, &length)
    else:
        data = text.encode("utf-8", "replace")
        at, length = <const unsigned char *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
    cdef size_t size = <size_t>length, wrote
    cdef bint changed = False
    if not sophia_spacing_possible(at, size):
        return text
    cdef bytes out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
    cdef unsigned char *to = <unsigned char *>PyBytes_AS_STRING(out)
    with nogil:
        wrote = sophia_spacing_view(at, size, to, &changed)
    return out[:wrote].decode("utf-8") if changed else text


cdef str _told(unsigned kinds):
    return "+".join([name for bit, name in enumerate(_NAMES) if kinds >> bit & 1])


cdef list views(str text):
    cdef list found = [], layer = [(text, 0)], next_layer, shapes
    cdef set known = {text}
    cdef Py_ssize_t room = _ROOM * len(text.encode("utf-8", "replace")) + _PAGE
    cdef unsigned kinds, more
    cdef int depth
    for depth in range(SOPHIA_DETOUR_DEPTH + 1):
        next_layer = []
        for shown, kinds in layer:
            found.append((shown, kinds))
            shapes = [(plain, kinds | _DISGUISE) for plain in unmask(shown)] if hides(shown) else []
            found += shapes
            # What is hidden by signs decodes only when they are gone.
            for plain, more in shapes or [(shown, kinds)]:
                if depth < SOPHIA_DETOUR_DEPTH:
                    decoded, bits = _decoded(plain)
                    if bits:
                        next_layer.append((decoded, more | bits))
        layer = next_layer
        if not layer:
            break
    out = []
    for plain, kinds in found:
        shown = _spaced(plain)  # only now: to an encoding, spacing may be its content
        if shown in known:
            continue
        room -= len(shown)
        if room < 0:
            break
        known.add(shown)
        out.append((shown, _told(kinds or _SPACING)))
    return out


cdef inline bint _plain(const unsigned char *text, size_t size) noexcept nogil:
    """ASCII without control signs: as it is, the prefilter can read it."""
    cdef unsigned char high = 0
    cdef size_t i
    for i in range(size):
        high |= text[i]
    return high < 0x80 and not sophia_has_controls(text, size)


cdef inline bint _spacing_hits(
    LiteralSet literals, const unsigned char *text, size_t size, unsigned char *out
) noexcept nogil:
    cdef bint changed = False
    if not sophia_spacing_possible(text, size):
        return False
    size = sophia_spacing_view(text, size, out, &changed)
    return changed and literals.may_hit(out, size)


cdef bint may_hide(LiteralSet literals, const unsigned char *text, size_t size, unsigned char *work) noexcept nogil:
    cdef const unsigned char *shown = text
    cdef unsigned char *out = work
    cdef unsigned char *spaced = work + 2 * size
    cdef unsigned kinds = 0
    cdef int depth
    if _spacing_hits(literals, text, size, spaced):
        return True
    for depth in range(SOPHIA_DETOUR_DEPTH):
        if not sophia_detour_possible(shown, size):
            return False
        size = sophia_detour_view(shown, size, out, &kinds)
        if not kinds:
            return False
        if not _plain(out, size) or literals.may_hit(out, size) or _spacing_hits(literals, out, size, spaced):
            return True
        # Two halves by turns: a view is no longer than what it was made of, and what that was made of is done with.
        shown, out = out, out + size
        if depth == 1:
            out = work
    return False


def views_of(text):
    """What a text says when its detours are undone: (text, detours) for each way, none for a plain one.

    Detours are told as "base64", or "percent+disguise" where one hides another: any of percent, escape, entity,
    base64, hex (encodings) and disguise (signs that hide letters); "spacing" where nothing but that was undone. An
    encoding is undone where it stands, so the words around it stay, up to three times one within another. All views
    together hold at most four times as many characters as the text has bytes, and 4,096. Lone surrogates count as
    question marks in what was encoded. Thread-safe. Example::

        >>> views_of("please run cm0gLXJmIC8=")
        [('please run rm -rf /', 'base64')]
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be str, not {type(text).__name__}")
    return views(str.__str__(text))
