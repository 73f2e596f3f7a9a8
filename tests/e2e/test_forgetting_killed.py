"""kill -9 while a scope is forgotten: done again it leaves nothing of it, and the others have what they had."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

import sophia
from sophia.forgetting import forget_scope
from sophia.organs.hippocampus import Hippocampus
from sophia.store.check import check

SECRET = "xyzzyplugh"
FORGET = """
import sys
from sophia.forgetting import forget_scope
print("ready", flush=True)
forget_scope(sys.argv[1], "ann")
print("done", flush=True)
"""
TOPICS = ("tea", "coffee", "water", "lamp", "door", "window", "house", "garden", "river", "stone")


def world(folder: Path, run: Path) -> None:
    """A run of two scopes, with a store that has segments and a long-term index, where that can be."""
    rows = []
    for n, topic in enumerate(TOPICS * 30):
        word = "".join("klmnopqrst"[int(digit)] for digit in f"{n:03}")
        theirs = {"text": f"{SECRET} of the {topic} {word}", "scope": "ann", "answer": SECRET}
        rows.append(theirs if n % 2 else {"text": f"please open the {topic} {word}", "scope": "bob", "answer": "yes"})
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "sophia", "run", "in.jsonl", "--out", str(run), "--store", "mind", "--remember"]
    home = str(Path(sophia.__file__).resolve().parents[1])
    subprocess.run(
        [*command, "--report", "none", "--quiet"], cwd=folder, check=True, env=os.environ | {"PYTHONPATH": home}
    )
    (folder / "in.jsonl").unlink()
    with Hippocampus.open(folder / "mind") as memory:
        memory.remember_many([f"{SECRET} {number}" for number in range(1200)], scope="ann")
        memory.sleep()


def holding(folder: Path) -> list[str]:
    return [
        str(file.relative_to(folder))
        for file in sorted(folder.rglob("*"))
        if file.is_file() and (SECRET.encode() in file.read_bytes() or file.suffix == ".lance")
    ]


def of_bob(folder: Path) -> tuple[list[str], list[str], list[bytes]]:
    with Hippocampus.open(folder / "mind") as memory:
        said = sorted(one.text or "" for one in memory.recall(None, 10_000, scope="bob"))
    with sophia.open(folder / "mind") as brain:
        answered = [text for text in said if brain.route(text, scope="bob").answer == "yes"]
    lines = (folder / "out.jsonl").read_bytes().splitlines()
    return said, answered, [line for line in lines if json.loads(line)["scope"] == "bob"]


def kills(tmp_path: Path, count: int, seed: int) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    world(whole, whole / "out.jsonl")
    assert {"mind/sophia.db", "patterns.jsonl"} <= set(holding(whole))
    draw = random.Random(seed)
    home = str(Path(sophia.__file__).resolve().parents[1])
    expected = None
    for _ in range(count):
        # In the place where the run has left it: the store knows its files by their names.
        kept = tmp_path / "kept"
        shutil.copytree(whole, kept)
        with subprocess.Popen(
            [sys.executable, "-c", FORGET, str(whole / "mind")],
            stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": home},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            sleep(draw.random() * 0.12)
            process.kill()
        forget_scope(whole / "mind", "ann")
        assert holding(whole) == []
        assert check(whole / "mind").sound
        found = of_bob(whole)
        if expected is None:
            expected = found
            assert len(found[0]) == len(found[1]) > 50
        assert found == expected
        shutil.rmtree(whole)
        kept.rename(whole)


def test_a_few_kills(tmp_path: Path) -> None:
    kills(tmp_path, 4, 1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_kills(tmp_path: Path) -> None:
    kills(tmp_path, 100, 2)
