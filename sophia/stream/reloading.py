"""A settings file that is followed while a run goes on: what it says holds from the next batch on, or is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from sophia.brain import Sophia
from sophia.config import RunSettings, Settings
from sophia.config_watch import watch_config
from sophia.errors import SophiaError

__all__ = ["Reloading"]

_AFTER = 1.0  # seconds: what ends before does not pay for it


class Reloading:
    """Applies what a settings file says to the brain of a run, each time that it says something else.

    What it said last and could be used holds on while it says what cannot. Each of both is told once: `tell` is called
    on the thread of the event loop. `load` reads the file, and what overrides it; `settings` and `run` are what it has
    given at the start.
    """

    def __init__(
        self,
        file: str,
        load: Callable[[], tuple[Settings, RunSettings]],
        settings: Settings,
        run: RunSettings,
        tell: Callable[[str], None],
    ) -> None:
        self._file = file
        self._load = load
        self._settings = settings
        self._run = run
        self._tell = tell
        self._wrong = False

    async def follow(self, brain: Sophia) -> None:
        """Follows the file until it is cancelled."""
        await asyncio.sleep(_AFTER)
        try:
            async with aclosing(watch_config(self._file, load=self._load)) as versions:
                async for version in versions:
                    if version.settings is None or version.run is None:
                        self._refuse(version.error)
                        continue
                    try:
                        await self._apply(brain, version.settings, version.run)
                    except SophiaError as error:
                        self._refuse(error)
        except Exception as error:  # of the watch itself, which has errors of its own: a run goes on without it
            self._tell(f"{self._file} is not followed: {error or type(error).__name__}")

    async def _apply(self, brain: Sophia, settings: Settings, run: RunSettings) -> None:
        if (settings, run) == (self._settings, self._run):
            if self._wrong:
                self._wrong = False
                self._tell(f"{self._file} says again what holds: policy {brain.policy_version}")
            return
        self._settings.refuse_fixed(settings)
        self._run.refuse_fixed(run)
        # In a thread: rules take milliseconds, and a batch that is being decided is waited for.
        version = await asyncio.to_thread(brain.apply, settings, rules=run.rules)
        changed = [*self._settings.differences(settings), *self._run.differences(run)]
        self._settings, self._run, self._wrong = settings, run, False
        self._tell(f"{self._file} holds from now on, policy {version}: {', '.join(changed)}")

    def _refuse(self, error: SophiaError | None) -> None:
        self._wrong = True
        faults = str(error).split("\n")
        words = faults[0] if len(faults) == 1 else "".join([f"\n  {fault}" for fault in faults])
        self._tell(f"{self._file} is not taken, and what held before holds on: {words}")
