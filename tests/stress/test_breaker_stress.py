from __future__ import annotations

import random
import threading

import psutil
import pytest

from sophia._core.breaker import CircuitBreaker

pytestmark = [pytest.mark.stress, pytest.mark.usefixtures("pace")]

THREADS = 8


def together(work) -> None:
    """Runs work(number) in all threads; what one of them raises fails the test."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def test_one_probe_for_each_generation():
    now = [0.0]
    breaker = CircuitBreaker(open_seconds=1, probe_seconds=1000, clock=lambda: now[0])
    admitted: list[int] = []
    rounds = 400

    def begin() -> None:
        assert len(admitted) == begin.count  # type: ignore[attr-defined]
        breaker.trip()
        now[0] += 1
        begin.count += 1  # type: ignore[attr-defined]

    begin.count = 0  # type: ignore[attr-defined]
    start = threading.Barrier(THREADS, action=begin)
    end = threading.Barrier(THREADS)

    def work(number: int) -> None:
        for turn in range(rounds):
            start.wait(60)
            ticket = breaker.try_admit()
            if ticket >= 0:
                admitted.append(ticket)
            end.wait(60)
            if ticket >= 0:  # so that the next round finds it closed, or free
                breaker.abandoned(ticket) if turn % 2 else breaker.succeeded(ticket)

    together(work)
    assert len(admitted) == len(set(admitted)) == rounds
    assert breaker.stats().probes == rounds
    assert breaker.stats().refused == rounds * (THREADS - 1)


def test_every_result_is_counted_once_or_late():
    heard: list[tuple[str, str]] = []
    breaker = CircuitBreaker(window=50, minimum_calls=20, open_seconds=1e-4, probe_seconds=0.05)
    breaker.subscribe(lambda name, old, new, reason: heard.append((old, new)))
    reported, refused, abandoned = [0] * THREADS, [0] * THREADS, [0] * THREADS

    def work(number: int) -> None:
        draw = random.Random(number)
        for _ in range(20_000):
            ticket = breaker.try_admit()
            if ticket < 0:
                refused[number] += 1
            elif draw.random() < 0.02:
                abandoned[number] += 1
                breaker.abandoned(ticket)
            else:
                reported[number] += 1
                breaker.failed(ticket) if draw.random() < 0.47 else breaker.succeeded(ticket)

    together(work)
    stats = breaker.stats()
    assert stats.calls + stats.late == sum(reported)
    assert (stats.refused, stats.abandoned) == (sum(refused), sum(abandoned))
    assert stats.opened == sum(new == "open" for _, new in heard) > 10
    assert stats.probes >= sum(new == "half_open" for _, new in heard) > 10
    breaker.reset()
    for i in range(50):
        ticket = breaker.admit()
        breaker.failed(ticket) if i < 9 else breaker.succeeded(ticket)
    assert (breaker.stats().window_calls, breaker.stats().window_failures) == (50, 9)


@pytest.mark.memory
def test_memory_stays_flat():
    process = psutil.Process()

    def churn() -> None:
        for _ in range(300):
            breaker = CircuitBreaker(window=30_000, minimum_calls=1)
            breaker.subscribe(lambda *change: None)
            for _ in range(20):
                breaker.failed(breaker.admit())
                assert breaker.try_admit() == -1
                breaker.reset()

    churn()
    before = process.memory_info().rss
    for _ in range(10):
        churn()
    assert process.memory_info().rss - before < 8 << 20
