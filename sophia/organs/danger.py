"""Danger rules: which texts hold something that should not be answered from memory.

Two stages. A compiled literal prefilter (:class:`sophia._core.literals.LiteralSet`, no GIL) names the rules
that may match: nearly every text ends there. google-re2, linear in the text whatever the pattern, then tries
those rules in the order in which they win; the first that matches is the answer. A rule that refuses comes
before one that only reports (`alarm`), whatever their severities: a remark must not hide a threat.

Each rule has an automaton of its own. One automaton over all rules (``re2.Set``) reads ordinary text in one
pass, but the prefilter leaves it none to read, and on a text made of the rules' own words it builds a new
state for almost every byte: 2.2 us a byte, against .3 for all rules one after the other (measured). A set
that runs out of memory also answers "no match", where a single rule goes on with a slower method.

A long text that holds the literals of many rules is not read whole by each: most rules have a reach, a number of blanks
that a match of them can hold, so it is enough to read where the literals that it needs stand that near to each other.
On a text made of the rules' own words that leaves a third of the work.

The prefilter is ASCII-case-insensitive and sees raw text. Zero-width characters, homoglyphs, base64, runs of blanks and
the like are undone by :mod:`sophia._core.detour` for the hot path, which scans what comes out as well.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

import re2

from sophia._core.literals import LiteralSet
from sophia.errors import RuleError
from sophia.organs.rule_file import SEVERITIES, Rule, read_rules
from sophia.organs.rule_syntax import PatternError, analyse

__all__ = ["SEVERITIES", "Hit", "Rule", "RuleSet"]

_SHIPPED = os.path.join(os.path.dirname(__file__), "rules", "danger.toml")  # noqa: PTH118, PTH120 (start-up)
_ENGINE = "1"  # part of the version of a set: raise it when the same rules could give other hits
_UNION = 3  # rules without a reach that are sought together in a long text
_UNION_MEMORY = 1 << 21
_MEMORY = 1 << 20  # bytes that the automata of one rule may take; beyond, RE2 goes on without an automaton
_SPAN = "hit"  # the group that is the span of a hit, where a pattern needs to see what stands before
_WHOLE = 512  # bytes up to which a text is read whole
_JOIN = 3  # texts in question for one rule from which on they are read in one call first
_JOIN_BATCH = 1 << 20  # bytes of one joined text


class Hit(NamedTuple):
    """The rule that decides about a text, and the part of the text it matched."""

    rule: str
    severity: float
    span: tuple[int, int]
    """Characters [start, end) of the text: the match, or the group `hit` of a pattern that has one."""
    alarm: bool = False
    """The rule reports and does not refuse: a message it hits is flagged where other rules veto."""
    via: str = ""
    """The detours that had to be undone to see it, as "base64" or "disguise+percent"; empty for the text as it is."""


class RuleSet:
    """An immutable, ordered set of danger rules and the engine that applies them.

    Built by :meth:`load`. Rules stand in the order in which they win: those that are no alarm first, then by
    severity, then in order of appearance, shipped ones before those of files. Any number of threads may scan
    with one object at once; matching inside re2, and the prefilter of long texts, release the GIL. Rules are
    compiled when a text first needs them.

    Example::

        >>> rules = RuleSet.load()
        >>> hit = rules.scan("then run sudo rm -rf / and wait")
        >>> hit.rule, hit.severity, hit.span
        ('shell.rm-root', 1.0, (14, 23))
        >>> rules.scan("helpful stopwatch for a skilled assassin of the city") is None
        True
    """

    __slots__ = ("_alone", "_joined", "_line_patterns", "_options", "_unions", "_wide", "literals", "rules", "version")

    rules: tuple[Rule, ...]
    literals: LiteralSet
    """The prefilter; rule numbers are positions in `rules`."""
    version: str
    """Hash (32 hex digits) of everything that decides hits: ids, patterns, severities, alarms, order."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Orders `rules` and builds the prefilter; raises RuleError for an id given twice, a pattern that
        rules may not use, and more than 1,024 rules. Whether RE2 takes a pattern shows when it is first
        needed: :meth:`load` is the way to be sure at once."""
        # The sort is stable: ties keep their order.
        self.rules = tuple(sorted(rules, key=lambda rule: (rule.alarm, -rule.severity)))
        self._options = _options(_MEMORY)
        self._alone: dict[int, Any] = {}
        self._joined: dict[int, Any] = {}
        self._unions: dict[tuple[int, ...], Any] = {}
        found = []
        taken: dict[str, Rule] = {}
        for rule in self.rules:
            if taken.setdefault(rule.id, rule) is not rule:
                rule.place.refuse(f"the id {rule.id!r} is taken by {taken[rule.id].place.at('id')}", "id")
            try:
                found.append(analyse(rule.pattern))
            except (PatternError, RecursionError) as error:
                rule.place.refuse(f"rule {rule.id!r}: {error}", "pattern")
        self._line_patterns = [analysis.line_pattern for analysis in found]
        far = [number for number, analysis in enumerate(found) if analysis.reach is None]
        self._wide = {far[i]: tuple(far[i - i % _UNION :][:_UNION]) for i in range(len(far))}
        try:
            self.literals = LiteralSet(
                [analysis.branches for analysis in found], [analysis.reach for analysis in found]
            )
        except ValueError as error:
            raise RuleError(str(error)) from None
        self.version = _version(self.rules)

    @classmethod
    def load(cls, paths: Iterable[str | os.PathLike[str]] = (), *, shipped: bool = True) -> RuleSet:
        """The shipped rules and those of the TOML files `paths`.

        A file holds tables ``[[rule]]`` with `id`, `description`, `pattern` (RE2 syntax, case does not
        matter; a group ``(?P<hit>...)`` narrows the span that is reported), `severity` (0 to 1, or low,
        medium, high, critical) and, optionally, `alarm` (true: a hit is reported, not refused; default
        false), `examples` and `counter_examples`. Raises RuleError, with file and line, for a file that
        cannot be read, is not UTF-8 or not TOML; for missing, unknown or mistyped keys; for an id that is
        taken; for a pattern that the engine cannot take (look-around, back-reference, syntax, size) or that
        counts over 32 repeats; for an example that does not match or a counter-example that does. Raises
        RuntimeError when the engine does not find what it must.

        The shipped rules alone are one object for the whole process: its automata are built once.
        """
        paths = list(paths)
        if shipped and not paths:
            return _shipped()
        return cls._read(paths, shipped=shipped)

    @classmethod
    def _read(cls, paths: list[str | os.PathLike[str]], *, shipped: bool) -> RuleSet:
        rules = read_rules(_SHIPPED) if shipped else []
        own = [rule for path in paths for rule in read_rules(os.fspath(path))]
        made = cls(rules + own)
        positions = {rule.id: number for number, rule in enumerate(made.rules)}
        for rule in own:
            made._prove(positions[rule.id])
        if rules and made.scan(rules[0].examples[0]) is None:
            message = "google-re2 does not find the example of a rule: the danger set would be blind"
            raise RuntimeError(message)
        return made

    def __len__(self) -> int:
        return len(self.rules)

    def __repr__(self) -> str:
        return f"<RuleSet of {len(self.rules)} rules, version {self.version[:12]}>"

    def candidates(self, text: str | bytes) -> tuple[int, ...]:
        """Numbers of the rules that may match `text` (a superset of those that do), by literals alone."""
        return self.literals.candidates(text)

    def scan(self, text: str | bytes) -> Hit | None:
        """The hit of the rule that wins; None when no rule matches. A rule that is not an alarm wins over one
        that is, then the higher severity, then the order of the rules.

        Bytes are taken as UTF-8 with U+FFFD for what is not; a lone surrogate of a str counts as a question
        mark. Neither moves a span. Raises TypeError for anything but str and bytes.

        Cost: about .5 us plus 1.5 ns a byte for a text without candidates; 2 us and 2 ns a byte of its places for
        each candidate tried; at worst .15 us a byte, whatever the text.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        found = self.literals.suspects((text,), _WHOLE)
        if not found:
            return None
        numbers = found[0][1]
        if numbers is None:
            return self.scan_many((text,))[0]
        data = _encode(text)
        for number in numbers:
            match = self._rule(number).search(data)
            if match is not None:
                return self._hit(number, text, data, match)
        return None

    def scan_many(self, texts: Sequence[str | bytes]) -> list[Hit | None]:
        """`[scan(text) for text in texts]`, with fewer calls of the engine."""
        whole = [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in texts]
        hits: list[Hit | None] = [None] * len(whole)
        data: dict[int, bytes] = {}
        waiting: dict[int, dict[int, bytes]] = {}  # by rule, the texts in question and what is read of them
        for at, numbers in self.literals.suspects(whole, _WHOLE):
            data[at] = _encode(whole[at])
            if numbers is None:
                for number, pieces in self.literals.pieces(data[at]):
                    waiting.setdefault(number, {})[at] = pieces
            else:
                for number in numbers:
                    waiting.setdefault(number, {})[at] = data[at]
        if len(waiting) > 1:
            self._sift(waiting, data)
        for number in sorted(waiting):  # what an earlier rule took is not asked again
            asked = {at: pieces for at, pieces in waiting[number].items() if hits[at] is None}
            for at in self._plausible(number, asked):
                match = self._match(number, data[at], asked[at])
                if match is not None:
                    hits[at] = self._hit(number, whole[at], data[at], match)
        return hits

    def _sift(self, waiting: Mapping[int, dict[int, bytes]], data: Mapping[int, bytes]) -> None:
        """Takes from the rules without a reach the texts that a union of them does not match."""
        wide = Counter([union for number in waiting if (union := self._wide.get(number)) is not None])
        for union in [union for union, asking in wide.items() if asking > 1]:
            asked = Counter([at for number in union for at in waiting.get(number, ())])
            for texts in _batches([at for at, rules in asked.items() if rules > 1], data):
                together = self._union(union)
                if together is not None and together.search(b"\n".join([data[at] for at in texts])) is None:
                    for number in union:
                        for at in texts:
                            waiting.get(number, {}).pop(at, None)

    def _plausible(self, number: int, asked: Mapping[int, bytes]) -> Iterable[int]:
        """Those of the texts that rule `number` may match: none where it does not match what is read of them."""
        if len(asked) < _JOIN:
            return asked
        left: list[int] = []
        for texts in _batches(asked, asked):
            if self._finds(number, b"\n".join([asked[at] for at in texts])):
                left += texts
        return left

    def _finds(self, number: int, pieces: bytes) -> bool:
        """Whether rule `number` may match one of the pieces, which are joined by line breaks.

        With the text anchors of the pattern made line anchors, every assertion that holds at an end of a text alone
        holds at a line break still (for ``\\b`` a line break is no word character, as the end of the text is none),
        and nothing else in a match looks beyond it. So a rule that matches one of them matches them joined.
        """
        return self._line_rule(number).search(pieces) is not None

    def _match(self, number: int, data: bytes, pieces: bytes) -> Any:
        """The first match of a rule in `data`, None where there is none: what the whole of it would give."""
        rule = self._rule(number)
        if pieces is data:
            return rule.search(data)
        if not self._finds(number, pieces):
            return None
        for start, end in dict(self.literals.places(data))[number]:
            match = rule.search(data, start, end)
            if match is not None:
                # It begins here in any case, but where it ends may lie beyond the place, or be chosen beyond it.
                return match if end == len(data) else rule.search(data, match.start())
        return None

    def _hit(self, number: int, text: str, data: bytes, match: Any) -> Hit:
        start, end = match.span(match.re.groupindex.get(_SPAN, 0))
        if start < 0:  # the match went by a branch without the group
            start, end = match.span()
        if len(data) != len(text):  # bytes to characters
            end = len(data[:end].decode("utf-8", "replace"))
            start = len(data[:start].decode("utf-8", "replace"))
        rule = self.rules[number]
        return Hit(rule.id, rule.severity, (start, end), rule.alarm)

    def _rule(self, number: int) -> Any:
        alone = self._alone.get(number)
        if alone is None:
            # Two threads may both compile it: the same thing twice, and one of them stays.
            alone = self._alone[number] = re2.compile(self.rules[number].pattern, self._options)
        return alone

    def _line_rule(self, number: int) -> Any:
        pattern = self._line_patterns[number]
        if pattern == self.rules[number].pattern:
            return self._rule(number)
        joined = self._joined.get(number)
        if joined is None:
            joined = self._joined[number] = re2.compile(pattern, self._options)
        return joined

    def _union(self, numbers: tuple[int, ...]) -> Any:
        """Matches where one of these rules does, and perhaps in other texts; None where the engine cannot take
        rules together that it takes alone: they may be too large, or a "[:" of one may end at the ":]" of another."""
        if numbers not in self._unions:
            pattern = "|".join([f"(?:{self._line_patterns[number]})" for number in numbers])
            try:
                self._unions[numbers] = re2.compile(pattern, _options(_UNION_MEMORY))
            except re2.error:
                self._unions[numbers] = None
        return self._unions[numbers]

    def _prove(self, number: int) -> None:
        """Compiles a user's rule and tries its examples."""
        rule = self.rules[number]
        try:
            alone = self._rule(number)
            self._line_rule(number)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
            rule.place.refuse(f"rule {rule.id!r}: the engine (RE2) cannot take the pattern: {reason}", "pattern")
        for example in rule.examples:
            if alone.search(_encode(example)) is None:
                rule.place.refuse(f"rule {rule.id!r} does not match its example {example!r}", "examples")
        for example in rule.counter_examples:
            if alone.search(_encode(example)) is not None:
                what = f"rule {rule.id!r} matches its counter-example {example!r}"
                rule.place.refuse(what, "counter_examples")


@cache
def _shipped() -> RuleSet:
    return RuleSet._read([], shipped=True)


# A lock of the engine that another thread holds while this process forks would stay locked in the child.
os.register_at_fork(after_in_child=_shipped.cache_clear)


def _batches(texts: Iterable[int], data: Mapping[int, bytes]) -> Iterator[list[int]]:
    """The texts in groups that may be joined: one alone, or several of `_JOIN_BATCH` bytes and the last together."""
    batch: list[int] = []
    size = 0
    for at in texts:
        batch.append(at)
        size += len(data[at])
        if size > _JOIN_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _options(memory: int) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False  # they are raised here; stderr belongs to the caller
    options.max_mem = memory
    return options


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates; one byte for one character keeps spans right
        return text.encode("utf-8", "replace")


def _version(rules: Iterable[Rule]) -> str:
    digest = blake2b(_ENGINE.encode(), digest_size=16)
    for rule in rules:
        for field in (rule.id, rule.pattern, repr(float(rule.severity)), repr(rule.alarm)):
            data = field.encode("utf-8", "replace")
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
