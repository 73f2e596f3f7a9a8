"""Whatever happens to the bytes of a store: check and repair never fail, and nothing wrong is ever saved."""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import sophia
from sophia.errors import InputError, StoreCorrupt, StoreVersionError
from sophia.store import schema
from sophia.store.check import check
from sophia.store.export import Export
from sophia.store.repair import repair

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every kind of row, long answers on pages of their own, and no log."""
    path = tmp_path_factory.mktemp("closed") / "mind"
    _fill(path, 0)
    return path


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a process that died: most of it stands in the write-ahead log."""
    folder = tmp_path_factory.mktemp("killed")
    _fill(folder / "live", 0)
    with sophia.open(folder / "live", settings=sophia.Settings(vectors=True)) as brain:
        _teach(brain, 1)
        brain.flush()
        shutil.copytree(folder / "live", folder / "mind")
    (folder / "mind" / "sophia.db-shm").unlink()
    assert (folder / "mind" / "sophia.db-wal").stat().st_size > 20_000
    return folder / "mind"


def _fill(path: Path, start: int) -> None:
    from sophia.organs import thalamus

    usual = thalamus.LOG_BYTES
    thalamus.LOG_BYTES = 400  # type: ignore[misc]  # so that there are dumps too
    try:
        with sophia.open(path, settings=sophia.Settings(vectors=True, familiar_capacity=500)) as brain:
            _teach(brain, start)
    finally:
        thalamus.LOG_BYTES = usual  # type: ignore[misc]
    with sophia.open(path, settings=sophia.Settings(vectors=True)) as brain:
        brain.route_many(["a line after the dump", "and another"], kind="line")


def _teach(brain: sophia.Sophia, start: int) -> None:
    for i in range(60):
        answer = f"answer {start} {i} " * (3000 if i % 20 == 7 else 12)
        brain.complete(brain.route(f"what about {start} and {i}?", scope=f"user-{i % 3}"), answer=answer)
    brain.route_many([f"worker {i} ended job {i * 37} with code {i % 4}" for i in range(80)], kind="line")
    brain.route_many([f"tea {w} is ready in room {start}" for w in ("green", "black", "white", "red")], kind="line")


def answers(path: Path) -> set[str]:
    return set(Export(path).answers())


def tried(path: Path, before: set[str]) -> str:
    """Check and repair after damage; says how it ended."""
    try:
        health = check(path)
        done = repair(path)
    except StoreVersionError:
        return "newer"  # a digit of the format's number was hit
    except StoreCorrupt as error:
        return "nothing" if "nothing of a store" in str(error) else str(error)
    except InputError:
        return "other"  # the names of the tables were hit: it looks like another program's file
    assert (done.state == "sound") == health.sound
    again = check(path)
    assert again.sound, again.problems
    assert answers(path) <= before
    assert repair(path).state == "sound"
    with sophia.open(path) as brain:
        brain.route("after the repair")
        assert brain.notes == []
    return done.state


def campaign(source: Path, folder: Path, rounds: int, seed: int, hit: Callable[[random.Random, Path], None]) -> None:
    before = answers(source)
    draw = random.Random(seed)
    ends = []
    kept = []
    for i in range(rounds):
        path = folder / f"hit-{i}"
        shutil.copytree(source, path)
        hit(draw, path)
        ends.append(tried(path, before))
        if ends[-1] in ("sound", "repaired"):
            kept.append(len(answers(path)))
        shutil.rmtree(path)
    assert ends.count("repaired") > rounds // 4, ends
    assert ends.count("newer") + ends.count("other") + ends.count("nothing") <= rounds // 10, ends
    assert sum(kept) >= 0.8 * len(kept) * len(before)


def flip_a_byte(draw: random.Random, path: Path) -> None:
    file = draw.choice([f for f in path.iterdir() if f.stat().st_size and f.name != "lock"])
    data = bytearray(file.read_bytes())
    data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
    file.write_bytes(data)


