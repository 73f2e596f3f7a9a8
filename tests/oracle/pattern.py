# Over 600 lines: one algorithm, written once more as plainly as it can be.
"""What ``sophia._core.pattern`` must answer, in plain Python: no hashing, no arenas, dictionaries and tuples.

The masks work on bytes; the table holds tuples of tokens. Slow and simple on purpose.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

SLOT = b"<*>"
MAX_BYTES = 4096
MAX_TOKENS = 256
MAX_GENERALISATIONS = 32
MAX_SHAPES = 16
MAX_SHARERS = 16
SWEEP = 64
RARE_NEED = 5
NEVER = 255

LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") | frozenset(range(0x80, 0x100))
ASCII_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = frozenset(b"0123456789")
HEX = frozenset(b"0123456789abcdefABCDEF")
ALNUM = LETTERS | DIGITS
WORD = ALNUM | frozenset(b"_-./\\@#$%+~*&")
NAME = ALNUM | frozenset(b"_-.")
JOIN = frozenset(b":,.-/+|=@#")
URL_END = frozenset(b"\"'<>()[]{},;")
NUMBER = DIGITS | frozenset(b".+-")
VERBS = (b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"PATCH", b"OPTIONS", b"CONNECT", b"TRACE")
DATES = frozenset(
    b"jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august "
    b"september october november december mon tue wed thu fri sat sun monday tuesday wednesday thursday "
    b"friday saturday sunday".split()
)
UNITS = frozenset(
    b"b kb mb gb tb kib mib gib tib k m g s h ms us ns sec secs min mins hz khz mhz ghz % am pm utc gmt "
    b"\xc2\xb5s est edt cst cdt mst mdt pst pdt cet cest bst ist jst".split()
)
NOTHING = frozenset((b"null", b"none", b"nil"))
MESSAGES = frozenset((b"msg", b"message", b"text", b"err", b"error", b"reason"))
QUOTED_BYTES = 64
WIDE = 12
DATE_EDGE = frozenset(b"[(,.")
UNIT_EDGE = frozenset(b"()[]{}<>,;:.\"'")


def is_blank(c: int) -> bool:
    return c <= 0x20


def is_stem(piece: bytes) -> bool:
    """At least three ASCII letters and one digit: eth0, SOCKS5, worker7."""
    return len(piece) >= 4 and piece[-1] in DIGITS and all(c in ASCII_LETTERS for c in piece[:-1])


def is_variable(piece: bytes) -> bool:
    if not any(c in ALNUM for c in piece) or is_stem(piece):
        return False
    if any(c in DIGITS for c in piece):
        return True
    if len(piece) >= 8 and all(c in HEX for c in piece):
        return True
    if len(piece) > 1 and piece[0] == 0x2F and (piece[1] in ALNUM or piece[1] == 0x2E):
        return True
    if len(piece) > 2 and piece[:2] in (b"./", b"~/"):
        return True
    if len(piece) > 2 and b"\\" in piece[:-1]:
        return True
    if piece.count(b"/") >= 2 and b"//" not in piece:
        return True
    if piece.count(b".") >= 3 and all(piece.split(b".")):
        return True
    return piece[0] in ALNUM and b"@" in piece[1:-1]


def request_verb(inside: bytes) -> bytes | None:
    """The method of an HTTP request line."""
    verb = next((v for v in VERBS if inside.startswith(v + b" ")), None)
    if verb is None:
        return None
    parts = split(inside[len(verb) + 1 :])
    if len(parts) == 1 and parts[0].startswith(b"/"):
        return verb
    version = len(parts) == 2 and parts[1].startswith(b"HTTP/") and len(parts[1]) > 5
    return verb if version and parts[0] else None


def split(text: bytes) -> list[bytes]:
    """At every single blank; the parts may be empty."""
    return bytes(0x20 if is_blank(c) else c for c in text).split(b" ")


def names_message(before: bytes) -> bool:
    """Whether the text before a quote ends in msg=, "error": and the like."""
    blanks = bytes(range(0x21))
    before = before.rstrip(blanks)
    if not before.endswith((b"=", b":")):
        return False
    before = before[:-1].rstrip(blanks + b'"')
    a = len(before)
    while a > 0 and before[a - 1] in ALNUM:
        a -= 1
    return before[a:].lower() in MESSAGES


def starts_path(text: bytes) -> bool:
    if len(text) < 3:
        return False
    if text[:2] in (b"./", b"~/", b"\\\\") or (text[:1] == b"/" and text[1] in ALNUM | {0x2E}):
        return True
    return text[0] in ASCII_LETTERS and text[1:3] in (b":/", b":\\")


def is_quoted_value(inside: bytes) -> bool:
    """A name, an address, a list of such or a path, and no prose."""
    if not 0 < len(inside) <= QUOTED_BYTES or is_blank(inside[0]) or is_blank(inside[-1]):
        return False
    if sum(c >= 0xE0 for c in inside) > WIDE:
        return False
    words = [w for w in split(inside) if w]
    if len(words) == 1 or (len(words) == 2 and inside[-1] not in b".!?"):
        return True

    def has_sign(w: bytes) -> bool:
        dotted = any(w[i] == 0x2E and w[i - 1] in ALNUM and w[i + 1] in ALNUM for i in range(1, len(w) - 1))
        return dotted or any(c in DIGITS or c in b"_/\\@" for c in w)

    if all(map(has_sign, words)):
        return True
    parts = [any(c in b"/\\" for c in w[1:]) for w in words]
    rows = any(not a and not b for a, b in pairwise(parts))
    other = any(b":" in w or w[0] in b"/\\" for w in words[1:])
    return starts_path(inside) and parts[-1] and not rows and not other


class _Token:
    """One token of the output: its bytes as masked and as they were, and whether a number ends it."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.raw = bytearray()
        self.number_ends = False

    def slot(self) -> None:
        if self.out.endswith(SLOT):
            return
        if len(self.out) >= 4 and self.out[-1] in JOIN and self.out[:-1].endswith(SLOT):
            del self.out[-1:]
            return
        self.out += SLOT


