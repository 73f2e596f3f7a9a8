"""Fixtures that every test may use."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from programs import compiler_name

from sophia._core import cpu
from sophia._core.pool import KernelPool

# No clock decides a test.
settings.register_profile("sophia", deadline=None)
settings.load_profile("sophia")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "simd" in getattr(item, "fixturenames", ()):
            item.add_marker("levels")


@pytest.fixture(params=cpu.simd_levels())
def simd(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once at each SIMD level of this machine."""
    before = cpu.simd_level()
    cpu.set_simd_level(request.param)
    yield request.param
    cpu.set_simd_level(before)


@contextmanager
def changing_threads(seconds: float) -> Iterator[None]:
    """Threads change as often as that, if they want to."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def hasty() -> Iterator[None]:
    """Runs the test with threads that change as often as the interpreter can let them."""
    with changing_threads(1e-6):
        yield


@pytest.fixture(params=[5e-3, 1e-6], ids=["usual", "hasty"])
def pace(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs the test twice: as always, and as `hasty`."""
    with changing_threads(request.param):
        yield


@pytest.fixture(scope="session")
def compiler() -> str:
    name = compiler_name()
    if not shutil.which(name):
        pytest.skip(f"no C compiler ({name})")
    return name


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs of tests/native are built."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(params=[1, 2])
def pool(request: pytest.FixtureRequest) -> Iterator[KernelPool]:
    with KernelPool(request.param, inline_below=0) as pool:
        yield pool


@pytest.fixture(scope="module")
def slow_rows() -> Iterator[np.ndarray]:
    """Rows that take a worker some 50 ms: 2 GB that are never written, so that they take no memory."""
    return np.zeros((1_600_000, 1280), np.uint8)
