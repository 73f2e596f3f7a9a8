"""The compiled core. Knows nothing of organs, stores or streams; see ARCHITECTURE.md.

A missing compiled module is an error with a cure, never a silent fallback: the Python oracles that the
tests compare against are thousands of times slower and live outside the package.
"""

from __future__ import annotations

try:
    from sophia._core import cpu as cpu
except ImportError as _error:
    _HINT = (
        f"the compiled core of sophia could not be loaded ({_error}). In a checkout, build it with "
        "`pip install .` (or `python setup.py build_ext --inplace` while developing) and run outside the "
        "checkout's root, or the uncompiled folder `sophia/` is found first; a C compiler and the Python "
        "headers (python3-dev) are needed. From a wheel, this means that the wheel is for another platform."
    )
    raise ImportError(_HINT) from _error
