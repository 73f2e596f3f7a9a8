"""Stretches of a stream: what a chapter is made of, in a size that does not grow with it.

A stretch counts its inputs and keeps a sample of their patterns, each with some of its texts. It is for one thread at a
time, with the GIL. Cost: some 30 ns an input of a known pattern, .3 us one that is kept.
"""

import re
from typing import Protocol

cimport cython
from libc.math cimport log2, sqrt
from cpython.unicode cimport PyUnicode_FromKindAndData

from sophia._core.pattern import mask

cdef extern from "Python.h":
    enum:
        PyUnicode_1BYTE_KIND
    bint PyUnicode_IS_ASCII(object text)
    const unsigned char *PyUnicode_1BYTE_DATA(object text)

TEXT = 1000
"""Characters of an input that are looked at."""

cdef Py_ssize_t _TEXT = TEXT
cdef Py_ssize_t _ENTRIES = 512
cdef Py_ssize_t _OTHERS = 4  # texts of a pattern beside the first
cdef int _STEP = 100  # texts
cdef enum:
    LEAST = 3  # letters of a word
    MOST = 24
_WORD = re.compile(rf"[^\W\d_]{{{LEAST},{MOST}}}")


class Input(Protocol):
    """What was decided: its text, and where it stands."""

    @property
    def source(self) -> str: ...

    @property
    def line(self) -> int: ...

    @property
    def text(self) -> str | None: ...


cdef str _short(object text):
    """Of a text, if there is one, as much as is looked at."""
    cdef str whole = "" if text is None else <str?>text
    return whole if len(whole) <= _TEXT else whole[:_TEXT]


cdef tuple _words_of(str text):
    """The words of three letters or more, in small letters, each once, in their order."""
    cdef const unsigned char *data
    cdef unsigned char letters[MOST]
    cdef unsigned char one
    cdef Py_ssize_t i, size = len(text)
    cdef int length = 0
    cdef dict found = {}
    if not PyUnicode_IS_ASCII(text):
        return tuple(dict.fromkeys(_WORD.findall(text.lower())))
    data = PyUnicode_1BYTE_DATA(text)
    for i in range(size + 1):
        one = data[i] | 32 if i < size else 32  # a capital letter becomes a small one, and nothing else a letter
        if c"a" <= one <= c"z":
            if length == MOST:
                found[PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, letters, length)] = None
                length = 0
            letters[length] = one
            length += 1
        else:
            if length >= LEAST:
                found[PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, letters, length)] = None
            length = 0
    return tuple(found)


@cython.final
cdef class Entry:
    """A pattern of a stretch: its `count` there, its first input (decision `n`, at `line` of `source`), and some of its
    texts. Made by a `Stretch`."""

    def __init__(self, *args, **kwargs):
        raise TypeError("an entry is made by the stretch that it is of")

    cdef int also(self, str other) except -1:
        """Takes another text of the pattern, where there are few and it is another one."""
        if len(self._others) < _OTHERS and other != self._text:
            self._others.append(other)
        return 0

    @property
    def masked(self) -> str:
        """Its text without what is a value, or differs in the other texts."""
        cdef list words, theirs
        cdef bint differs = False
        cdef Py_ssize_t i
        if self._masked is None:
            self._masked = mask(self._text)
            words = self._masked.split()
            for other in self._others:
                theirs = (<str>mask(other)).split()
                if len(theirs) == len(words):
                    for i in range(len(words)):
                        if <str>words[i] != <str>theirs[i]:
                            words[i] = "<*>"
                            differs = True
            if differs:
                self._masked = " ".join(words)
        return self._masked

    @property
    def words(self) -> tuple:
        """Of three letters or more, each once, in their order: so that sums over them are the same everywhere."""
        if self._words is None:
            self._words = _words_of(self.masked)
        return self._words

    def gain(self, dict weights not None) -> float:
        """What quoting it tells: the sum of the weights of its words, more where it came often, less in a long text."""
        cdef double weight = 0.0
        cdef tuple words = self.words
        for word in words:
            found = weights.get(word)
            if found is not None:
                weight += <double>found
        return log2(1.0 + self.count) * weight / sqrt(4.0 + len(words))


cdef Entry _entry(Decision first, object passage):
    cdef Entry entry = Entry.__new__(Entry)
    entry.n = first.n
    entry.source = passage.source
    entry.line = passage.line
    entry._text = _short(passage.text)
    entry._others = []
    return entry


