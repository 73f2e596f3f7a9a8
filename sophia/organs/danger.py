"""Danger rules: which texts hold something that should not be answered from memory.

Two engines in a row. A compiled literal prefilter (:class:`sophia._core.literals.LiteralSet`, no GIL) names
the rules that may match at all: most texts end there. google-re2, linear in the text whatever the pattern,
decides about the rest: rule by rule where few are in question, with one ``re2.Set`` over all rules where many
are, and over a whole batch of texts joined by line breaks. The joined set only rules out; what counts is
always the rule's own pattern on the text alone, so a text gets the same answer in any company.

The prefilter is ASCII-case-insensitive and sees raw text. Zero-width characters, homoglyphs and the like are
undone by the caller's normalisation, which scans the normalised text as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any, NamedTuple, NoReturn

import re2
import tomli

from sophia._core.literals import MAX_RULES, LiteralSet
from sophia.errors import RuleError
from sophia.organs.rule_syntax import PatternError, analyse

__all__ = ["SEVERITIES", "Hit", "Rule", "RuleSet"]

SEVERITIES = {"low": 0.25, "medium": 0.5, "high": 0.75, "critical": 1.0}
"""The words that a rule file may use for a severity; a number from 0 to 1 does as well."""

_SHIPPED = os.path.join(os.path.dirname(__file__), "rules", "danger.toml")  # noqa: PTH118, PTH120 (start-up)
_ENGINE = "1"  # part of the version of a set: raise it when the same rules could give other hits
_FEW = 3  # rules in question up to which they are tried one by one
_SHORT = 4096  # bytes up to which that is so: a rule tried alone may leave its fast path on a long text
_JOIN_TEXT = 4096  # bytes of a text that still is joined with others
_JOIN_BATCH = 65536  # bytes of one joined text
_RULE_MEMORY = 8 << 20  # bytes that one rule's automata may take
_SET_MEMORY = 32 << 20  # the same for the set of all; when full, its cache starts anew, no hit is lost
_ALWAYS = r"\A"  # matches every text once: see RuleSet._match_set
_ADDED, _COMPILED, _TOO_LARGE = range(3)  # states of a re2.Set
_MAX_FILE = 4 << 20
_MAX_PATTERN = 4000

_ID = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_TABLE = re.compile(r"\s*\[\[\s*(?:rule|\"rule\"|'rule')\s*\]\]")
_REQUIRED = ("id", "description", "pattern", "severity")
_OPTIONAL = ("examples", "counter_examples")


class Rule(NamedTuple):
    """One rule, as it stands in a file."""

    id: str
    description: str
    pattern: str
    severity: float
    """From 0 (a remark) to 1."""
    examples: tuple[str, ...] = ()
    """Texts that the pattern matches; checked by the tests, and for user rules at load."""
    counter_examples: tuple[str, ...] = ()
    """Texts that it does not match."""
    source: str = ""
    """File and line, as ``FILE:LINE``."""


class Hit(NamedTuple):
    """The rule that decides about a text, and the part of the text it matched."""

    rule: str
    severity: float
    span: tuple[int, int]
    """Characters [start, end) of the text."""


class RuleSet:
    """An immutable, ordered set of danger rules and the engine that applies them.

    Built by :meth:`load`. Rules stand in the order in which they win: severity first, then order of
    appearance, shipped ones before those of files. Any number of threads may scan with one object at once;
    matching inside re2 and the prefilter of long texts release the GIL.

    Example::

        >>> rules = RuleSet.load()
        >>> hit = rules.scan("then run sudo rm -rf / and wait")
        >>> hit.rule, hit.severity, hit.span
        ('shell.rm-root', 1.0, (14, 22))
        >>> rules.scan("helpful stopwatch for a skilled assassin of the city") is None
        True
    """

    __slots__ = ("_alone", "_lock", "_options", "_set", "_set_state", "literals", "rules", "version")

    rules: tuple[Rule, ...]
    literals: LiteralSet
    """The prefilter; rule numbers are positions in `rules`."""
    version: str
    """Hash (32 hex digits) of everything that decides hits: ids, patterns, severities, order."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Takes rules that passed :meth:`load`'s checks or equal ones; raises RuleError for the first bad."""
        self.rules = tuple(sorted(rules, key=lambda rule: -rule.severity))  # stable: ties keep their order
        if len(self.rules) > MAX_RULES:
            _refuse(self.rules[-1].source, f"{len(self.rules)} rules are more than {MAX_RULES}")
        self._options = _options(_RULE_MEMORY)
        self._alone: dict[int, Any] = {}
        self._lock = Lock()
        self._set: Any = re2.Set.SearchSet(_options(_SET_MEMORY))
        self._set_state = _ADDED
        branches = []
        for rule in self.rules:
            try:
                found = analyse(rule.pattern)
                self._set.Add(found.line_pattern)  # parses it: a pattern that re2 cannot take ends here
            except (PatternError, re2.error) as error:
                _refuse(rule.source, f"rule {rule.id!r}: {self._reason(rule, error)}")
            branches.append(found.branches)
        self._set.Add(_ALWAYS)
        self.literals = LiteralSet(branches)
        self.version = _version(self.rules)

    @classmethod
    def load(cls, paths: Iterable[str | os.PathLike[str]] = (), *, shipped: bool = True) -> RuleSet:
        """The shipped rules and those of the TOML files `paths`.

        A file holds tables ``[[rule]]`` with `id`, `description`, `pattern` (RE2 syntax, case does not
        matter), `severity` (0 to 1, or low, medium, high, critical) and, optionally, `examples` and
        `counter_examples`. Raises RuleError, with file and line, for a file that cannot be read, is not
        UTF-8 or not TOML; for missing, unknown or mistyped keys; for an id that is taken; for a pattern that
        the engine cannot take (look-around, back-reference, syntax, size) or that counts over 32 repeats;
        for an example that does not match or a counter-example that does.
        """
        rules: list[Rule] = []
        taken: dict[str, Rule] = {}
        for path in ([_SHIPPED] if shipped else []) + [os.fspath(path) for path in paths]:
            for rule in _read(path):
                if rule.id in taken:
                    _refuse(rule.source, f"the id {rule.id!r} is taken by {taken[rule.id].source}")
                taken[rule.id] = rule
                rules.append(rule)
        made = cls(rules)
        for number, rule in enumerate(made.rules):
            if not rule.source.startswith(_SHIPPED):
                made._prove(number)
        return made

    def __len__(self) -> int:
        return len(self.rules)

    def __repr__(self) -> str:
        return f"<RuleSet of {len(self.rules)} rules, version {self.version[:12]}>"

    def candidates(self, text: str | bytes) -> tuple[int, ...]:
        """Numbers of the rules that may match `text` (a superset of those that do), by literals alone."""
        return self.literals.candidates(text)

    def scan(self, text: str | bytes) -> Hit | None:
        """The hit of highest severity, ties by order of the rules; None when no rule matches.

        Bytes are taken as UTF-8, with U+FFFD for what is not; lone surrogates of a str count as question
        marks. Neither moves a span. Raises TypeError for anything but str and bytes.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        numbers = self.literals.candidates(text)
        return self._decide(text, _encode(text), numbers) if numbers else None

    def scan_many(self, texts: Sequence[str | bytes]) -> list[Hit | None]:
        """`[scan(text) for text in texts]`, at a fraction of the cost for texts that hit nothing."""
        hits: list[Hit | None] = [None] * len(texts)
        whole = [text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in texts]
        suspects = self.literals.suspects(whole)
        if sum(len(numbers) for _, numbers in suspects) <= _FEW:
            for at, numbers in suspects:
                hits[at] = self._decide(whole[at], _encode(whole[at]), numbers)
            return hits
        batch: list[tuple[int, bytes, tuple[int, ...]]] = []
        size = 0
        for at, numbers in suspects:
            data = _encode(whole[at])
            if len(data) > _JOIN_TEXT:
                hits[at] = self._decide(whole[at], data, numbers)
                continue
            if size + len(data) > _JOIN_BATCH:
                self._decide_joined(whole, batch, hits)
                batch, size = [], 0
            batch.append((at, data, numbers))
            size += len(data) + 1
        self._decide_joined(whole, batch, hits)
        return hits

    def _decide_joined(
        self, texts: list[str], batch: list[tuple[int, bytes, tuple[int, ...]]], hits: list[Hit | None]
    ) -> None:
        # Every assertion that holds at the ends of a text alone holds there in the joined text too: line
        # anchors see the break, and for \b it is no word character. So no rule that matches a text is
        # missing from the joined set, whatever stands in the text; those found are tried on each text.
        if not batch:
            return
        found = self._match_set(b"\n".join([data for _, data, _ in batch]))
        for at, data, numbers in batch:
            left = numbers if found is None else tuple([number for number in numbers if number in found])
            if left:
                hits[at] = self._decide(texts[at], data, left)

    def _decide(self, text: str, data: bytes, numbers: tuple[int, ...]) -> Hit | None:
        """The first of the rules `numbers` (ascending) whose own pattern matches the text."""
        if len(numbers) > _FEW or (len(data) > _SHORT and numbers):
            found = self._match_set(data)
            if found is not None:
                numbers = tuple([number for number in numbers if number in found])
        for number in numbers:
            match = self._rule(number).search(data)
            if match is not None:
                rule = self.rules[number]
                start, end = match.span()
                if len(data) != len(text):
                    start, end = (len(data[:at].decode("utf-8", "replace")) for at in (start, end))
                return Hit(rule.id, rule.severity, (start, end))
        return None

    def _match_set(self, data: bytes) -> frozenset[int] | None:
        """Rules that the set finds in `data`, or None when the engine gave up.

        re2.Set answers "nothing" when its memory does not suffice. The set therefore holds one more
        pattern, which matches every text: where that is missing, the answer is no answer.
        """
        compiled = self._compiled_set()
        found = compiled.Match(data) if compiled is not None else None
        return frozenset(found) if found is not None and len(self.rules) in found else None

    def _compiled_set(self) -> Any:
        """The set, compiled when a text first needs it; None when it cannot be: then rules are tried alone."""
        if self._set_state != _COMPILED:
            with self._lock:
                if self._set_state == _ADDED:
                    try:
                        self._set.Compile()
                        self._set_state = _COMPILED
                    except re2.error:  # more rules than _SET_MEMORY holds
                        self._set_state = _TOO_LARGE
        return self._set if self._set_state == _COMPILED else None

    def _rule(self, number: int) -> Any:
        alone = self._alone.get(number)
        if alone is None:
            # Two threads may both compile it: the same thing twice, and one of them stays.
            alone = self._alone[number] = re2.compile(self.rules[number].pattern, self._options)
        return alone

    def _reason(self, rule: Rule, error: Exception) -> str:
        """In words; re2.Set says only that it failed, the pattern alone says why."""
        if isinstance(error, PatternError):
            return str(error)
        try:
            re2.compile(rule.pattern, self._options)
        except re2.error as alone:
            error = alone
        detail = error.args[0] if error.args else error
        detail = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        return f"the engine (RE2) cannot take the pattern: {detail}"

    def _prove(self, number: int) -> None:
        """Compiles a user's rule alone and tries its examples."""
        rule = self.rules[number]
        try:
            alone = self._rule(number)
        except re2.error as error:
            _refuse(rule.source, f"rule {rule.id!r}: {self._reason(rule, error)}")
        for example in rule.examples:
            if alone.search(_encode(example)) is None:
                _refuse(rule.source, f"rule {rule.id!r} does not match its example {example!r}")
        for example in rule.counter_examples:
            if alone.search(_encode(example)) is not None:
                _refuse(rule.source, f"rule {rule.id!r} matches its counter-example {example!r}")


