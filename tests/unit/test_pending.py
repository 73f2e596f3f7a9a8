"""Inputs whose decisions were told before their effects were committed: kept, counted, learned once more."""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sophia
from sophia.brain import Batch, Sophia
from sophia.errors import SophiaError, StoreCorrupt, StoreFailed
from sophia.organs.batch import Columns
from sophia.store import ledger
from sophia.store.ack import Ack, Delivery, read
from sophia.store.pending import FileMark, Pending
from sophia.store.store import Store

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=[]), max_size=20)
OPTIONAL = st.none() | ANY_TEXT


@given(st.data())
def test_a_record_is_what_was_packed(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))

    def column(values: st.SearchStrategy[object]) -> list[object] | None:
        return data.draw(st.none() | st.lists(values, min_size=count, max_size=count))

    columns = {
        "texts": data.draw(st.lists(OPTIONAL, min_size=count, max_size=count)),
        "scopes": column(OPTIONAL),
        "answers": column(OPTIONAL),
        "lines": column(st.booleans()),
    }
    ends = column(st.integers(0, 2**60))
    mark = data.draw(st.none() | st.builds(FileMark, ANY_TEXT, st.just(2), st.just(3), st.just(4)))
    record = Pending(3, 77, 1.5, columns, ends, mark)  # type: ignore[arg-type]
    found = Pending.unpack(record.pack())
    assert {name: values for name, values in columns.items() if values is not None} == found.columns
    assert (found.run, found.n, found.at, found.ends, found.mark) == (3, 77, 1.5, ends, mark)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="pending"):
        Pending.unpack(data)


def test_a_damaged_record_is_refused_or_a_record() -> None:
    data = Pending(1, 1, 0.0, {"texts": ["one", None, "drei ü"]}, [1, 2, 3]).pack()
    for place in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[place] ^= 1 << bit
            with suppress(StoreCorrupt):
                assert len(Pending.unpack(bytes(broken))) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"run": "1"}, {"run": -1}, {"run": True}, {"n": None}, {"n": 1.5}, {"at": [0.0]}, {"at": "now"},
        {"out": ["a", 1, 2]}, {"out": ["a", 1, 2, None]}, {"out": [7, 1, 2, 3]}, {"settings": {"audit": [1]}},
        {"settings": [1]}, {"rules": [7]}, {"rules": "a"},
        {"columns": {"scopes": "a"}}, {"columns": []}, {"count": -1}, {"count": 10**12},
        {"count": 1.0}, {"count": "1"},
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused(change: dict[str, object]) -> None:
    data = Pending(1, 1, 0.0, {"texts": ["a"]}).pack()
    size = int.from_bytes(data[:4], "little")
    head = json.dumps(json.loads(data[4 : 4 + size]) | change).encode()
    with pytest.raises(StoreCorrupt, match="pending"):
        Pending.unpack(len(head).to_bytes(4, "little") + head + data[4 + size :])


@pytest.mark.parametrize("opening", [b"[", b'{"run":'])
def test_values_inside_each_other_without_end_are_refused(opening: bytes) -> None:
    head = opening * 100_000
    with pytest.raises(StoreCorrupt, match="pending"):
        Pending.unpack(len(head).to_bytes(4, "little") + head)


def outputs(kind: str, tmp_path: Path) -> tuple[int, int | None]:
    """A descriptor to write to, and one to read from where there is one."""
    if kind == "pipe":
        return os.pipe()[::-1]
    if kind == "socket":
        ours, theirs = socket.socketpair()
        return ours.detach(), theirs.detach()
    if kind == "terminal":
        import pty

        theirs_fd, ours_fd = pty.openpty()
        return ours_fd, theirs_fd
    if kind == "appended":
        return os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_APPEND), None
    return os.open(tmp_path / "out" if kind == "file" else os.devnull, os.O_WRONLY | os.O_CREAT), None


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal", "file", "appended", "null"])
def test_what_was_sent_is_counted(tmp_path: Path, kind: str) -> None:
    ack = Ack(tmp_path / "ack")
    assert ack.before == Delivery()
    descriptor, reader = outputs(kind, tmp_path)
    for n, data in ((1, b"x" * 3_000), (4, b"y" * 70_001)):
        got: list[bytes] = []

        def read(size: int = len(data), got: list[bytes] = got) -> None:
            while reader is not None and sum(map(len, got)) < size:
                got.append(os.read(reader, 1 << 16))

        thread = threading.Thread(target=read)
        thread.start()
        ack.begin(9, n)
        ack.send(descriptor, data)
        thread.join()
        assert reader is None or b"".join(got) == data
        other = Ack(tmp_path / "ack")
        assert (other.before.run, other.before.n, other.before.sent, other.before.done) == (9, n, len(data), True)
        assert other.before.fault is None
        other.close()
    if kind in ("file", "appended"):
        assert (tmp_path / "out").read_bytes() == b"x" * 3_000 + b"y" * 70_001
    os.close(descriptor)
    if reader is not None:
        os.close(reader)
    ack.close()
    ack.close()