@cython.final
cdef class Stretch:
    """What a stretch of a stream was made of, in a size that does not grow with it (1 MB, of long texts more).

    `newest` is the last pattern that was known before it, `highest` the last one now, and `fresh` how many began in it;
    `tally` counts its decisions; `places` are those of its first and last input, and `decided` when these were;
    `entries` are its patterns, by number, and `worst` the first of the inputs with the most severe danger, of pattern
    `worst_pattern`; `alarms` counts for who knows of them.

    Where it has over 512 patterns, half of those that came once go, and of new ones only every second is taken from
    then on, every fourth, and so on: what is left is a sample of them. Of a pattern's texts are kept the first, and of
    its 2nd, 4th, 8th, 16th ... the first four that are others.

        >>> import sophia
        >>> from sophia.organs.weaver import Passage
        >>> texts = [f"kettle {i} boils" for i in range(20)]
        >>> with sophia.open(None) as brain:
        ...     decisions = brain.route_many(texts, kind="line")
        >>> stretch = Stretch(0)
        >>> stretch.add([1] * 20, [Passage("log", 1, text) for text in texts], decisions, [0.0] * 20)
        >>> stretch.fresh, [(entry.count, entry.masked) for entry in stretch.entries.values()], stretch.words()
        (1, [(20, 'kettle <*> boils')], {'kettle': 20, 'boils': 20})
    """

    def __cinit__(self, uint64_t newest):
        self.newest = self.highest = newest
        self.tally = Tally()
        self.places = ["", ""]
        self.decided = [0.0, 0.0]
        self.entries = {}
        self._every = 1  # so many single patterns stand for one that was kept

    def add(self, patterns, inputs, list decisions not None, at) -> None:
        """The next inputs, in order: the pattern of each (0: none), the input itself (`Input`), its decision, and when
        that was made (seconds since the epoch). ValueError where these are not as many."""
        cdef Py_ssize_t i, count = len(decisions)
        cdef uint64_t pattern
        cdef object key
        cdef Entry entry
        if not len(patterns) == len(inputs) == len(at) == count:
            raise ValueError(
                f"{count} decisions of {len(inputs)} inputs with {len(patterns)} patterns at {len(at)} times; "
                "there is one of each"
            )
        if not count:
            return
        if not self.tally.inputs:
            self.places[0], self.decided[0] = f"{inputs[0].source}:{inputs[0].line}", at[0]
        self.tally.add(decisions)
        self.places[1], self.decided[1] = f"{inputs[count - 1].source}:{inputs[count - 1].line}", at[count - 1]
        for i in range(count):
            key = patterns[i]
            pattern = key
            if (<Decision>decisions[i]).danger is not None:
                self._look_at(<Decision>decisions[i], pattern, inputs[i])
            if not pattern:
                continue
            entry = self.entries.get(key)
            if entry is None:
                if pattern > self.highest:
                    self.highest = pattern
                    self.fresh += 1
                self._single += 1
                if self._single % self._every:
                    continue
                entry = self.entries[key] = _entry(<Decision>decisions[i], inputs[i])
                entry.count = 1
                if len(self.entries) > _ENTRIES:
                    self._thin()
                continue
            entry.count += 1
            if not entry.count & (entry.count - 1):
                entry.also(_short(inputs[i].text))

    cdef int _look_at(self, Decision one, uint64_t pattern, object passage) except -1:
        """Whether an input has the most severe danger so far."""
        cdef double severity = one.danger.severity
        if self.worst is None or severity > self._severity:
            self._severity = severity
            self.worst_pattern = pattern
            self.worst = _entry(one, passage)
            self.worst.count = 1
        return 0

    cdef int _thin(self) except -1:
        """Lets go half of the patterns that came once, or, where those are few, the rarest half of all."""
        cdef Entry entry
        cdef list gone = [pattern for pattern, entry in self.entries.items() if entry.count == 1]
        if len(gone) >= _ENTRIES // 4:
            self._every *= 2
            gone = gone[::2]
        else:
            gone = sorted([(entry.count, pattern) for pattern, entry in self.entries.items()])[: _ENTRIES // 2]
            gone = [pattern for _, pattern in gone]
        for pattern in gone:
            del self.entries[pattern]
        return 0

    def look(self):
        """Looks at the texts, which is most of the work of telling it: in steps of half a millisecond."""
        cdef int looked = 0
        for entry in list(self.entries.values()):
            _ = entry.words
            looked += 1
            if looked % _STEP == 0:
                yield

    def words(self) -> dict:
        """How often each word came, from what was kept: of an input counts each once."""
        cdef dict found = {}
        cdef Entry entry
        cdef uint64_t weight
        for entry in self.entries.values():
            weight = entry.count if entry.count > 1 else self._every
            for word in <tuple>entry.words:
                known = found.get(word)
                found[word] = weight if known is None else known + weight
        return found
