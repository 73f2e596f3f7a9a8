"""What can be read off a rule's pattern before any text is seen.

One pass over RE2's syntax gives four things: the literals that every match must contain, how far a match can reach,
the largest counted repeat, and the same pattern with its text anchors turned into line anchors. RE2 itself has
accepted the pattern before; this reader only has to understand it, and says so where it does not.

Required literals follow the prefilter of RE2 (Cox, "Regular Expression Matching with a Trigram Index", 2012;
class Prefilter of RE2): a part of the pattern is either *exact* (a small set of strings, all that it can
match) or a choice of branches, each of which needs one string of each of its groups.
"""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

__all__ = ["MAX_REPEAT", "SHORTEST", "Analysis", "PatternError", "analyse"]

MAX_REPEAT = 32
"""Largest counted repeat of a rule, nested ones multiplied: each count is a state of the engine's automaton,
and overlapping counts multiply them (a gap of 200 made a scan a thousand times slower)."""

SHORTEST = 3
"""Bytes of the shortest literal worth seeking: shorter ones are in nearly every text."""

_LONGEST = 10  # a literal is cut here: a prefix of a required string is required too
_BLANKS = frozenset("\t\n\f\r ")  # what \s matches
_FAR = 1 << 20  # a reach without a bound
_EXACT = 96  # strings of an exact part before it is given up
_GROUPS = 4  # groups kept of a branch, the most selective ones
_BRANCHES = 24  # branches of a rule

_PLAIN = re.compile(r"[^\\^$.|?*+()\[\]{}]+")
# Frequent forms that are read in one step: a class of many characters with its repeat, a choice of plain
# words, a gap of some words. Reading the shipped rules costs a third of what it would without them.
_CLASSES = re.compile(r"(?:(?:\\[sSwWdD]|\.)[*+?]?\??|\\b)+")
_WORDS = re.compile(r"\(\?:([^\\^$.?*+()\[\]{}]*)\)")
_GAP = re.compile(r"\(\?:\\S\+\\s\+\)(?:\{0,([0-9])\}|\*)")  # up to nine words
_COUNT = re.compile(r"\{(0|[1-9][0-9]*)(?:(,)(0|[1-9][0-9]*|))?\}")  # x{02} and x{,2} are plain text to RE2
# Rarer forms, compiled by `re` (which keeps them) when a pattern first has one: each costs start-up time.
_FLAGS = r"\?[imsU]*(?:-[imsU]+)?[:)]"
_NAME = r"\?P?<\w+>"
_HEX = r"x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]+)\})"
_OCTAL = r"0[0-7]{0,2}|[1-7][0-7]{1,2}"
_PROPERTY = r"[pP](?:\{\^?\w+\}|[A-Z])"
_QUOTED = r"(?s)\\(?:Q(.*?)(?:\\E|\Z)|E|(.))"
_CONTROL = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_CLASS_ESCAPES = frozenset("dDsSwW")
_WIDE_REPEATED = re.compile(r"(?:\\[WD]|\.)[*+]")
_POSIX_INK = frozenset(("alnum", "alpha", "digit", "graph", "lower", "punct", "upper", "word", "xdigit"))
_HEADS = frozenset("\\^$.?*+()[]{}")
_REPEATS = frozenset("?*+{")
_LINE_START, _LINE_END = "(?m:^)", "(?m:$)"


class PatternError(ValueError):
    """The pattern uses something that rules may not use."""


class Analysis(NamedTuple):
    """What :func:`analyse` found."""

    branches: tuple[tuple[frozenset[bytes], ...], ...]
    """For every match there is a branch so that of each of its groups one literal (small ASCII letters)
    occurs in it, in some ASCII case or with U+017F for s and U+212A for k. One branch without a group:
    nothing is known, every text is a candidate."""
    line_pattern: str
    """Matches in texts joined by line breaks if the pattern matches one of them alone. Its groups have no names, so
    patterns can be joined as well."""
    reach: int | None
    """Runs of blanks (what ``\\s`` matches) that a match can hold, at most; None where there is no bound."""


