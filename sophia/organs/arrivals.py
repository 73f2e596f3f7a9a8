"""Arrivals: a stream in batches of what has come, for one asynchronous consumer."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import asyncio

__all__ = ["arrivals"]

T = TypeVar("T")


async def arrivals(source: Iterable[T] | AsyncIterable[T], most: int) -> AsyncIterator[list[T]]:
    """Lists of up to `most` items, in order; the next are taken when the last list has been dealt with.

    Of an asynchronous source a list holds what can be had without waiting; a plain one, which may block, is read in
    a thread, `most` at a time. An error of the source comes after what it gave before.
    """
    import asyncio

    if isinstance(source, str):
        message = "a stream is many texts; give a list of one"
        raise TypeError(message)
    if not isinstance(source, AsyncIterable):
        iterator = iter(source)
        while batch := await asyncio.to_thread(lambda: list(islice(iterator, most))):
            yield batch
        return
    coming = aiter(source)
    following: asyncio.Future[T] | None = None
    try:
        ended: Exception | None = None
        while ended is None:
            batch = []
            while len(batch) < most:
                following = following or asyncio.ensure_future(anext(coming))
                if batch and not following.done():
                    await asyncio.sleep(0)
                    if not following.done():
                        break
                try:
                    batch.append(await following)
                except Exception as error:
                    ended = error
                    break
                finally:
                    if following.done():
                        following = None
            if batch:
                yield batch
        if not isinstance(ended, StopAsyncIteration):
            raise ended
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