def lose_a_page(draw: random.Random, path: Path) -> None:
    data = bytearray((path / "sophia.db").read_bytes())
    at = draw.randrange(len(data) // 8192) * 8192
    data[at : at + 8192] = bytes(8192) if draw.random() < 0.5 else draw.randbytes(8192)
    (path / "sophia.db").write_bytes(data)


def hit_the_first_page(draw: random.Random, path: Path) -> None:
    data = bytearray((path / "sophia.db").read_bytes())
    for _ in range(draw.randrange(1, 4)):
        data[draw.randrange(112)] ^= draw.randrange(1, 256)
    (path / "sophia.db").write_bytes(data)


def test_a_flipped_byte(closed: Path, tmp_path: Path) -> None:
    campaign(closed, tmp_path, 30, 1, flip_a_byte)


def test_a_flipped_byte_after_a_kill(killed: Path, tmp_path: Path) -> None:
    before = answers(killed)
    draw = random.Random(2)
    for i in range(20):
        path = tmp_path / f"hit-{i}"
        shutil.copytree(killed, path)
        flip_a_byte(draw, path)
        assert tried(path, before) in ("sound", "repaired", "newer", "other")


def test_a_lost_page(closed: Path, tmp_path: Path) -> None:
    campaign(closed, tmp_path, 20, 3, lose_a_page)


def test_a_hit_first_page_costs_no_answer(closed: Path, tmp_path: Path) -> None:
    """Of the first page only the schema and the layout are SQLite's; the rows lie elsewhere."""
    before = answers(closed)
    draw = random.Random(4)
    for i in range(20):
        path = tmp_path / f"hit-{i}"
        shutil.copytree(closed, path)
        hit_the_first_page(draw, path)
        assert tried(path, before) in ("sound", "repaired", "other")
        if not (path / "sophia.db").exists():
            continue
        with_layout = answers(path) if check(path).sound else before
        assert with_layout == before


def test_a_file_that_was_cut_off(closed: Path, tmp_path: Path) -> None:
    before = answers(closed)
    data = (closed / "sophia.db").read_bytes()
    for i, size in enumerate([len(data) - 1, len(data) - 8192, len(data) // 2 + 77, 8192 * 5, 8192, 100, 1]):
        path = tmp_path / f"cut-{i}"
        shutil.copytree(closed, path)
        (path / "sophia.db").write_bytes(data[:size])
        ended = tried(path, before)
        if size == len(data) - 1 and data[-1] == 0 and ended == "sound":
            assert answers(path) == before  # what is missing at the end is read as 0, which it was
            continue
        assert ended in ("repaired", "nothing", "other")


@pytest.mark.parametrize("number", range(1, schema.FORMAT + 1))
def test_old_formats(tmp_path: Path, number: int) -> None:
    source = tmp_path / "mind"
    source.mkdir()
    (source / "sophia.db").write_bytes(gzip.decompress((FIXTURES / f"store-{number}.db.gz").read_bytes()))
    before = answers(source)
    assert len(before) == 3
    assert check(source).sound
    assert check(source).format == number
    draw = random.Random(number)
    for i in range(20):
        path = tmp_path / f"hit-{i}"
        shutil.copytree(source, path)
        draw.choice([flip_a_byte, lose_a_page, hit_the_first_page])(draw, path)
        tried(path, before)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_long_campaigns(closed: Path, killed: Path, tmp_path: Path, seed: int) -> None:
    for source, hit in ((closed, flip_a_byte), (closed, lose_a_page)):
        campaign(source, tmp_path, 200, 100 + seed, hit)
    before = answers(killed)
    draw = random.Random(seed)
    for i in range(200):
        path = tmp_path / f"hit-{i}"
        shutil.copytree(killed, path)
        for _ in range(draw.randrange(1, 4)):
            flip_a_byte(draw, path)
        tried(path, before)
        shutil.rmtree(path)
