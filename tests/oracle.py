"""Pure-Python oracles: what each compiled function must compute, written to be read and not to be fast."""

from __future__ import annotations