def _tokens(text: bytes) -> Iterator[_Token]:
    text = text[:MAX_BYTES]
    end = len(text)
    i = 0
    first_byte = True
    quotes = True
    prose_end = -1
    while True:
        while i < end and is_blank(text[i]):
            i += 1
        if i >= end:
            return
        token = _Token()
        while i < end and not is_blank(text[i]):
            c = text[i]
            leading = first_byte
            first_byte = False
            token.number_ends = False
            if c == 0x22 and quotes and i != prose_end:
                close = text.find(b'"', i + 1, end)
                inside = text[i + 1 : close] if close >= 0 else b""
                verb = request_verb(inside)
                name = 0 < len(inside) <= 64 and (inside[0] in LETTERS or inside[0] == 0x5F)
                if name and text[close + 1 : close + 2] == b":" and not any(map(is_blank, inside)):
                    token.out += text[i : close + 1]  # the name of a JSON member
                    token.raw += text[i : close + 1]
                    i = close + 1
                    continue
                token.out += b'"'
                token.raw += b'"'
                i += 1
                if verb is not None:
                    token.out += verb
                    token.raw += verb
                    yield token
                    token = _Token()
                elif close < 0 or leading:
                    quotes = False
                    continue
                elif not is_quoted_value(inside) or names_message(text[: i - 1]):
                    prose_end = close
                    continue
                token.out += SLOT + b'"'
                token.raw += b'0"'
                i = close + 1
                continue
            if c in HEX or c == 0x3A:
                j, colons, digits, group, fits = i, 0, False, 0, True
                while j < end and (text[j] in HEX or text[j] == 0x3A):
                    if text[j] == 0x3A:
                        colons += 1
                        group = 0
                    else:
                        group += 1
                        digits = digits or text[j] in DIGITS
                        fits = fits and group <= 4
                    j += 1
                stops = j == end or (text[j] not in WORD or text[j] == 0x25)
                if fits and colons >= 2 and digits and text[j - 1] != 0x3A and stops:
                    token.slot()
                    token.raw += text[i:j]
                    token.number_ends = True
                    i = j
                    continue
            if c not in WORD:
                token.out.append(c)
                token.raw.append(c)
                i += 1
                continue
            j = i
            if text[i : i + 2] == b"..":
                while j < end and text[j] == 0x2E:
                    j += 1
                if j == end or text[j] != 0x2F:
                    token.out += text[i:j]
                    token.raw += text[i:j]
                    i = j
                    continue
                j = i
            while j < end and text[j] in WORD:
                if text[j] == 0x2E and j > i and j + 1 < end and text[j + 1] == 0x2E:
                    break
                j += 1
            if text[j : min(j + 3, end)] == b"://":
                k = j + 3
                while k < end and text[k] not in URL_END and not is_blank(text[k]):
                    k += 1
                token.slot()
                token.raw += text[i:k]
                i = k
                continue
            e = j
            while e > i and text[e - 1] in b".-":
                e -= 1
            piece = text[i:e]
            port = (
                e == j
                and j + 1 < end
                and text[j] == 0x3A
                and text[j + 1] in DIGITS
                and b"." in piece
                and piece == piece.lower()
                and any(c in ALNUM for c in piece)
            )
            empty = token.out[-1:] == b"=" and piece.lower() in NOTHING
            if port or empty or is_variable(piece):
                token.slot()
                token.out += text[e:j]
                token.number_ends = e == j and all(c in NUMBER for c in piece)
            else:
                token.out += text[i:j]
            token.raw += text[i:j]
            i = j
        yield token


