"""A long log: 200 shapes of lines with numbers, names and addresses in them, and now and then a line of a new kind."""

from __future__ import annotations

import random
from collections.abc import Iterator

SHAPES = 200
_TEXT = (
    "accepted answered backup batch billing broker cache certificate checked client closed cluster commit config "
    "connection container created cursor deleted device disk drained exported failed file finished flushed gateway "
    "granted group handler health image import index ingest invoice job joined journal key lease left limit loaded "
    "locked login mail merged metric migrated mirror mounted node opened order packet page parsed password payment "
    "peer pinned pool posted printed proxy purged queue quota read rebuilt received record refused region released "
    "removed renewed replica report request resolved restarted retried revoked rotated route saved scaled schema "
    "sent session shard signed skipped snapshot socket started stopped stored stream synced table task tenant "
    "timeout token trace transfer trimmed unlocked updated upload user vacuum verified volume worker written"
)
_WORDS = _TEXT.split()


def lines(count: int, seed: int = 1) -> Iterator[str]:
    """`count` lines, the same for the same seed; one in a hundred is of a kind that never was before."""
    chance = random.Random(seed)
    shapes = [_shape(chance) for _ in range(SHAPES)]
    letters = "abcdefghijklmnopqrstuvwxyz"
    for number in range(count):
        if number % 100 == 99:
            words = (
                "".join(chance.choices(letters, k=chance.randrange(4, 10))) for _ in range(chance.randrange(4, 12))
            )
            yield " ".join(words)
        else:
            yield chance.choice(shapes).format(
                n=chance.randrange(1_000_000),
                ip=f"192.0.2.{chance.randrange(256)}",
                hex=f"{chance.getrandbits(64):016x}",
                ms=chance.random() * 100,
            )


def _shape(chance: random.Random) -> str:
    words = chance.sample(_WORDS, chance.randrange(4, 10))
    slots = chance.sample(
        ("job {n}", "from {ip}", "id={hex}", "in {ms:.3f} ms", "/srv/data/{n}.bin"), chance.randrange(1, 4)
    )
    for slot in slots:
        words.insert(chance.randrange(1, len(words) + 1), slot)
    return " ".join(words)