def test_a_pipe_that_does_not_wait_is_waited_for(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ack = Ack(tmp_path / "ack")
    got: list[bytes] = []
    data = b"z" * 500_000

    def read() -> None:
        while sum(map(len, got)) < len(data):
            got.append(os.read(reader, 1 << 12))

    thread = threading.Thread(target=read)
    thread.start()
    ack.begin(1, 1)
    ack.send(writer, data)
    thread.join()
    assert b"".join(got) == data
    ack.close()
    os.close(reader)
    os.close(writer)


def test_a_reader_that_has_gone_is_a_broken_pipe_and_what_it_got_is_known(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    ack = Ack(tmp_path / "ack")
    ack.begin(1, 1)

    def read() -> None:
        os.read(reader, 1 << 12)
        os.close(reader)

    thread = threading.Thread(target=read)
    thread.start()
    with pytest.raises(BrokenPipeError):
        ack.send(writer, b"z" * 500_000)
    thread.join()
    ack.close()
    os.close(writer)
    after = Ack(tmp_path / "ack")
    assert 0 < after.before.sent < 500_000
    assert not after.before.done
    after.close()


def test_a_bit_that_turned_while_a_pipe_was_full_is_seen(tmp_path: Path) -> None:
    """A process that is killed while it waits for its reader leaves a number that only the kernel has written."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        ack = Ack(tmp_path / "ack")
        ack.begin(3, 257)
        ack.send(writer, b"x" * 500_001)
        os._exit(1)
    while not select.select([reader], [], [], 0)[0] or Ack(tmp_path / "ack").before.sent == 0:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writer)
    got = 0
    while piece := os.read(reader, 1 << 16):
        got += len(piece)
    os.close(reader)
    sound = (tmp_path / "ack").read_bytes()
    before = Ack(tmp_path / "ack").before
    assert (before.sent, before.done, before.fault) == (got, False, None)
    unseen = set()
    for place in range(48, 64):
        for bit in range(8):
            data = bytearray(sound)
            data[place] ^= 1 << bit
            (tmp_path / "ack").write_bytes(data)
            found = Ack(tmp_path / "ack").before
            if found.fault is None:
                unseen.add(abs(found.sent - got))
    assert unseen <= {0, mmap.PAGESIZE}  # a piece that was or was not sent: both are possible


@pytest.mark.parametrize("place", range(64))
def test_a_bit_that_turned_in_the_ack_file_is_seen(tmp_path: Path, place: int) -> None:
    ack = Ack(tmp_path / "ack")
    ack.committed(12)
    ack.begin(3, 257)
    ack.write(os.open(os.devnull, os.O_WRONLY), b"x" * 1000)
    ack.close()
    data = bytearray((tmp_path / "ack").read_bytes())
    data[place] ^= 0x10
    (tmp_path / "ack").write_bytes(data)
    found = Ack(tmp_path / "ack")
    assert found.before.fault is not None
    assert found.before.commits in (0, 12)
    assert (found.before.run, found.before.n, found.before.sent) in ((0, 0, 0), (3, 257, 1000))
    found.close()
    again = Ack(tmp_path / "ack")
    assert again.before.fault is None
    again.close()


def test_a_look_between_a_number_and_its_twin_finds_no_damage(tmp_path: Path) -> None:
    ack = Ack(tmp_path / "ack")
    child = os.fork()
    if child == 0:
        for n in range(200_000):
            ack.committed(n)
            ack.begin(1, n)
        os._exit(0)
    faults = set()
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        faults.add(read(tmp_path / "ack").fault)
    ack.close()
    assert faults <= {None}


def test_a_file_that_was_replaced_has_not_grown(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    mark = FileMark.of(descriptor, str(path))
    assert mark is not None
    os.write(descriptor, b"12345")
    assert mark.grown() == 5
    path.rename(tmp_path / "moved")
    assert mark.grown() == 0
    path.write_bytes(b"another file, longer than the first")
    assert mark.grown() == 0
    os.close(descriptor)
    overwriting = os.open(path, os.O_WRONLY)
    assert FileMark.of(overwriting, str(path)) is None
    os.close(overwriting)


def tell(brain: Sophia, texts: list[str], answers: list[str | None] | None = None) -> None:
    brain.begin(brain.decide(Columns(list(texts), answers=answers)))


def test_what_was_told_is_learned_once_more_and_what_was_not_is_not(tmp_path: Path) -> None:
    brain = sophia.open(tmp_path / "mind")
    tell(brain, ["When do you open?"], ["At nine."])
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    batch = brain.decide(Columns(["When do you close?", "Who are you?"], answers=["At five.", "Sophia."]))
    ack = brain.begin(batch, [10, 20])
    assert ack is not None
    ack.send(out, b"x" * 19)  # the second line is torn
    os.close(out)
    brain.discard()
    with pytest.raises(SophiaError, match="open it again"):
        brain.route("anything")
    brain.close()
    with sophia.open(tmp_path / "mind") as again:
        assert again.notes == []
        texts = ("When do you open?", "When do you close?", "Who are you?")
        decisions = [again.route(text) for text in texts]
        assert [d.answer for d in decisions] == ["At nine.", "At five.", None]
        assert [d.match and d.match[0] for d in decisions] == ["1.1", "1.2", None]


def test_an_answer_of_the_python_interface_takes_the_batches_before_along(tmp_path: Path) -> None:
    """`complete` is durable when it returns, so batches that were decided before it count as told."""
    brain = sophia.open(tmp_path / "mind")
    first = brain.decide(Columns(["one shape of text"]))
    brain.begin(first, [10])
    second = brain.decide(Columns(["another kind of words"]))
    assert brain.complete(brain.route("When?"), answer="Now.")
    assert brain.begin(second, [10]) is None
    brain.discard()
    brain.close()
    with sophia.open(tmp_path / "mind") as again:
        assert again.route("When?").answer == "Now."
        whole = [(p.template, p.count) for p in again.patterns()]
    assert whole == [("one shape of text", 1), ("another kind of words", 1), ("When?", 2)]


def test_pending_inputs_are_bounded_and_committed_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PENDING_BATCHES", 3)
    brain = sophia.open(tmp_path / "mind")
    sizes = []
    for i in range(10):
        tell(brain, [f"line {i} of the text"])
        sizes.append(len(brain._store.pending()))  # type: ignore[union-attr]
    assert sizes == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]
    brain.discard()
    brain.close()
    with sophia.open(tmp_path / "mind") as again:
        assert [(p.template, p.count) for p in again.patterns()] == [("line <*> of the text", 10)]


def test_a_batch_that_is_too_large_to_keep_is_committed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PENDING_BATCH_CHARS", 10)
    brain = sophia.open(tmp_path / "mind")
    batch = brain.decide(Columns(["When do you open?"], answers=["At nine."]))
    assert brain.begin(batch, [10]) is None
    assert brain._store.pending() == []  # type: ignore[union-attr]
    brain.discard()
    brain.close()
    with sophia.open(tmp_path / "mind") as again:
        assert again.route("When do you open?").answer == "At nine."


def test_what_comes_after_a_batch_that_is_too_large_to_keep_is_not_committed_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may be decided already, in another thread, when it is told."""
    monkeypatch.setattr(ledger, "_PENDING_BATCH_CHARS", 12)
    brain = sophia.open(tmp_path / "mind")
    before = brain.decide(Columns(["one"], answers=["1"]))
    large = brain.decide(Columns(["two two two two two"], answers=["2"]))
    after = brain.decide(Columns(["three"], answers=["3"]))
    assert not before.takes(large)
    assert not large.takes(after)
    brain.begin(before)
    assert [len(record) for record in brain._store.pending()] == [1]  # type: ignore[union-attr]
    brain.begin(large)
    assert brain._store.pending() == []  # type: ignore[union-attr]
    brain.discard()
    brain.close()
    with sophia.open(tmp_path / "mind") as again:
        texts = ("one", "two two two two two", "three")
        assert [again.route(text).answer for text in texts] == ["1", "2", None]
        assert [(p.template, p.count) for p in again.patterns()] == [(text, 2 - (text == "three")) for text in texts]


def test_an_answer_learned_once_more_expires_when_it_would_have(tmp_path: Path) -> None:
    now = 1000.0
    settings = sophia.Settings(ttl=60.0)
    brain = sophia.open(tmp_path / "mind", settings=settings, clock=lambda: now)
    tell(brain, ["status?"], ["green"])
    brain.discard()
    brain.close()
    now = 1059.0
    with sophia.open(tmp_path / "mind", settings=settings, clock=lambda: now) as brain:
        assert brain.route("status?").answer == "green"
        now = 1061.0
        assert brain.route("status?").answer is None


@pytest.mark.parametrize("gone", [False, True])
def test_it_is_learned_once_more_under_its_own_settings_and_rules(tmp_path: Path, gone: bool) -> None:
    """So whoever opens the store next, its answers are there for the run that goes on; or, its rules gone, for nobody
    that has other ones."""
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\nid = 'a.b'\ndescription = 'x'\npattern = 'zebra'\nseverity = 'low'\n")
    settings = sophia.Settings(max_chars=1000, ttl=60.0)

    def again() -> Sophia:
        return sophia.open(tmp_path / "mind", settings=settings, rules=[rules], clock=lambda: 1000.0)

    brain = again()
    tell(brain, ["the zebra is here", "the horse is here"], ["yes", "no"])
    brain.discard()
    brain.close()
    content = rules.read_text()
    if gone:
        rules.unlink()
    with sophia.open(tmp_path / "mind", clock=lambda: 1000.0) as other:
        assert other.route("the zebra is here").answer == ("yes" if gone else None)
        assert other.route("the horse is here").answer == ("no" if gone else None)
    rules.write_text(content)
    with again() as brain:
        assert brain.route("the zebra is here").answer is None
        assert brain.route("the horse is here").answer == (None if gone else "no")


def test_batches_that_are_told_together_are_one(tmp_path: Path) -> None:
    with sophia.open(tmp_path / "mind") as brain:
        parts = [
            brain.decide(Columns(["one", None], answers=[None, None])),
            brain.decide(Columns(["two"], lines=[True], scopes=["ana"])),
            brain.decide(Columns(["three"], faults=["invalid"])),
        ]
        assert all(one.takes(other) for one, other in pairwise(parts))
        assert not parts[0].takes(parts[2])
        whole = Batch.joined(parts)
        assert Batch.joined(parts[:1]) is parts[0]
        assert [d.n for d in whole.decisions] == [1, 2, 3, 4]
        columns = whole.columns
        assert columns.texts == ["one", None, "two", "three"]
        assert (columns.lines, columns.scopes) == ([False, False, True, False], [None, None, "ana", None])
        assert (columns.faults, columns.answers) == ([None, None, None, "invalid"], [None] * 4)
        assert columns.stamps is columns.names is columns.contexts is None
        brain.route("four")
        assert not parts[2].takes(brain.decide(Columns(["five"])))


def test_a_recovery_that_is_cut_short_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brain = sophia.open(tmp_path / "mind")
    tell(brain, ["When do you open?", "worker 1 is done", "worker 2 is done"], ["At nine.", None, None])
    brain.discard()
    brain.close()
    for name in ("commit", "begin_run"):  # before and after the one commit that ends it
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise StoreFailed("no room")

            patch.setattr(Store, name, fail)
            with pytest.raises(StoreFailed):
                sophia.open(tmp_path / "mind")
    with sophia.open(tmp_path / "mind") as again:
        assert again.route("When do you open?").answer == "At nine."
        assert [(p.template, p.count) for p in again.patterns()] == [
            ("When do you open?", 2),
            ("worker <*> is done", 2),
        ]


def test_the_files_stay_small_while_inputs_go_through(tmp_path: Path) -> None:
    """7 MB of inputs, of which none stays: neither the write-ahead log nor the file grows with the stream."""
    brain = sophia.open(tmp_path / "mind")
    largest = 0
    for i in range(230):
        tell(brain, [f"worker {j} of {'the usual kind ' * 20} finished job {i * j}" for j in range(100)])
        largest = max(largest, (tmp_path / "mind" / "sophia.db-wal").stat().st_size)
    brain.close()
    assert largest < 6 << 20
    assert {path.name for path in (tmp_path / "mind").iterdir()} == {"sophia.db", "ack", "lock"}
    # Of it at most 1 MB is the log of the familiarity filter.
    assert (tmp_path / "mind" / "sophia.db").stat().st_size < 3 << 20