def _strip(data: bytes, edge: frozenset[int]) -> tuple[int, int]:
    a, b = 0, len(data)
    while a < b and data[a] in edge:
        a += 1
    while b > a and data[b - 1] in edge:
        b -= 1
    return a, b


def mask(text: bytes) -> tuple[bytes, ...]:
    """The tokens of the masked line."""
    line: list[bytes] = []
    number = False
    for count, token in enumerate(_tokens(text)):
        if count == MAX_TOKENS:
            break
        a, b = _strip(bytes(token.raw), UNIT_EDGE)
        if number and bytes(token.raw[a:b]).lower() in UNITS:
            line[-1] += bytes(token.raw[:a] + token.raw[b:])
            number = False
            continue
        number = token.number_ends
        masked = bytes(token.out)
        if masked.startswith(SLOT) and len(masked) <= 4:
            names = []
            while line:
                a, b = _strip(line[-1], DATE_EDGE)
                if line[-1][a:b].lower() not in DATES:
                    break
                name = line.pop()
                names.append(name[:a] + SLOT + name[b:][:8])
            for name in reversed(names):
                _put(line, name)
        _put(line, masked)
    return tuple(line)


def _put(line: list[bytes], masked: bytes) -> None:
    joins = masked.startswith(SLOT) and line and line[-1].endswith(SLOT)
    if joins and not any(c in ALNUM for c in line[-1]):
        line[-1] += masked[len(SLOT) :]
    else:
        line.append(masked)


# ------------------------------------------------------------------------------------------------ templates

Template = tuple[bytes, ...]


def is_word(token: bytes) -> bool:
    return SLOT not in token and any(c in ALNUM for c in token)


def names(token: bytes) -> list[bytes]:
    """The names before ``=``, ``:`` or dots in a token that holds a slot; none of other tokens."""
    out = []
    i = 0 if SLOT in token else len(token)
    while i < len(token):
        if token[i] not in NAME:
            i += 1
            continue
        j = i
        while j < len(token) and token[j] in NAME:
            j += 1
        run = token[i:j]
        a = 0
        while a < len(run) and run[a] not in LETTERS and run[a] != 0x5F:
            a += 1
        ends = token[j : j + 1] in (b"=", b":") or token[j : j + 2] == b'":' or run.endswith(b"..")
        if a < len(run) and ends and not (i > 0 and token[i - 1] == 0x3D):
            out.append(run[a:] + b"=")
        i = j
    return out


