from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import pattern as oracle

from sophia._core.pattern import PatternTable, mask

PIECES = st.sampled_from(
    b'<*>|"|""| | |  |(|)|[|]|:|=|..|.|/|\\|@|%|-|,|;|5|17|0x1f|abc|eth0|deadbeef|cafe|Dec|mon,|KB|ms)|GET |://|null|'
    b'10.0.0.1|a.b.c.d|~/x|x=|"k":|12:30:01|fe80::1|\xff|\xc2\xb5s|\xe7\x94\xa8|\x00|\t|+0800|*64'.split(b"|")
)
INSIDE = st.sampled_from(
    b"abc| | |  |5|eth0|a/b|/x|~/x|C:\\x|\\\\x|\\|/|:|_|.|a.b|gone.|!|@|GET |POST /x|HTTP/1.1| HTTP/|\xe7\x94\xa8"
    b"|xxxxxxxxxxxxxxxx".split(b"|")
)
BEFORE = st.sampled_from(b'|x |x| msg=|last_error = |"text": |Error:|"reason":|amsg=|=|"|xx5 '.split(b"|"))
QUOTED = st.tuples(BEFORE, st.lists(INSIDE, max_size=8).map(b"".join), st.sampled_from([b"", b" ", b":", b" 5"])).map(
    lambda part: part[0] + b'"' + part[1] + b'"' + part[2]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=40).map(b"".join),
    st.lists(QUOTED, min_size=1, max_size=4).map(b"".join),
    st.binary(max_size=200),
)

KNOWN = """
    user host ann bob carol dave root opened closed file eth0 eth1 node7 a.b c.conf x=1 k=v k=w RUN STOP
    10.0.0.1 17 for from the of [x] (y) done, err: n:5 用户
"""


@given(TEXTS)
@settings(max_examples=600, deadline=None)
def test_masks_like_the_oracle(text: bytes):
    assert mask(text) == b" ".join(oracle.mask(text)).decode("utf-8", "replace")


@st.composite
def streams(draw: st.DrawFn) -> list[str]:
    """Lines from a few frames, in which words are replaced by known and by new ones."""
    words = draw(st.lists(st.sampled_from(KNOWN.split()), min_size=3, max_size=12, unique=True))
    frames = draw(st.lists(st.lists(st.sampled_from(words), min_size=1, max_size=7), min_size=1, max_size=5))
    random = draw(st.randoms(use_true_random=False))
    share = draw(st.sampled_from([0.0, 0.1, 0.4]))

    def one(word: str) -> str:
        if random.random() >= share:
            return word
        new = "".join(random.choice("bcdfg") for _ in range(4))
        return random.choice([random.choice(words), new, f"k={new}", f"{new}{random.randint(0, 3)}"])

    return [" ".join(map(one, random.choice(frames))) for _ in range(draw(st.integers(1, 250)))]


@given(streams(), st.sampled_from([16, 24, 60, 1000]))
@settings(max_examples=150, deadline=None)
def test_groups_like_the_oracle(lines: list[str], capacity: int):
    table, model = PatternTable(capacity), oracle.Table(capacity)
    for n, line in enumerate(lines, 1):
        seen, wanted = table.observe(line), model.observe(line.encode(), n)
        assert (seen.id, seen.count, seen.leaf_count, seen.closeness, seen.fresh) == (
            wanted.id,
            wanted.count,
            wanted.leaf_count,
            wanted.closeness,
            wanted.fresh,
        )
    found = {p.id: p for p in table.patterns()}
    assert set(found) == set(model.owner)
    assert table.leaves == len(model.used) <= capacity
    for id, p in found.items():
        group = model.owner[id]
        assert p.merged_into == (None if id == group.survivor else group.survivor)
        assert table.resolve(id) == group.survivor
        if p.merged_into is None:
            assert (p.count, p.first_n, p.last_n) == (group.count, group.first_n, group.last_n)


@given(streams(), st.sampled_from([16, 60, 1000]), st.lists(st.integers(0, 250), max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_table_restored_from_its_changes_goes_on_as_before(lines: list[str], capacity: int, cuts: list[int]):
    table, rows = PatternTable(capacity), {}
    middle = len(lines) // 2
    for n, line in enumerate(lines[:middle]):
        if n in cuts:
            rows.update((row[0], row) for row in table.changes())
        table.observe(line)
    rows.update((row[0], row) for row in table.changes())
    new = PatternTable.restore(rows.values(), capacity)
    assert list(new.patterns()) == list(table.patterns())
    for line in lines[middle:] + lines:
        assert new.observe(line) == table.observe(line)
    assert list(new.patterns()) == list(table.patterns())