def _options(memory: int) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False  # they are raised or worked around here; stderr belongs to the caller
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
        for field in (rule.id, rule.pattern, repr(float(rule.severity))):
            data = field.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _refuse(place: str, what: str) -> NoReturn:
    raise RuleError(f"{place}: {what}")  # noqa: EM102


class _Lines:
    """Where the rules and keys of a file stand: the TOML reader tells lines only for what is not TOML."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._tables: list[int] = []
        quote = ""  # the mark of the multi-line string we are in
        for number, line in enumerate(self._lines):
            if not quote and _TABLE.match(line):
                self._tables.append(number)
            quote = _open_quote(line, quote)

    def of(self, rule: int, key: str = "") -> int:
        """The line (from 1) of a key of rule number `rule`, or that of the rule."""
        if rule >= len(self._tables):
            return 1
        first = self._tables[rule]
        end = self._tables[rule + 1] if rule + 1 < len(self._tables) else len(self._lines)
        for number in range(first + 1, end if key else first):
            name, equals, _ = self._lines[number].partition("=")
            if equals and name.strip().strip("\"'") == key:
                return number + 1
        return first + 1


def _open_quote(line: str, quote: str) -> str:
    """The multi-line quote that is open after `line`, given the one open before it."""
    at = 0
    while at < len(line):
        if quote:
            end = line.find(quote, at)
            if end < 0:
                return quote
            at, quote = end + 3, ""
        elif line.startswith(('"""', "'''"), at):
            quote, at = line[at : at + 3], at + 3
        elif line[at] in "\"'":
            end = line.find(line[at], at + 1)
            while line[at] == '"' and end > 0 and line[end - 1] == "\\":
                end = line.find('"', end + 1)
            at = len(line) if end < 0 else end + 1
        elif line[at] == "#":
            return ""
        else:
            at += 1
    return quote