def words(template: Template) -> int:
    """Constant words, tokens that name their value counted in."""
    return sum(1 for t in template if is_word(t) or names(t))


def key(template: Template) -> tuple[bytes, ...]:
    """The constant words and names in order."""
    return tuple(part for t in template for part in ([t] if is_word(t) else names(t)))


def collapse(tokens: list[bytes]) -> Template:
    out: list[bytes] = []
    for t in tokens:
        if t == SLOT and out and out[-1] == SLOT:
            continue
        out.append(t)
    return tuple(out)


def core(token: bytes) -> tuple[int, int]:
    a, b = 0, len(token)
    while a < b and token[a] not in ALNUM:
        a += 1
    while b > a and token[b - 1] not in ALNUM:
        b -= 1
    return a, b


def has_stem(token: bytes) -> bool:
    a, b = core(token)
    return SLOT not in token and is_stem(token[a:b])


def wild(token: bytes) -> bytes:
    a, b = core(token)
    return token[:a] + SLOT + token[b:]


def is_plain(token: bytes) -> bool:
    return SLOT not in token and token[-1] in ALNUM


def is_capital(token: bytes) -> bool:
    letters = [c for c in token if c in LETTERS]
    return len(letters) >= 2 and all(0x41 <= c <= 0x5A for c in letters)


def is_title(token: bytes) -> bool:
    return 0x41 <= next((c for c in token if c in LETTERS), 0) <= 0x5A


def is_dotted(token: bytes) -> bool:
    return b"." in token.strip(b".,:;()[]")


def value_of(token: bytes) -> tuple[int, int] | None:
    """The value in ``name=value``: its range in the token; None where there is none."""
    e = token.find(b"=")
    if e < 0:
        return None
    a = 0
    while a < e and token[a] not in ALNUM and token[a] != 0x5F:
        a += 1
    name = token[a:e]
    if not name or not (name[0] in LETTERS or name[0] == 0x5F):
        return None
    if any(c not in ALNUM and c not in b"_." for c in name):
        return None
    b = len(token)
    while b > e + 1 and token[b - 1] not in ALNUM:
        b -= 1
    if b == e + 1 or SLOT in token[e + 1 : b]:
        return None
    return e + 1, b


def pair_of(token: bytes) -> tuple[int, int] | None:
    """``name:<*>``: the range of name, colon and slot."""
    a = 0
    while a < len(token) and token[a] not in ALNUM and token[a] != 0x5F:
        a += 1
    j = a
    while j < len(token) and token[j] in NAME | {0x5F}:
        j += 1
    if j == a or not (token[a] in LETTERS or token[a] == 0x5F) or token[j : j + 4] != b":<*>":
        return None
    if any(c in ALNUM for c in token[j + 4 :]) or SLOT in token[j + 4 :]:
        return None
    return a, j + 4


def need_word(template: Template, p: int, constants: int) -> int:
    token = template[p]
    start = p == 0 or not is_plain(template[p - 1])
    few = 8 if constants == 2 else 12
    if any(c in DIGITS for c in token):
        need = 3 if constants >= 2 else 12
    elif is_dotted(token):
        need = 3 if constants >= 3 else NEVER if start else few
    elif start:
        need = 8 if constants >= 3 else NEVER
    else:
        need = 4 if constants >= 3 else few
        if is_title(token):
            need = max(need, 8)
    return max(need, 8) if is_capital(token) else need


Way = tuple[Template, int, str]
"""A template with one place made a slot, how many different ones need to share it, and what the place is."""


def place_of(token: bytes) -> tuple[int, int]:
    """What becomes a slot where the whole place varies: the value of name=value, else the core."""
    return value_of(token) or core(token)