_Branches = tuple[tuple[frozenset[str], ...], ...]
_NOTHING: _Branches = ((),)


class _Part(NamedTuple):
    exact: frozenset[str] | None  # every string that the part can match, or None when there are too many
    branches: _Branches  # otherwise: for one branch, of each group one occurs
    times: int = 1  # the largest product of nested counted repeats
    reach: int = 0  # runs of blanks in a match, at most


# One character of a class of many: blank or not, never blank, always blank.
_ANY = _Part(None, _NOTHING, reach=1)
_INK = _Part(None, _NOTHING)
_BLANK = _Part(None, _NOTHING, reach=1)
_EMPTY = _Part(frozenset({""}), _NOTHING)


def analyse(pattern: str) -> Analysis:
    """Reads `pattern`, which RE2 accepts. Raises PatternError for a counted repeat over `MAX_REPEAT`.

    Example::

        >>> analyse(r"\\bdrop\\s+tables?\\b|\\btruncate\\b").branches == (
        ...     (frozenset({b"table"}), frozenset({b"drop"})), (frozenset({b"truncate"}),))
        True
        >>> analyse(r"\\Amkfs\\.\\w+$").line_pattern
        '(?m:^)mkfs\\\\.\\\\w+(?m:$)'
    """
    reader = _Reader(_unquote(pattern))
    part = reader.alternatives()
    if reader.at < len(reader.pattern):
        reader.refuse("an unmatched )")
    needs = _needs(part)
    rank = {group: _rank(group) for group in {group for branch in needs for group in branch}}
    branches = []
    for branch in needs:
        usable = {ranked for group in branch if (ranked := rank[group]) is not None}
        branches.append(tuple(frozenset(literals) for _, _, literals in sorted(usable)[:_GROUPS]))
    known = all(branches)
    reach = part.reach if part.reach < _FAR else None
    return Analysis(tuple(dict.fromkeys(branches)) if known else ((),), reader.line_pattern(), reach)


def _rank(group: frozenset[str]) -> tuple[int, int, tuple[bytes, ...]] | None:
    """The group in bytes, preceded by what makes it sort before worse ones; None when not worth seeking."""
    literals = _simplify(group)
    shortest = min(map(len, literals))
    if shortest < SHORTEST:
        return None
    return -shortest, len(literals), tuple(sorted(literal.encode("ascii") for literal in literals))


def _unquote(pattern: str) -> str:
    r"""Spells out \Q...\E (RE2 takes it outside of character classes only)."""
    if "\\Q" not in pattern and "\\E" not in pattern:
        return pattern

    def spell(found: re.Match[str]) -> str:
        if found[2] is not None:
            return found[0]
        if not found[1]:
            message = f"an empty quotation at character {found.start() + 1} of the pattern"
            raise PatternError(message)
        spelled = "".join(c if c.isalnum() or ord(c) > 127 else f"\\{c}" for c in found[1])
        # A digit must not become part of what stands before: \0\Q1\E is two characters, x{\Q2\E} is no repeat.
        return f"\\x3{spelled}" if spelled[0] in "0123456789" else spelled

    return re.sub(_QUOTED, spell, pattern)


def _simplify(group: frozenset[str]) -> list[str]:
    """Drops every string that holds another one of the group, and cuts the long ones."""
    if len(group) == 1:
        return [literal[:_LONGEST] for literal in group]
    kept: list[str] = []
    for literal in sorted({literal[:_LONGEST] for literal in group}, key=len):
        for shorter in kept:
            if shorter in literal:
                break
        else:
            kept.append(literal)
    return kept


def _needs(part: _Part) -> _Branches:
    if part.exact is None:
        return part.branches
    return _NOTHING if "" in part.exact else ((part.exact,),)


