"""Routing for coroutines: one text in a thread, and streams."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import sophia


@pytest.fixture
def brain() -> Iterator[sophia.Sophia]:
    with sophia.open(None) as opened:
        yield opened


def test_aroute_is_route(brain: sophia.Sophia) -> None:
    async def ask() -> list[sophia.Decision]:
        return [await brain.aroute(text, scope="ana") for text in ("When?", "job 1 done", "job 2 done")]

    with sophia.open(None) as other:
        expected = [
            other.route(text, scope="ana").to_dict() | {"us": 0} for text in ("When?", "job 1 done", "job 2 done")
        ]
    assert [decision.to_dict() | {"us": 0} for decision in asyncio.run(ask())] == expected


TEXTS = [f"job {i % 7} of user {i} ended with code {i % 3}" if i % 4 else "ping" for i in range(700)]


@pytest.mark.parametrize("kind", ["message", "line"])
@pytest.mark.parametrize("source", ["list", "generator", "slow", "bursts"])
def test_astream_decides_in_order_as_one_at_a_time(kind: str, source: str) -> None:
    async def slow() -> Any:
        for i, text in enumerate(TEXTS):
            if source == "slow" or i % 50 == 0:
                await asyncio.sleep(0)
            yield text

    async def ask() -> list[sophia.Decision]:
        stream: Any = TEXTS if source == "list" else iter(TEXTS) if source == "generator" else slow()
        with sophia.open(None) as brain:
            return [decision async for decision in brain.astream(stream, scope="ana", kind=kind)]

    with sophia.open(None) as brain:
        expected = [brain.route(text, scope="ana", kind=kind).to_dict() | {"us": 0} for text in TEXTS]
    assert [decision.to_dict() | {"us": 0} for decision in asyncio.run(ask())] == expected


def test_astream_takes_objects(brain: sophia.Sophia) -> None:
    objects = [
        {"text": "When?", "answer": "Now.", "id": "a", "ts": "2025-01-01", "scope": "ana"},
        {"text": "when", "scope": "ana"},
        {"text": "when"},
        "when",
    ]

    async def ask() -> list[Any]:
        return [(d.id, d.ts, d.scope, d.why, d.answer) async for d in brain.astream(objects, scope="boris")]

    assert asyncio.run(ask()) == [
        ("a", "2025-01-01", "ana", "novel", None),
        ("1.2", None, "ana", "repeat", "Now."),
        ("1.3", None, "boris", "novel", None),
        ("1.4", None, "boris", "known-pattern", None),
    ]


@pytest.mark.parametrize("bad", [3, {"message": "no text"}, None, b"bytes"])
def test_astream_names_what_is_no_input(brain: sophia.Sophia, bad: Any) -> None:
    async def ask() -> list[Any]:
        return [d async for d in brain.astream(["fine", bad])]

    with pytest.raises(TypeError, match="an input is a str or an object with a text"):
        asyncio.run(ask())
    with pytest.raises(TypeError, match="many texts"):
        asyncio.run(_all(brain.astream("one text")))


async def _all(stream: Any) -> list[Any]:
    return [item async for item in stream]


def test_astream_takes_no_more_than_a_batch_ahead(brain: sophia.Sophia) -> None:
    taken = 0

    async def source() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield f"text {taken}"

    async def ask() -> None:
        stream = brain.astream(source())
        for i in range(600):
            await anext(stream)
            assert taken <= (i // 256 + 1) * 256 + 1
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(ask())


def test_an_error_of_the_source_comes_after_what_it_gave(brain: sophia.Sophia) -> None:
    async def source() -> Any:
        yield "one"
        yield "two"
        raise OSError("broken off")

    async def ask() -> list[str | None]:
        seen = []
        stream = brain.astream(source())
        for _ in range(2):
            seen.append((await anext(stream)).text)
        with pytest.raises(OSError, match="broken off"):
            await anext(stream)
        return seen

    assert asyncio.run(ask()) == ["one", "two"]


def test_a_cancelled_stream_cancels_its_source(brain: sophia.Sophia) -> None:
    ended = []

    async def source() -> Any:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def ask() -> None:
        task = asyncio.ensure_future(_all(brain.astream(source())))
        while brain._n == 0:
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(ask())
    assert ended == [True]
