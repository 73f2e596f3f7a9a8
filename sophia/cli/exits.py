"""The exit codes of every command, and which error has which."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit", "exit_of"]


class Exit(IntEnum):
    """What the shell is told.

    DONE also where inputs had faults that were counted, and where the reader of the output has gone (`| head`).
    GATED: the work is done, and something that `--fail-on` names was found; or `store` or `doctor` found damage.
    USAGE: flags, settings or rules cannot be used; nothing was written.
    INPUT: an input cannot be read (to its end), or `--strict` met a bad one; what was decided is written.
    STORE: the store is in use by another process, of a newer version, crystalline, or not born where it must be; or it
    did not answer for a while, and decisions were told without it.
    INTERNAL: anything else, a damaged store and a full disk among it; the traceback is in run.log.
    HUNG_UP, INTERRUPTED, TERMINATED: SIGHUP, Ctrl-C and SIGTERM; what was read is decided and written.
    """

    DONE = 0
    GATED = 1
    USAGE = 2
    INPUT = 3
    STORE = 4
    INTERNAL = 5
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


def exit_of(error: BaseException) -> Exit:
    """The exit code of an error that ends a command.

    >>> exit_of(ValueError("a fault of ours")).name
    'INTERNAL'
    """
    from sophia.errors import ConfigError, InputError, NotBorn, StoreFrozen, StoreLocked, StoreVersionError

    if isinstance(error, ConfigError):
        return Exit.USAGE
    if isinstance(error, InputError):
        return Exit.INPUT
    if isinstance(error, StoreLocked | StoreVersionError | StoreFrozen | NotBorn):
        return Exit.STORE
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    return Exit.DONE if isinstance(error, BrokenPipeError) else Exit.INTERNAL