def rare_way(template: Template, rare: int) -> Template:
    out = []
    for i, token in enumerate(template):
        if rare >> i & 1:
            a, b = place_of(token)
            token = token[:a] + SLOT + token[b:]
        out.append(token)
    return collapse(out)


def generalisations(template: Template, rare: int = 0) -> Iterator[Way]:
    yield from single_places(template)
    if rare:
        yield rare_way(template, rare), RARE_NEED, "rare"


def single_places(template: Template) -> Iterator[Way]:
    tokens = list(template)
    total = words(template)
    given = 0
    stems = sum(1 for t in tokens if has_stem(t))
    if stems >= 2:
        if total - stems >= 2:
            yield collapse([wild(t) if has_stem(t) else t for t in tokens]), 2, "stems"
        given += 1
    for p, token in enumerate(tokens):
        if given >= MAX_GENERALISATIONS:
            return
        pair = pair_of(token)
        if pair is not None:
            given += 1
            constants = total - bool(names(token))
            need = need_word(template, p, constants)
            if constants >= 1 and need != NEVER:
                new = token[: pair[0]] + SLOT + token[pair[1] :]
                yield collapse([*tokens[:p], new, *tokens[p + 1 :]]), need, "pair"
            continue
        value = value_of(token)
        has_slot = SLOT in token
        if has_slot and value is None:
            continue
        constants = total - (value is None)
        if has_stem(token) and value is None and constants >= 1:
            given += 1
            a, b = core(token)
            yield collapse([*tokens[:p], token[: b - 1] + SLOT + token[b:], *tokens[p + 1 :]]), 2, "digit"
        if value is not None:
            given += 1
            if constants >= 1:
                need = 8 if constants == 2 else 12
                if constants >= 3:
                    need = 3 if is_dotted(token) else 4
                if is_capital(token):
                    need = max(need, 8)
                new = token[: value[0]] + SLOT + token[value[1] :]
                yield collapse([*tokens[:p], new, *tokens[p + 1 :]]), need, "value"
            continue
        if not any(c in ALNUM for c in token) or token[-1] == 0x3D:
            continue
        given += 1
        if constants < 1:
            continue
        need = need_word(template, p, constants)
        new_tokens = list(tokens)
        new_tokens[p] = wild(token)
        if has_stem(token):
            a, b = core(token)
            for q, other in enumerate(tokens):
                if q != p and SLOT not in other:
                    new_tokens[q] = replace_word(other, token[a:b])
        if words(tuple(new_tokens)) >= 1 and need != NEVER:
            yield collapse(new_tokens), need, "word"


def replace_word(token: bytes, word: bytes) -> bytes:
    """The first occurrence of ``word`` as a whole word of ``token``, if its first occurrence is one."""
    k = token.find(word)
    end = k + len(word)
    if k < 0 or (k > 0 and token[k - 1] in ALNUM) or (end < len(token) and token[end] in ALNUM):
        return token
    return token[:k] + SLOT + token[k + len(word) :]


def shaped(template: Template, shape: int) -> Template | None:
    """The template with a slot in every place of the shape; None where a place has nothing to replace."""
    out = []
    for i, token in enumerate(template):
        if shape >> i & 1 and SLOT not in token:
            a, b = place_of(token)
            if a == b:
                return None
            token = token[:a] + SLOT + token[b:]
        out.append(token)
    return tuple(out) if collapse(out) == tuple(out) else None


# ------------------------------------------------------------------------------------------------- the table


@dataclass(eq=False)
class Group:
    ids: set[int] = field(default_factory=set)
    nodes: list[Node] = field(default_factory=list)
    count: int = 0
    first_n: int = 0
    last_n: int = 0

    @property
    def survivor(self) -> int:
        return min(self.ids)


@dataclass(eq=False)
class Node:
    template: Template
    group: Group | None = None
    leaf: bool = False
    general: bool = False
    shaped: bool = False
    depth: int = 0
    count: int = 0
    rare: int = 0


