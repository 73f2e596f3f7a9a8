"""Waits for input: what ends them, and that a signal always does."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from sophia.stream.interrupt import Interrupt
from sophia.stream.waiter import Stopped, Waiter


def test_a_signal_that_another_thread_gets_ends_a_wait() -> None:
    """As one that comes just before the wait does: the system does not interrupt it."""
    waiter = Waiter()
    read, write = os.pipe()

    def send() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=send)
    end = threading.Timer(20, os.write, (write, b"too late"))
    end.start()
    try:
        with Interrupt(waiter.stop) as interrupt:
            thread.start()
            with pytest.raises(Stopped):
                waiter.ready([read])
            assert end.is_alive()
            assert interrupt.exit_code == 128 + signal.SIGTERM
            thread.join()
        assert waiter.stopped
    finally:
        end.cancel()
        end.join()
        waiter.close()
        os.close(read)
        os.close(write)


def test_a_wait_lasts_as_long_as_it_is_to() -> None:
    waiter = Waiter()
    for seconds in (0.0, 0.05, 1.0, 1.2):
        start = time.monotonic()
        assert waiter.ready((), seconds) == set()
        assert time.monotonic() - start >= seconds - 0.002  # poll counts in milliseconds
    waiter.close()
