"""Single flight under many threads and loops: one thought for each key, no hang, nothing left behind."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from pathlib import Path

import pytest

import sophia
from sophia.errors import AnswerTimeout

pytestmark = pytest.mark.stress

SECONDS = 60.0


def at_once(count: int, work: object) -> list[object]:
    """What `work(i)` gives or raises in so many threads, which start together."""
    assert callable(work)
    barrier = threading.Barrier(count)
    results: list[object] = [None] * count

    def run(i: int) -> None:
        barrier.wait(SECONDS)
        try:
            results[i] = work(i)
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()
    return results


@pytest.mark.parametrize("durable", [False, True])
def test_hundreds_of_threads_one_thought(tmp_path: Path, durable: bool) -> None:
    calls: list[str | None] = []

    def think(decision: sophia.Decision) -> str:
        calls.append(decision.text)
        threading.Event().wait(0.001)
        return f"answer to {decision.text!r}"

    with sophia.open(tmp_path / "mind" if durable else None) as brain:
        for turn in range(5):
            results = at_once(200, lambda i, turn=turn: brain.answer(f"question {turn}", think))
            assert {result.answer for result in results} == {f"answer to 'question {turn}'"}  # type: ignore[attr-defined]
            origins = Counter(result.origin for result in results)  # type: ignore[attr-defined]
            assert origins["thought"] == 1
            assert origins["shared"] + origins["memory"] == 199
        assert len(calls) == 5
        assert len(brain._single_flight()) == 0


def test_threads_and_loops_over_few_keys(tmp_path: Path) -> None:
    """Each key is thought about once, by a thread or by a coroutine; the answers are the keys' own."""
    calls: Counter[str | None] = Counter()
    lock = threading.Lock()

    def think(decision: sophia.Decision) -> str:
        with lock:
            calls[decision.text] += 1
        return f"answer to {decision.text}"

    async def thinks(decision: sophia.Decision) -> str:
        await asyncio.sleep(0.001)
        return think(decision)

    with sophia.open(tmp_path / "mind") as brain:

        def ask(i: int) -> list[tuple[str, str | None]]:
            texts = [f"question {k}" for k in random.Random(i).sample(range(12), 12)]
            if i % 2:
                return [(text, brain.answer(text, think).answer) for text in texts]

            async def all_of_them() -> list[tuple[str, str | None]]:
                replies = await asyncio.gather(*[brain.aanswer(text, thinks) for text in texts])
                return [(text, reply.answer) for text, reply in zip(texts, replies, strict=True)]

            return asyncio.run(all_of_them())

        for result in at_once(24, ask):
            assert isinstance(result, list), result
            for text, answer in result:
                assert answer == f"answer to {text}"
    assert calls == {f"question {k}": 1 for k in range(12)}


def test_failing_impatient_and_cancelled_callers_never_hang_the_others() -> None:
    """Thoughts fail, waits end, tasks are cancelled, and still every patient caller has an answer."""
    with sophia.open(None) as brain:
        for turn in range(6):
            text = f"question {turn}"
            busy: set[int] = set()
            most = [0]
            lock = threading.Lock()
            dice = random.Random(turn)
            fails = [dice.random() < 0.7 for _ in range(1000)]

            def think(
                decision: sophia.Decision,
                busy: set[int] = busy,
                most: list[int] = most,
                lock: threading.Lock = lock,
                fails: list[bool] = fails,
            ) -> str:
                me = threading.get_ident()
                with lock:
                    busy.add(me)
                    most[0] = max(most[0], len(busy))
                threading.Event().wait(0.0005)
                with lock:
                    busy.discard(me)
                if fails.pop():
                    raise OSError
                return "yes"

            def ask(i: int, text: str = text, think: object = think) -> object:
                assert callable(think)
                if i % 3 == 0:
                    return brain.answer(text, think, timeout=0.002).answer
                if i % 3 == 1:
                    return brain.answer(text, think, timeout=SECONDS).answer

                async def cancelled() -> str | None:
                    async def thinks(decision: sophia.Decision) -> str:
                        await asyncio.sleep(0.001)
                        return "yes"

                    task = asyncio.ensure_future(brain.aanswer(text, thinks, timeout=SECONDS))
                    await asyncio.sleep(0.0003 * (i % 7))
                    task.cancel()
                    (result,) = await asyncio.gather(task, return_exceptions=True)
                    return result.answer if isinstance(result, tuple) else None

                return asyncio.run(cancelled())

            results = at_once(60, ask)
            for i, result in enumerate(results):
                allowed = [OSError] + [AnswerTimeout] * (i % 3 == 0)
                assert result in ("yes", None) or isinstance(result, tuple(allowed)), result
                assert result is not None or i % 3 == 2
            assert most[0] <= 1  # plain thoughts of one key never overlap
            assert brain.answer(text, lambda decision: "yes").answer == "yes"
            assert len(brain._single_flight()) == 0
