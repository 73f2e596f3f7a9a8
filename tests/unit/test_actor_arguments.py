"""What actors, their supervision, breakers and pools cannot be given: each says what it was, and what to give."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from stage import Recorder, play, turns

from sophia.actors import Actor, ActorRef, Breaker, Circuit, Control, DeadLetters, KernelPool, Orchestrator, Supervision
from sophia.errors import CircuitOpen, ConfigError

pytestmark = pytest.mark.messages

VAST = 10**400
NAN, INF = float("nan"), float("inf")


def settings(name: str, value: Any) -> Callable[[Orchestrator], object]:
    return lambda organs: Supervision(**{name: value})


def option(name: str, value: Any) -> Callable[[Orchestrator], object]:
    return lambda organs: organs.spawn(Recorder, "other", **{name: value})


def pool(name: str, value: Any) -> object:
    with KernelPool(workers=1, **({} if name == "timeout" else {name: value})) as made:
        return made.close(value)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        *((lambda o, t=t: o.ask("one", 1, t), ValueError, "timeout is .*; give") for t in (VAST, "x", None, INF)),
        *((lambda o, t=t: o.ref("one").call(1, t), ValueError, "timeout is .*; give") for t in (VAST, NAN, -1)),
        *((lambda o, t=t: o.tells.wait(t), ValueError, "timeout is .*; give") for t in (VAST, NAN, "x", [])),
        *(
            (settings(name, value), ValueError, f"{name} is .*; use")
            for name in ("period", "backoff", "backoff_most")
            for value in (VAST, NAN, "x", None, True, -1)
        ),
        *((settings("restarts", value), ValueError, "restarts is .*; use") for value in (VAST, 2**63, -1)),
        *((settings("jitter", value), ValueError, "jitter is .*; it is a share") for value in ("x", None, VAST, NAN)),
        *((settings("on", value), TypeError, "on is .*; give a mapping") for value in (None, 5, [ValueError])),
        *((lambda o, a=a: o.group("g", Supervision(), above=a), TypeError, "above is .*; give") for a in ("x", 5)),
        *((lambda o, n=n: o.group(n, Supervision()), TypeError, "name is .*; give") for n in (None, 5, [], b"g")),
        *(
            (lambda o, k=k: Orchestrator(keep_dead=k), ValueError, "keep_dead: .* is .*; give")
            for k in (None, -1, 2**63, "x", True, 1.0)
        ),
        *((lambda o, k=k: DeadLetters(k), ValueError, "keep is .*; give") for k in (None, -1, 2**63, "x")),
        *((option("core", value), ValueError, "core is .*; this machine has") for value in ("x", -1, VAST, True, 1.5)),
        *(
            (option("capacity", v), TypeError, "capacity is .*; it is a whole")
            for v in (NAN, INF, 8.0, "8", None, True)
        ),
        *((option("capacity", value), ValueError, "capacity is .*; use a power") for value in (VAST, 0, 7)),
        *((option("accepts", value), TypeError, "accepts is .*; name one") for value in (5, object(), [], (None,))),
        *((lambda o, n=n: o.ref(n), TypeError, "name is .*; give the name") for n in ([], {}, None, 5)),
        *((lambda o, n=n: o.tell(n, 1), TypeError, "name is .*; give the name") for n in ([], None)),
        *((lambda o, n=n: o.breaker(n), TypeError, "name is .*; give the name") for n in ([], None)),
        *((lambda o, f=f: Breaker().circuit(fallback=f), ConfigError, "fallback is .*; give") for f in (5, "x")),
        *((lambda o, s=s: Circuit(s), TypeError, "settings is .*; give a Breaker") for s in (5, None, Breaker)),
        *((lambda o, f=f: Breaker().circuit()(f), TypeError, "around .*, which is no function") for f in (5, None)),
        *((lambda o, c=c: ActorRef(c), TypeError, r"cell is .*; references are made by spawn\(\)") for c in (5, None)),
        *((lambda o, v=v: pool("inline_below", v), TypeError, "inline_below: .* is no number") for v in (None, "x")),
        *((lambda o, v=v: pool("timeout", v), TypeError, "timeout: .* is no number") for v in (None, "x")),
        *((lambda o, v=v: pool("timeout", v), ValueError, "timeout: .* is no number") for v in (VAST, NAN, -1)),
    ],
)
def test_wrong_arguments_are_named_with_what_to_give(
    call: Callable[[Any], object], error: type[Exception], words: str
) -> None:
    async def main() -> None:
        organs: Any = Orchestrator()
        opened = organs.spawn(Recorder, "one", capacity=2)
        organs.tells = [opened.tell(number) for number in range(3)][-1]
        with pytest.raises(error, match=words) as raised:
            call(organs)
        assert type(raised.value) is error
        assert len(str(raised.value)) < 300
        assert organs.names == ["one"]
        await organs.tells

    play(main)


@pytest.mark.parametrize("ignore", [[KeyError], None, (int,), (KeyError, "x"), KeyError("x"), "KeyError"])
def test_exceptions_to_ignore_are_classes_and_a_probe_is_never_lost(ignore: Any) -> None:
    async def main() -> None:
        organs = Orchestrator()
        organs.spawn(Recorder, "one", breaker=Breaker(minimum_calls=1, open_seconds=1.0))
        breaker = organs.breaker("one")
        for _ in range(3):
            breaker.trip()
            with pytest.raises(CircuitOpen):
                await organs.send_with_timeout("one", "early", 1.0)
            organs._loop.now += 2.0  # type: ignore[attr-defined]
            with pytest.raises(TypeError, match=r"ignore is .*; give a tuple"):
                await organs.send_with_timeout("one", KeyError("bad"), 1.0, ignore=ignore)
            assert await organs.send_with_timeout("one", "fine", 1.0) == "fine"
            assert breaker.state == "closed"

    play(main)


@pytest.mark.parametrize("where", ["started", "ended"])
def test_a_clock_that_fails_leaves_the_probe_free(where: str) -> None:
    async def main() -> None:
        organs = Orchestrator()
        organs.spawn(Recorder, "one", breaker=Breaker(minimum_calls=1, open_seconds=1.0))
        breaker, loop = organs.breaker("one"), organs._loop
        breaker.trip()
        loop.now += 2.0  # type: ignore[attr-defined]
        loop_time, calls = loop.time, []

        class Clock:
            def time(self) -> float:
                calls.append(1)
                if len(calls) == (1 if where == "started" else 2):
                    raise OSError("no clock")
                return loop_time()

        organs._loop = Clock()  # type: ignore[assignment]
        with pytest.raises(OSError, match="no clock"):
            await organs.send_with_timeout("one", ValueError("bad"), 1.0)
        organs._loop = loop
        assert await organs.send_with_timeout("one", "fine", 1.0) == "fine"

    play(main)


class Plain(Actor):
    def handle(self, message: Any) -> Iterator[Any]:
        yield message


class Async(Actor):
    async def handle(self, message: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        yield message


class Old(Actor):
    @types.coroutine
    def handle(self, message: Any) -> Generator[None, None, None]:
        yield


class Batches(Actor):
    def handle_batch(self, messages: list[Any]) -> Iterator[Any]:
        yield from messages


class Starts(Recorder):
    def on_start(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize("kind", [Plain, Async, Old, Batches, Starts])
@pytest.mark.parametrize("how", ["class", "actor", "function"])
def test_handlers_that_are_generators_are_refused(kind: type[Actor], how: str) -> None:
    """To call one would run nothing of it, and its messages would count as handled."""

    async def main() -> None:
        organs = Orchestrator(Supervision(restarts=0))
        if how == "function":
            ref = organs.spawn(lambda: kind())
            ref.tell(1)
            end = await ref.stopped()
            assert isinstance(end.error, TypeError)
            assert "generator" in str(end.error)
            assert organs.counts()["handled"] == 0
        else:
            with pytest.raises(TypeError, match=r"of \w+ is a generator.*make it a plain or an async function"):
                organs.spawn(kind() if how == "actor" else kind)

    play(main)


@pytest.mark.parametrize("overflow", ["wait", "fail", "drop_new", "drop_old", "dead_letter"])
@pytest.mark.parametrize("room", [True, False])
def test_control_messages_of_a_batch_overtake_as_each_would_alone(overflow: str, room: bool) -> None:
    async def main() -> None:
        organs, seen = Orchestrator(), []
        ref = organs.spawn(lambda: Recorder(seen), overflow=overflow, capacity=16 if room else 2)
        ref.tell("before")
        sent = ref.send_batch([1, Control("a"), 2, Control("b"), 3, Control("c")])
        if room:
            assert (sent.outcome, sent.accepted) == ("accepted", 6)
        await sent
        await turns()
        controls = [one.name for one in seen if isinstance(one, Control)]
        if room:
            assert seen == [Control("a"), Control("b"), Control("c"), "before", 1, 2, 3]
        elif overflow == "wait":
            assert (controls, sorted(map(str, seen[-3:]))) == (["a", "b", "c"], ["1", "2", "3"])
        elif overflow == "drop_old":
            assert controls == ["b", "c"]
        else:
            assert (controls, sent.accepted) == (["a", "b"], 2)
        assert isinstance(seen[0], Control)

    play(main)