def _read(path: str) -> list[Rule]:
    """The rules of one file, each checked but for its pattern."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 (pathlib costs start-up time)
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        _refuse(f"{path}:1", f"the rule file cannot be read: {error.strerror or error}")
    if len(data) > _MAX_FILE:
        _refuse(f"{path}:1", f"the rule file is over {_MAX_FILE >> 20} MiB")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        _refuse(f"{path}:{data.count(10, 0, error.start) + 1}", f"the rule file is not UTF-8: {error.reason}")
    try:
        table = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        _refuse(f"{path}:{error.lineno}", f"the rule file is not TOML: {error.msg}")
    lines = _Lines(text)
    for key in table:
        if key != "rule":
            _refuse(f"{path}:1", f"unknown key {key!r}; a rule file holds [[rule]] tables only")
    entries = table.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        _refuse(f"{path}:1", "`rule` must be an array of tables: write [[rule]]")
    return [_rule(entry, path, number, lines) for number, entry in enumerate(entries)]


def _rule(entry: Mapping[str, Any], path: str, number: int, lines: _Lines) -> Rule:
    def wrong(what: str, key: str = "") -> NoReturn:
        _refuse(f"{path}:{lines.of(number, key)}", what)

    for key in _REQUIRED:
        if key not in entry:
            wrong(f"the rule has no {key!r}")
    for key, value in entry.items():
        if key in _OPTIONAL:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                wrong(f"{key!r} must be a list of strings", key)
        elif key not in _REQUIRED:
            wrong(f"unknown key {key!r}; a rule has {', '.join(_REQUIRED + _OPTIONAL)}", key)
        elif key != "severity" and not (isinstance(value, str) and value):
            wrong(f"{key!r} must be a string that is not empty", key)
    if not _ID.fullmatch(entry["id"]):
        wrong("'id' must be 1 to 64 small letters, digits, dots, dashes and underscores", "id")
    if len(entry["pattern"]) > _MAX_PATTERN:
        wrong(f"'pattern' is over {_MAX_PATTERN} characters", "pattern")
    return Rule(
        entry["id"],
        entry["description"],
        entry["pattern"],
        _severity(entry["severity"], lambda what: wrong(what, "severity")),
        tuple(entry.get("examples", ())),
        tuple(entry.get("counter_examples", ())),
        f"{path}:{lines.of(number, 'pattern')}",
    )


def _severity(value: object, wrong: Callable[[str], NoReturn]) -> float:
    if isinstance(value, str) and value in SEVERITIES:
        return SEVERITIES[value]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    wrong(f"'severity' must be a number from 0 to 1 or one of {', '.join(SEVERITIES)}")
