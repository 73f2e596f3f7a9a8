"""A Ctrl-C at any point of a durable step: the brain goes on, nothing acknowledged is lost or learned twice."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import sophia
from sophia import Hippocampus, MemoryReader
from sophia.store.check import check

ROOMS = ("/sophia/store/", "/sophia/organs/")
FILES = ("/sophia/brain.py", "/sophia/opening.py", "/contextlib.py")
MOST = 400
SETTINGS = sophia.Settings(gestation_inputs=0)  # each input before birth makes the log longer that an opening reads


class Interrupt:
    """Raises KeyboardInterrupt at the n-th call or return in the rooms of the store.

    At a call of Python and at a return of either kind, as a signal does; never between a call of C and what it does: a
    lock would be held that the interpreter itself gives back.
    """

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code  # a generator expression that is closed, or __del__, swallows what is raised there
        if (
            event in ("call", "return", "c_return")
            and code.co_name not in ("<genexpr>", "__del__")
            and (code.co_filename.endswith(FILES) or any(room in code.co_filename for room in ROOMS))
        ):
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                raise KeyboardInterrupt


def interrupted(brain: sophia.Sophia, at: int, text: str) -> bool:
    """Whether completing `text` got as far as its n-th step."""
    decision = brain.route(text)
    watch = Interrupt(at)
    sys.setprofile(watch)
    try:
        brain.complete(decision, answer=f"to {text}")
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


@pytest.mark.parametrize("part", range(4))
def test_an_interrupt_at_any_step_of_a_commit(tmp_path: Path, part: int) -> None:
    at, reached = 0, True
    answers = {}
    with sophia.open(tmp_path / "mind") as brain:
        while reached and at < MOST:
            at += 1
            if at % 4 != part and at > 8:
                continue
            reached = interrupted(brain, at, f"is question {at} durable?")
            text = f"is what came after {at} durable?"
            assert brain.complete(brain.route(text), answer=f"to {text}")
            answers[text] = f"to {text}"
        assert 20 < at < MOST
        seen = sum(pattern.count for pattern in brain.patterns())
        familiar = len(brain.thalamus.familiar)
    assert check(tmp_path / "mind").problems == []
    with sophia.open(tmp_path / "mind") as brain:
        assert brain.notes == []
        assert sum(pattern.count for pattern in brain.patterns()) <= seen
        # A sighting that was on its way to the store may be forgotten: it is thought about once more.
        assert familiar - 3 <= len(brain.thalamus.familiar) <= familiar
        for text, answer in answers.items():
            assert brain.route(text).answer == answer


# What is opened, how, and what is done with it before it is closed.
OPENED: dict[str, tuple[Callable[[Path], Any], Callable[[Any], object]]] = {
    "brain": (lambda path: sophia.open(path, settings=SETTINGS), lambda brain: brain.route("is it new?")),
    "memory": (lambda path: Hippocampus.open(path), lambda memory: memory.remember("it is new")),
    "unsynchronised memory": (
        lambda path: Hippocampus.open(path, durability="memory"), lambda memory: memory.remember("it is new"),
    ),
    "reader": (lambda path: MemoryReader.open(path), lambda reader: reader.recall("kept", 1)),
}  # fmt: skip


# A connection that the interrupt takes away between SQLite and whoever asked for it is closed when it is collected;
# Python 3.13 tells of that.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in.*sqlite3.Connection:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("what", OPENED)
def test_an_interrupt_at_any_step_of_opening_or_closing_leaves_the_store_free(
    tmp_path: Path, request: pytest.FixtureRequest, what: str, stride: int
) -> None:
    """For the same process: it may go on, as in a notebook, and open the store again."""
    path = tmp_path / "mind"
    with sophia.open(path, settings=SETTINGS) as brain:
        assert brain.complete(brain.route("is it kept?"), answer="yes")
    with Hippocampus.open(path) as memory:
        memory.remember("it is kept")
    steps = dict.fromkeys(("open", "close"), True)
    at = 0
    gc.collect()
    gc.freeze()  # what other tests left need not be looked at again at each step
    request.addfinalizer(gc.unfreeze)
    while any(steps.values()) and at < 10 * MOST:
        at += 1 if at < 20 else stride
        for step in [step for step, reached in steps.items() if reached]:
            steps[step], opened = stopped(path, what, step, at)
            if opened is not None:
                opened.close()  # where a first call was broken off, a second one ends it
            else:
                gc.collect()  # what nobody was given
            with sophia.open(path, settings=SETTINGS) as brain:
                assert brain.route("is it kept?").answer == "yes"
            with Hippocampus.open(path) as memory:
                assert memory.recall("kept", 1)[0].text == "it is kept"
    assert 20 < at < 10 * MOST
    assert check(path).problems == []


def stopped(path: Path, what: str, step: str, at: int) -> tuple[bool, Any]:
    """Whether opening or closing got as far as its n-th call or return, and what was opened as far as there is one."""
    open_, use = OPENED[what]
    watch = Interrupt(at)
    opened = None
    try:
        if step == "close":
            opened = open_(path)
            use(opened)
        sys.setprofile(watch)
        if opened is None:
            opened = open_(path)
        else:
            opened.close()
    except KeyboardInterrupt:
        return True, opened
    finally:
        sys.setprofile(None)
    return False, opened
