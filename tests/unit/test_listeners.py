"""Those who listen: in order, each whatever another raises, and not without a bound."""

from __future__ import annotations

import logging

import pytest

from sophia.actors.listeners import Listeners


def test_all_are_told_in_order_whatever_one_raises(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    listeners: Listeners[int] = Listeners("numbers")
    listeners.subscribe(lambda number: heard.append(f"first {number}"))
    listeners.subscribe(lambda number: [][number])
    listeners.subscribe(lambda number: heard.append(f"last {number}"))
    with caplog.at_level(logging.ERROR, "sophia.actors"):
        listeners.tell(7)
    assert heard == ["first 7", "last 7"]
    (record,) = caplog.records
    assert record.getMessage() == "a listener to numbers failed"
    assert record.exc_info is not None
    assert record.exc_info[0] is IndexError


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_and_an_exit_pass(error: type[BaseException]) -> None:
    def leave(_: int) -> None:
        raise error

    heard: list[int] = []
    listeners: Listeners[int] = Listeners("numbers")
    listeners.subscribe(leave)
    listeners.subscribe(heard.append)
    with pytest.raises(error):
        listeners.tell(7)
    assert heard == []


def test_who_may_listen() -> None:
    listeners: Listeners[int] = Listeners("numbers")
    with pytest.raises(TypeError, match="5 is no function"):
        listeners.subscribe(5)  # type: ignore[arg-type]
    for _ in range(64):
        listeners.subscribe(print)
    with pytest.raises(ValueError, match="64 listeners hear of numbers already"):
        listeners.subscribe(print)
