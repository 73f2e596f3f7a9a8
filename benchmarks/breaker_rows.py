"""A call through a closed circuit breaker, beside purgatory and pybreaker, in the same form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from benchmarks.harness import Bar, Contender, Suite, Timing, version
from sophia._core.breaker import CircuitBreaker
from sophia.actors.breaker import Breaker

CALLS = 1000


def nothing() -> None:
    """What is called."""


async def nothing_async() -> None:
    """What is awaited."""


def breakers(suite: Suite) -> None:
    there = {name: version(name) != "not installed" for name in ("purgatory", "pybreaker")}
    for name, found in there.items():
        if not found:
            suite.skip(name, "not installed")
    loop = asyncio.new_event_loop()
    try:
        _rows(suite, there, loop)
    finally:
        loop.close()


def _rows(suite: Suite, there: dict[str, bool], loop: asyncio.AbstractEventLoop) -> None:
    core, circuit = CircuitBreaker(), Breaker().circuit()
    names: dict[str, object] = {"core": core, "circuit": circuit, "nothing": nothing}

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        return [Bar("admit and succeeded of a closed breaker, ns", timings["sophia"].median, "<=", 100.0)]

    suite.compare(
        "closed breaker, admit and succeeded",
        {"sophia": Contender("core.succeeded(core.admit())", names), "a bare call": Contender("nothing()", names)},
        bars=bars,
        note="no peer has the two halves: below are whole calls",
    )
    calls = {"sophia": Contender("circuit.call(nothing)", names), "a bare call": Contender("nothing()", names)}
    decorated = {"sophia": Contender("guarded()", names | {"guarded": circuit(nothing)})}
    blocks = {"sophia": Contender("with circuit: nothing()", names)}
    blocks["sophia calling()"] = Contender("with circuit.calling(): nothing()", names)
    if there["pybreaker"]:
        import pybreaker

        peer = pybreaker.CircuitBreaker()
        calls["pybreaker call"] = Contender("peer.call(nothing)", names | {"peer": peer})
        decorated["pybreaker"] = Contender("guarded()", {"guarded": peer(nothing)})
        blocks["pybreaker calling"] = Contender("with peer.calling(): nothing()", names | {"peer": peer})
    awaited = {"sophia async with": _awaited(loop, _block, circuit)}
    awaited["sophia decorator"] = _awaited(loop, _plain, circuit(nothing_async))
    if there["purgatory"]:
        import purgatory

        sync = purgatory.SyncCircuitBreakerFactory()
        decorated["purgatory"] = Contender("guarded()", {"guarded": sync("decorated")(nothing)})
        blocks["purgatory"] = Contender("with peer: nothing()", names | {"peer": sync.get_breaker("block")})
        asynchronous = purgatory.AsyncCircuitBreakerFactory()
        peer_block = loop.run_until_complete(asynchronous.get_breaker("block"))
        awaited["purgatory async with"] = _awaited(loop, _block, peer_block)
        awaited["purgatory decorator"] = _awaited(loop, _plain, asynchronous("decorated")(nothing_async))
    awaited["a bare await"] = _awaited(loop, _plain, nothing_async)
    suite.compare("closed breaker, call of a function", calls)
    suite.compare("closed breaker, decorated function", decorated)
    suite.compare("closed breaker, with", blocks)
    awaited = {"sophia": awaited.pop("sophia async with"), **awaited}
    suite.compare("closed breaker, coroutine", awaited, note='"sophia" is our async with; a breaker is looked up once')
    if core.stats().calls == 0 or core.state != "closed" or circuit.state != "closed":
        raise AssertionError(f"the breaker did not count or has opened: {core.stats()}")


async def _block(breaker: Any) -> None:
    for _ in range(CALLS):
        async with breaker:
            await nothing_async()


async def _plain(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    for _ in range(CALLS):
        await function()


def _awaited(
    loop: asyncio.AbstractEventLoop, work: Callable[[Any], Coroutine[Any, Any, None]], subject: object
) -> Contender:
    return Contender("run(work())", {"run": loop.run_until_complete, "work": partial(work, subject)}, CALLS)
