"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from sophia._core import cpu

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