def _both(left: _Branches, right: _Branches) -> _Branches:
    """Every branch of one with every branch of the other; where that is too many, the right as one branch."""
    if left is _NOTHING:
        return right
    if right is _NOTHING:
        return left
    if len(left) * len(right) > _BRANCHES:
        right = _one_branch(right)
    return tuple((*head, *tail) for head in left for tail in right)


def _one_branch(branches: _Branches) -> _Branches:
    """One branch that every one of `branches` implies: the union of one group from each, best with best."""
    ranked = [sorted(branch, key=lambda group: -min(map(len, group))) for branch in branches]
    depth = min(map(len, ranked))
    return (tuple(frozenset().union(*(groups[rank] for groups in ranked)) for rank in range(depth)),)


def _sequence(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    branches = _NOTHING
    empty = frozenset({""})
    run = empty
    whole = True
    count = 1
    reach = 0
    for part in parts:
        exact = part.exact
        reach += part.reach
        if part.times > count:
            count = part.times
        if exact is not None and len(run) * len(exact) <= _EXACT:
            run = exact if run is empty else frozenset([head + tail for head in run for tail in exact])
            continue
        whole = False
        if "" not in run:
            branches = _both(branches, ((run,),))
        if exact is not None:
            run = exact
            continue
        branches = _both(branches, part.branches)
        run = empty
    if whole:
        return _Part(run, _NOTHING, count, reach)
    return _Part(None, branches if "" in run else _both(branches, ((run,),)), count, reach)


def _choice(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    count = max(part.times for part in parts)
    reach = max(part.reach for part in parts)
    exact: frozenset[str] = frozenset().union(*(part.exact for part in parts if part.exact is not None))
    branches = [branch for part in parts if part.exact is None for branch in part.branches]
    if not branches and len(exact) <= 4 * _EXACT:
        return _Part(exact, _NOTHING, count, reach)
    if "" in exact:
        return _Part(None, _NOTHING, count, reach)
    if exact:
        branches.append((exact,))
    found = tuple(dict.fromkeys(branches))
    return _Part(None, found if len(found) <= _BRANCHES else _one_branch(found), count, reach)


def _reach_repeated(part: _Part, high: int | None) -> int:
    if part is _BLANK or (part.exact is not None and part.exact <= _BLANKS):
        return 1  # one run, however long
    return part.reach if part.reach == 0 else _FAR if high is None else part.reach * high


def _reach_of(text: str) -> int:
    """Of plain text: each blank counted as a run."""
    return 0 if _BLANKS.isdisjoint(text) else sum(char in _BLANKS for char in text)


class _Reader:
    """Recursive descent over one pattern; `at` is the next character."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.edits: list[tuple[int, int, str]] = []

    def refuse(self, what: str) -> NoReturn:
        message = f"{what} at character {self.at + 1} of the pattern"
        raise PatternError(message)

    def line_pattern(self) -> str:
        pieces: list[str] = []
        last = 0
        for start, end, replacement in self.edits:
            pieces += (self.pattern[last:start], replacement)
            last = end
        return "".join((*pieces, self.pattern[last:]))

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def form(self, rare: str) -> re.Match[str] | None:
        """Reads one of the rarer forms, when it stands here."""
        found = re.compile(rare).match(self.pattern, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def alternatives(self) -> _Part:
        parts = [self.sequence()]
        while self.peek() == "|":
            self.at += 1
            parts.append(self.sequence())
        return _choice(parts)

    def sequence(self) -> _Part:
        parts: list[_Part] = []
        pattern, end = self.pattern, len(self.pattern)
        while self.at < end and (head := pattern[self.at]) not in "|)":
            if head in _HEADS:
                part = self.classes() if head in "\\." else None
                if part is None:
                    part = self.repeated(self.words() if head == "(" else self.atom(head))
            else:
                plain = _PLAIN.match(pattern, self.at)
                text = plain[0] if plain else head
                self.at += len(text)
                if self.at < end and pattern[self.at] in _REPEATS:  # the repeat takes the last one only
                    if len(text) > 1:
                        parts.append(_literal(text[:-1]))
                    part = self.repeated(_literal(text[-1]))
                else:
                    part = _literal(text)
            if part is not _EMPTY:
                parts.append(part)
        return _sequence(parts) if parts else _EMPTY

    def classes(self) -> _Part | None:
        """A run of classes of many characters, about which nothing is known, with their repeats."""
        found = _CLASSES.match(self.pattern, self.at)
        if found is None or self.pattern[found.end() : found.end() + 1] in _REPEATS:
            return None  # none, or one with a count or a repeated \b: read with care
        self.at = found.end()
        text = found[0]
        if text == "\\b":
            return _EMPTY
        if _WIDE_REPEATED.search(text):
            return _Part(None, _NOTHING, reach=_FAR)
        reach = text.count("\\s") + text.count("\\W") + text.count("\\D") + text.count(".")
        if reach == 1 and text.startswith("\\s") and text.count("\\") == 1:
            return _BLANK
        return _Part(None, _NOTHING, reach=reach) if reach else _INK

    def words(self) -> _Part:
        """A group, at its bracket."""
        gap = _GAP.match(self.pattern, self.at)
        if gap is not None:
            self.at = gap.end()
            return _Part(None, _NOTHING, int(gap[1] or 1), int(gap[1] or _FAR))
        found = _WORDS.match(self.pattern, self.at)
        if found is None or not found[1].isascii():
            return self.atom("(")
        self.at = found.end()
        return _Part(frozenset(found[1].lower().split("|")), _NOTHING, reach=_reach_of(found[1]))

    def atom(self, head: str) -> _Part:
        self.at += 1
        if head == "(":
            return self.group()
        if head == "[":
            return self.bracket()
        if head == "\\":
            return self.escape()
        if head == ".":
            return _ANY
        if head in "^$":
            self.edits.append((self.at - 1, self.at, _LINE_START if head == "^" else _LINE_END))
            return _EMPTY
        if head not in "{}]":
            self.at -= 1
            self.refuse(f"a stray {head}")
        return _literal(head)

    def repeated(self, part: _Part) -> _Part:
        one, head = part, self.peek()
        if head == "{":
            counted = _COUNT.match(self.pattern, self.at)
            if counted is None:
                return part
            low = int(counted[1])
            high = low if counted[2] is None else int(counted[3]) if counted[3] else None
            if high is not None and high < low:
                self.refuse(f"the counted repeat {counted[0]} ends before it begins")
            total = max(low, high or 0, 1) * part.times
            if total > MAX_REPEAT:
                nested = f" ({total} times in all, with the repeats inside)" if part.times > 1 else ""
                self.refuse(f"the counted repeat {counted[0]}{nested} is over {MAX_REPEAT}")
            self.at = counted.end()
            part = part._replace(times=total)
        elif head in ("*", "+", "?") and head:
            self.at += 1
            low, high = {"*": (0, None), "+": (1, None), "?": (0, 1)}[head]
        else:
            return part
        if self.peek() == "?":
            self.at += 1
        if (low, high) == (1, 1):
            return part
        if (low, high) == (0, 1) and part.exact is not None:
            return part._replace(exact=part.exact | {""})
        reach = _reach_repeated(one, high)
        if high is not None and high <= 4 and part.exact is not None and len(part.exact) ** high <= _EXACT:
            powers = [frozenset({""})]
            for _ in range(high):
                powers.append(frozenset(head + tail for head in powers[-1] for tail in part.exact))
            return part._replace(exact=frozenset().union(*powers[low:]), reach=reach)
        return _Part(None, _needs(part) if low > 0 else _NOTHING, part.times, reach)

    def group(self) -> _Part:
        if self.pattern.startswith("?:", self.at):
            self.at += 2
        elif self.peek() == "?":
            start = self.at
            found = self.form(_NAME)
            if found is not None:
                self.edits.append((start, self.at, "?:"))
            else:
                found = self.form(_FLAGS)
            if found is None:
                self.refuse("a group that rules may not use")
            if found[0][-1] == ")":  # for the rest of the group; no flag changes what is read here
                if self.peek() in _REPEATS:  # RE2 would repeat what stands before the flags
                    self.refuse("a repeat of flags")
                return _EMPTY
        part = self.alternatives()
        if self.peek() != ")":
            self.refuse("a missing )")
        self.at += 1
        return part

    def escape(self) -> _Part:
        start = self.at - 1
        head = self.peek()
        if head in ("A", "z"):
            self.at += 1
            self.edits.append((start, self.at, _LINE_START if head == "A" else _LINE_END))
            return _EMPTY
        if head in ("b", "B"):
            self.at += 1
            return _EMPTY
        char = self.character()
        if char is not None:
            return _literal(char)
        return _BLANK if head == "s" else _INK if head in "Swd" else _ANY

    def character(self) -> str | None:
        """What stands after a backslash: one character, or None for a class of many."""
        head = self.peek()
        if not head:
            self.refuse("a \\ with nothing behind it")
        if head == "x" and (found := self.form(_HEX)):
            return chr(int(found[1] or found[2], 16))
        if head in "01234567" and (found := self.form(_OCTAL)):
            return chr(int(found[0], 8))
        if head in "pP" and self.form(_PROPERTY):
            return None
        if head in _CLASS_ESCAPES or head == "C":
            self.at += 1
            return None
        if head in _CONTROL:
            self.at += 1
            return _CONTROL[head]
        if head.isalnum() and head.isascii():
            self.refuse(f"the escape \\{head}")
        self.at += 1
        return head

    def bracket(self) -> _Part:
        """A character class: exact when it is a handful of ASCII characters."""
        members: set[str] | None = set()
        blanks: set[str] = set()
        ink = wide = negated = False
        if self.peek() == "^":
            self.at += 1
            members = None
            negated = True
        first = True
        while first or self.peek() != "]":
            first = False
            start = self.at
            if not self.peek():
                self.refuse("a missing ]")
            if self.pattern.startswith("[:", self.at) and (end := self.pattern.find(":]", self.at + 2)) > 0:
                self.at = end + 2
                members = None
                known = self.pattern[start + 2 : end] in _POSIX_INK
                ink, wide = ink or known, wide or not known
                continue
            low = self.member()
            if low is None:
                members = None
                kind = self.pattern[start + 1]
                blanks |= _BLANKS if kind == "s" else set()
                ink, wide = ink or kind in "Swd", wide or kind not in "sSwd"
                continue
            high: str | None = low
            following = self.pattern[self.at + 1 : self.at + 2]
            if self.peek() == "-" and following not in ("]", ""):
                self.at += 1
                high = self.member()
            within = {blank for blank in _BLANKS if high is not None and low <= blank <= high}
            blanks |= within
            ink, wide = ink or high != low or not within, wide or high is None
            if high is None or ord(high) > 127 or ord(high) - ord(low) > 9 or members is None:
                members = None
            else:
                members.update(chr(code) for code in range(ord(low), ord(high) + 1))
        self.at += 1
        if members and len(members) <= 10:
            return _Part(frozenset(member.lower() for member in members), _NOTHING, reach=int(bool(blanks)))
        if negated:  # only what surely stands in it is surely left out
            return _INK if blanks == _BLANKS else _ANY
        return _ANY if wide or (blanks and ink) else _BLANK if blanks else _INK

    def member(self) -> str | None:
        head = self.peek()
        self.at += 1
        return self.character() if head == "\\" else head


def _literal(text: str) -> _Part:
    """A run of characters: exact in ASCII; elsewhere case folding may change length, so it only separates."""
    if text.isascii():
        return _Part(frozenset({text.lower()}), _NOTHING, reach=_reach_of(text))
    words = "".join(c if c.isascii() else "\0" for c in text).lower().split("\0")
    return _Part(None, (tuple(frozenset({word}) for word in words if word),), reach=_reach_of(text))
