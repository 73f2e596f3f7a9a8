"""A Ctrl-C at any point of a durable step: the brain goes on, nothing acknowledged is lost or learned twice."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import FrameType

import pytest

import sophia
from sophia.store.check import check

ROOMS = ("/sophia/store/", "/sophia/brain.py", "/sophia/opening.py", "/contextlib.py")
MOST = 400
SETTINGS = sophia.Settings(gestation_inputs=0)  # each input before birth makes the log longer that an opening reads


class Interrupt:
    """Raises KeyboardInterrupt at the n-th call or return in the rooms of the store."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code  # a generator expression that is closed, or __del__, swallows what is raised there
        if code.co_name not in ("<genexpr>", "__del__") and (
            code.co_filename.endswith(ROOMS[1:]) or ROOMS[0] in code.co_filename
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


# A connection that the interrupt takes away between SQLite and whoever asked for it is closed when it is collected;
# Python 3.13 tells of that.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in.*sqlite3.Connection:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_an_interrupt_at_any_step_of_opening_or_closing_leaves_the_store_free(tmp_path: Path, stride: int) -> None:
    """For the same process: it may go on, as in a notebook, and open the store again."""
    path = tmp_path / "mind"
    with sophia.open(path, settings=SETTINGS) as brain:
        assert brain.complete(brain.route("is it kept?"), answer="yes")
    steps = dict.fromkeys(("open", "close"), True)
    at = 0
    while any(steps.values()) and at < 4 * MOST:
        at += 1 if at < 20 else stride
        for step in [step for step, reached in steps.items() if reached]:
            steps[step], brain = stopped(path, step, at)
            if brain is not None:
                brain.close()  # where a first call was broken off, a second one ends it
            gc.collect()  # a brain that nobody was given
            with sophia.open(path, settings=SETTINGS) as brain:
                assert brain.route("is it kept?").answer == "yes"
    assert 20 < at < 4 * MOST
    assert check(path).problems == []


def stopped(path: Path, step: str, at: int) -> tuple[bool, sophia.Sophia | None]:
    """Whether opening or closing got as far as its n-th call or return, and the brain as far as there is one."""
    watch = Interrupt(at)
    brain = None
    try:
        if step == "close":
            brain = sophia.open(path, settings=SETTINGS)
            brain.route("is it new?")
        sys.setprofile(watch)
        if brain is None:
            brain = sophia.open(path, settings=SETTINGS)
        else:
            brain.close()
    except KeyboardInterrupt:
        return True, brain
    finally:
        sys.setprofile(None)
    return False, brain
