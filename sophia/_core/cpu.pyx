"""SIMD levels: which the machine can run, which one is active.

The level changes speed only. Every operation of the core gives the same bits at every level.
"""

import os


cdef extern from "dispatch.h" nogil:
    const sophia_kernels *sophia_kernels_at(int level)


_NAMES = ("scalar", "avx2", "avx512", "neon")


def simd_levels() -> tuple[str, ...]:
    """The levels that processor, operating system and build allow, slowest first.

    Takes no lock; safe from any thread. Example::

        >>> "scalar" in simd_levels()
        True
    """
    return tuple(name for number, name in enumerate(_NAMES) if sophia_kernels_at(number) != NULL)


def simd_level() -> str:
    """The name of the active level.

    Example::

        >>> simd_level() in simd_levels()
        True
    """
    return _NAMES[active.level]


def set_simd_level(level: str) -> None:
    """Make `level` the active one for the whole process.

    Meant for tests and benchmarks. Operations already running in other threads finish at the old level;
    both give the same bits. Raises ValueError for a level that this machine does not have.
    """
    global active
    if level not in _NAMES or sophia_kernels_at(_NAMES.index(level)) == NULL:
        raise ValueError(
            f"SIMD level {level!r} is not available on this machine; choose one of {', '.join(simd_levels())}"
        )
    active = sophia_kernels_at(_NAMES.index(level))


cdef _choose():
    wanted = os.environ.get("SOPHIA_SIMD", "")
    if not wanted:
        set_simd_level(simd_levels()[-1])
        return
    if wanted not in simd_levels():
        raise ValueError(
            f"SOPHIA_SIMD={wanted!r} is not available on this machine; "
            f"choose one of {', '.join(simd_levels())} or unset it"
        )
    set_simd_level(wanted)


_choose()
