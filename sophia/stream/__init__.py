"""Streams of text: what `sophia run` reads."""

from sophia.stream.counts import Counts
from sophia.stream.demo import demo_path
from sophia.stream.event import REASONS, Event
from sophia.stream.formats import Keys
from sophia.stream.readers import Reader, read_batches
from sophia.stream.sources import Source, resolve

__all__ = ["REASONS", "Counts", "Event", "Keys", "Reader", "Source", "demo_path", "read_batches", "resolve"]