@dataclass(frozen=True)
class Sighting:
    id: int
    count: int
    leaf_count: int
    closeness: float
    fresh: bool


class Table:
    """What PatternTable does."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.nodes: dict[Template, Node] = {}
        self.used: OrderedDict[Template, None] = OrderedDict()  # leaves, the least recently seen first
        self.ways: dict[Template, dict[Template, int]] = {}
        self.keys: dict[tuple[bytes, ...], list[Node]] = {}
        self.shapes: dict[int, list[int]] = {}
        self.shape_users: dict[tuple[int, int], int] = {}
        self.owner: dict[int, Group] = {}
        self.next_id = 1
        self.inserted = 0
        self.next_sweep = SWEEP
        self.shapes_fresh = False
        self.generals = 0
        self.frequency: Counter[bytes] = Counter()  # of a constant word: the leaves that hold it

    def observe(self, text: bytes, n: int = 0) -> Sighting:
        template = mask(text)
        node = self.nodes.get(template)
        closeness, fresh = 1.0, False
        if node is not None and node.leaf:
            self.used.move_to_end(template)
        else:
            node, kept, fresh = self._learn(template, n)
            closeness = 0.0 if fresh else kept / (words(template) + 1)
        group = node.group
        assert group is not None
        sighting = Sighting(group.survivor, group.count, node.count, closeness, fresh)
        node.count += 1
        group.count += 1
        group.last_n = n
        return sighting

    def resolve(self, id: int) -> int:
        return self.owner[id].survivor

    def _learn(self, template: Template, n: int) -> tuple[Node, int, bool]:
        if self.shapes_fresh and self.inserted >= self.next_sweep:
            self._sweep()
        if len(self.used) >= self.capacity:
            self._evict()
        node = self.nodes.get(template)
        fresh = False
        if node is not None:
            kept = words(template)
        else:
            node = self.nodes[template] = Node(template)
            node.rare = self._rare(template)
            kept = max(self._fit(node), self._fit_rare(node))
            work: list[Node] = []
            kept = max(kept, self._connect(node, work))
            if node.group is None:
                fresh = True
                group = Group({self.next_id}, first_n=n)
                self.owner[self.next_id] = group
                self.next_id += 1
                self._join(node, group)
            while work:
                self._connect(work.pop(), work)
        node.leaf = True
        self.frequency.update(filter(is_word, template))
        self.used[template] = None
        self.inserted += 1
        return node, kept, fresh

    def _rare(self, template: Template) -> int:
        """The places of words that no leaf holds, where there are two or more and enough others.

        Each stands behind a plain word that is known, or is a value behind a name: a row of unknown words is
        another message.
        """
        if len(template) > 64:
            return 0
        rare = [i for i, t in enumerate(template) if is_word(t) and not self.frequency[t]]
        named = [i for i in rare if value_of(template[i])]
        constants = words(template) - len(rare) + len(named)
        if len(rare) < 2 or constants < max(3, len(rare)):
            return 0
        if any(i == 0 or i - 1 in rare or not is_plain(template[i - 1]) for i in rare if i not in named):
            return 0
        return sum(1 << i for i in rare) if words(template) > len(rare) else 0

    def _join(self, node: Node, group: Group | None) -> None:
        own = node.group
        if group is None or own is group:
            return
        if own is None:
            node.group = group
            group.nodes.append(node)
            return
        for other in group.nodes:
            other.group = own
        for id in group.ids:
            self.owner[id] = own
        own.nodes += group.nodes
        own.ids |= group.ids
        own.count += group.count
        own.first_n = min(own.first_n, group.first_n)
        own.last_n = max(own.last_n, group.last_n)

    def _connect(self, node: Node, work: list[Node]) -> int:
        template = node.template
        kept = 0
        if words(template) >= 2 or node.general:
            for other in self.ways.get(template, ()):
                self._join(node, self.nodes[other].group)
                kept = words(template)
        if words(template) >= 3:
            same = self.keys.setdefault(key(template), [])
            if same:
                self._join(node, same[0].group)
                kept = words(template)
            same.append(node)
        for way, need, kind in generalisations(template, node.rare):
            target = self.nodes.get(way)
            if target is not None and (target.general or words(way) >= 2 or kind == "digit"):
                self._join(node, target.group)
                kept = max(kept, words(way))
            if target is not None and target.general:
                continue
            self._share(way, template, need)
            sharers = self.ways[way]
            if len({*sharers, template}) < min(need, *sharers.values()):
                continue
            for other in sharers:
                self._join(node, self.nodes[other].group)
            kept = max(kept, words(way))
            if self.generals >= self.capacity:
                continue
            self.generals += 1
            if target is None:
                target = self.nodes[way] = Node(way)
                work.append(target)
            target.general = True
            target.depth = node.depth + (2 if kind == "rare" else 1)
            self._join(target, node.group)
            del self.ways[way]
            if target.depth >= 2:
                self._add_shape(target)
                self.shapes_fresh = True
        return kept

    def _share(self, way: Template, template: Template, need: int) -> None:
        sharers = self.ways.setdefault(way, {})
        if template in sharers:
            sharers[template] = min(need, sharers[template])
        elif len(sharers) < MAX_SHARERS:
            sharers[template] = need

    def _add_shape(self, node: Node) -> None:
        size = len(node.template)
        if not 0 < size <= 64 or node.shaped:
            return
        shape = sum(1 << i for i, token in enumerate(node.template) if SLOT in token)
        known = self.shapes.setdefault(size, [])
        if shape not in known:
            if len(known) == MAX_SHAPES:
                return
            known.append(shape)
        self.shape_users[size, shape] = self.shape_users.get((size, shape), 0) + 1
        node.shaped = True

    def _fit(self, node: Node) -> int:
        kept = 0
        for shape in self.shapes.get(len(node.template), ()):
            target = self.nodes.get(shaped(node.template, shape) or ())
            if target is not None and target.general:
                self._join(node, target.group)
                kept = max(kept, words(target.template))
        return kept

    def _fit_rare(self, node: Node) -> int:
        """A general node that the leaf fits when all its unknown words, in rows or not, are slots."""
        template = node.template
        rare = sum(1 << i for i, t in enumerate(template[:64]) if is_word(t) and not self.frequency[t])
        if rare.bit_count() < 2 or len(template) > 64:
            return 0
        target = self.nodes.get(rare_way(template, rare))
        if target is None or not target.general or words(target.template) < 3:
            return 0
        self._join(node, target.group)
        return words(target.template)

    def _sweep(self) -> None:
        for template in list(self.used):
            self._fit(self.nodes[template])
        self.shapes_fresh = False
        self.next_sweep = self.inserted + max(len(self.used) // 2, SWEEP)

    def _evict(self) -> None:
        template, _ = self.used.popitem(last=False)
        node = self.nodes[template]
        node.leaf = False
        self.frequency.subtract(filter(is_word, template))
        group = node.group
        assert group is not None
        if not any(other.leaf for other in group.nodes):
            for other in list(group.nodes):
                self._drop(other)
            for id in group.ids:
                del self.owner[id]
        elif not node.general:
            self._drop(node)

    def _drop(self, node: Node) -> None:
        template = node.template
        for way, _, _ in generalisations(template, node.rare):
            sharers = self.ways.get(way, {})
            sharers.pop(template, None)
            if not sharers:
                self.ways.pop(way, None)
        if words(template) >= 3:
            self.keys[key(template)].remove(node)
        if node.shaped:
            size = len(template)
            shape = sum(1 << i for i, token in enumerate(template) if SLOT in token)
            self.shape_users[size, shape] -= 1
            if not self.shape_users[size, shape]:
                self.shapes[size].remove(shape)
        self.generals -= node.general
        assert node.group is not None
        node.group.nodes.remove(node)
        del self.nodes[template]
