"""What ``sophia._core.encode`` and ``sophia._core.idf`` must compute, one lane and one feature at a time.

Vectors are lists of lanes (0/1, or -127..127). Hashes are the ones of ``include/text_features.h``, because a
feature's hypervector is named by its hash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

MASK = (1 << 64) - 1
MIX_A = 0x6A09E667F3BCC909
MIX_B = 0xBB67AE8584CAA73B
MIX_C = 0x3C6EF372FE94F82B
MIX_D = 0xA54FF53A5F1D36F1
TIE_STEP = 0x9E3779B97F4A7C15
MULTIPLIER = 0xE9846AF9B1A615D
FEATURES_MAX = 4096
ONE = 16

SEPARATOR, LETTER, UNSPACED = range(3)

# (first, last) of each range that is not a letter, outside ASCII.
# fmt: off
SEPARATORS = [
    (0x80, 0xA9), (0xAB, 0xB4), (0xB6, 0xB9), (0xBB, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7), (0x37E, 0x37E),
    (0x387, 0x387), (0x589, 0x589), (0x60C, 0x60D), (0x61B, 0x61B), (0x61F, 0x61F), (0x66A, 0x66D),
    (0x6D4, 0x6D4), (0x964, 0x965), (0x104A, 0x104F), (0x1361, 0x1368), (0x1680, 0x1680), (0x17D4, 0x17DB),
    (0x2000, 0x200B), (0x200E, 0x206F), (0x20A0, 0x20CF), (0x2190, 0x245F), (0x2500, 0x25FF),
    (0x27C0, 0x2BFF), (0x2E00, 0x2E7F), (0x2FF0, 0x3004), (0x3008, 0x3020), (0x3030, 0x3030),
    (0x303D, 0x3040), (0x30FB, 0x30FB), (0xFE10, 0xFE1F), (0xFE30, 0xFE6F), (0xFEFF, 0xFF0F),
    (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF65), (0xFFE0, 0xFFFF),
]
UNSPACED_RANGES = [
    (0xE01, 0xEFF), (0x1000, 0x1049), (0x1050, 0x109F), (0x1780, 0x17D3), (0x17DC, 0x17FF),
    (0x2600, 0x27BF), (0x2E80, 0x2FEF), (0x3005, 0x3007), (0x3021, 0x302F), (0x3031, 0x303C),
    (0x3041, 0x30FA), (0x30FC, 0x312F), (0x31A0, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
    (0x1F000, 0x1FAFF), (0x20000, 0x323AF),
]
# fmt: on


def mix64(x: int) -> int:
    x &= MASK
    x ^= x >> 32
    x = x * MULTIPLIER & MASK
    x ^= x >> 32
    x = x * MULTIPLIER & MASK
    return x ^ x >> 28


def char_class(code: int) -> int:
    if code < 0x80:
        return LETTER if chr(code).isalnum() else SEPARATOR
    if any(first <= code <= last for first, last in SEPARATORS):
        return SEPARATOR
    if any(first <= code <= last for first, last in UNSPACED_RANGES):
        return UNSPACED
    return LETTER


def code_points(text: str | bytes) -> list[int]:
    """Folded code points; a byte that is no UTF-8 becomes 0x110000 + byte."""
    if isinstance(text, bytes):
        decoded = text.decode("utf-8", "surrogateescape")
        raw = [0x110000 + ord(c) - 0xDC00 if 0xDC80 <= ord(c) <= 0xDCFF else ord(c) for c in decoded]
    else:
        raw = [ord(c) for c in text]
    return [code + 32 if ord("A") <= code <= ord("Z") else code for code in raw]


def runs(text: str | bytes) -> list[tuple[int, list[int]]]:
    """Maximal runs of one class, separators left out."""
    found: list[tuple[int, list[int]]] = []
    last = SEPARATOR
    for code in code_points(text):
        kind = char_class(code)
        if kind != SEPARATOR:
            if kind != last:
                found.append((kind, []))
            found[-1][1].append(code)
        last = kind
    return found


def feature_names(text: str | bytes) -> list[tuple[str, tuple[int, ...]]]:
    """(kind, code points) of every occurrence, in the order in which the encoder meets them."""
    names: list[tuple[str, tuple[int, ...]]] = []
    for kind, run in runs(text):
        marked = [ord("<"), *run, ord(">")] if kind == LETTER else run
        for end in range(1, len(marked) + 1):
            if kind == UNSPACED and end >= 2:
                names.append(("word", tuple(run[end - 2 : end])))
            for n in (3, 4):
                whole_word = kind == LETTER and n == len(marked)
                if end >= n and not whole_word:
                    names.append((f"gram{n}", tuple(marked[end - n : end])))
        if kind == LETTER or len(run) == 1:
            names.append(("word", tuple(run)))
    return names


def feature_hash(name: tuple[str, tuple[int, ...]], seed: int = 0) -> int:
    kind, codes = name
    base = mix64(seed ^ MIX_A)
    number = {"word": 1, "gram3": 3, "gram4": 4}[kind]
    key = mix64(base + number * MIX_D)
    if kind == "word":
        state = key
        for code in codes:
            state = (state ^ code) * MULTIPLIER & MASK
            state ^= state >> 32
        value = mix64(state + len(codes))
    else:
        packed = codes[0] | codes[1] << 21 | codes[2] << 42
        value = mix64(packed ^ key)
        if kind == "gram4":
            value = mix64(value + codes[3] * MIX_D)
    return value or 1


def features(text: str | bytes, seed: int = 0) -> dict[int, int]:
    """Hash -> count of the first 4,096 distinct features."""
    counts: Counter[int] = Counter()
    for name in feature_names(text):
        value = feature_hash(name, seed)
        if value in counts or len(counts) < FEATURES_MAX:
            counts[value] = min(counts[value] + 1, 65535)
    return dict(counts)


def log2_4096(x: int) -> int:
    """log2 in 1/4096, from the nine leading bits, rounded: exact big integers instead of a table."""
    whole = x.bit_length() - 1
    leading = x >> whole - 8 if whole >= 8 else x << 8 - whole
    halves = (leading**8192).bit_length() - 1 - 8 * 8192  # floor(8192 * log2(leading / 256))
    return whole * 4096 + (halves + 1) // 2


def idf_weight(documents: int, df: int) -> int:
    df = min(df, documents)
    bits = log2_4096(2 * documents + 2) - log2_4096(2 * df + 1)
    return max(1, (bits * ONE + 2048) // 4096)


def tf_weight(weight: int, count: int) -> int:
    if count <= 1:
        return weight
    below = 10 * count + 12
    return (22 * count * weight + below // 2) // below


def weights(
    text: str | bytes, seed: int = 0, documents: int | None = None, frequencies: dict[int, int] | None = None
) -> dict[int, int]:
    """Hash -> weight in sixteenths; without documents every feature weighs one."""
    found = features(text, seed)
    if documents is None:
        return {value: tf_weight(ONE, count) for value, count in found.items()}
    known = frequencies or {}
    return {value: tf_weight(idf_weight(documents, known.get(value, 0)), count) for value, count in found.items()}


def row(name: int, dim: int) -> list[int]:
    """The pseudo-random hypervector that `name` names."""
    lanes: list[int] = []
    word = 0
    while len(lanes) < dim:
        word += 1
        bits = mix64(name + word * MIX_C)
        lanes.extend(bits >> i & 1 for i in range(64))
    return lanes[:dim]


def sums(votes: Sequence[tuple[Sequence[int], int]], dim: int) -> list[int]:
    """Weight of the 0 votes minus weight of the 1 votes, lane by lane."""
    total = [0] * dim
    for lanes, weight in votes:
        for i in range(dim):
            total[i] += -weight if lanes[i] else weight
    return total


def reduced(weighted: dict[int, int]) -> dict[int, int]:
    """Weights divided by the power of two that they share."""
    while weighted and all(weight % 2 == 0 for weight in weighted.values()):
        weighted = {name: weight // 2 for name, weight in weighted.items()}
    return weighted


def tie_seed(counts: Sequence[int]) -> int:
    """The lowest bits of the counts that are not all zero, as one number."""
    while any(counts):  # a negative number ends as -1, all of whose bits are set
        if odd := sum((count & 1) << i for i, count in enumerate(counts)):
            return odd
        counts = [count // 2 for count in counts]
    return 0


def majority(votes: Sequence[tuple[Sequence[int], int]], dim: int) -> list[int]:
    """A tie takes its bit from a hash of the counts of the votes for 1, 64 lanes at a time."""
    totals = sums(votes, dim)
    counts = [sum(weight for lanes, weight in votes if lanes[i]) for i in range(dim)]
    result = []
    for i, total in enumerate(totals):
        word = i // 64
        tie = mix64(tie_seed(counts[64 * word : 64 * word + 64]) ^ (word + 1) * TIE_STEP & MASK) >> i % 64 & 1
        result.append(1 if total < 0 else 0 if total > 0 else tie)
    return result


def scale(totals: Sequence[int]) -> list[int]:
    """127 times the share of the largest magnitude, to the nearest whole number, a half away from zero."""
    largest = max(abs(total) for total in totals)
    levels = [(254 * abs(total) + largest) // (2 * largest) if largest else 0 for total in totals]
    return [-level if total < 0 else level for level, total in zip(levels, totals, strict=True)]


def encode_bits(weighted: dict[int, int], dim: int) -> list[int]:
    return majority([(row(name, dim), weight) for name, weight in reduced(weighted).items()], dim)


def encode_levels(weighted: dict[int, int], dim: int) -> list[int]:
    return scale(sums([(row(name, dim), weight) for name, weight in reduced(weighted).items()], dim))


def pack(lanes: Sequence[int]) -> bytes:
    """Bits to bytes, lane 0 first, padded to whole 64-byte blocks."""
    value = sum(bit << i for i, bit in enumerate(lanes))
    return value.to_bytes((len(lanes) + 511) // 512 * 64, "little")


def rotate(lanes: Sequence[int], shift: int) -> list[int]:
    """Lane i moves to lane i + shift."""
    shift %= len(lanes)
    return [*lanes[len(lanes) - shift :], *lanes[: len(lanes) - shift]]


def ngram_rows(symbols: Sequence[int], n: int, dim: int, seed: int = 0) -> list[list[int]]:
    """The XOR of each n consecutive symbols, the first rotated by n - 1, the last by 0."""
    items = {symbol: row(symbol_name(symbol, seed), dim) for symbol in set(symbols)}
    found = []
    for start in range(len(symbols) - n + 1):
        bound = [0] * dim
        for place in range(n):
            turned = rotate(items[symbols[start + place]], n - 1 - place)
            bound = [a ^ b for a, b in zip(bound, turned, strict=True)]
        found.append(bound)
    return found


def symbol_name(symbol: int, seed: int = 0) -> int:
    return mix64(mix64(mix64(seed ^ MIX_A) + 9 * MIX_D) ^ symbol)
