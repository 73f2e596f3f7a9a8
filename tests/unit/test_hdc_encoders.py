"""Encoders: values as hypervectors, with the faults that other libraries had."""

from __future__ import annotations

import doctest
from typing import Any

import numpy
import pytest

from sophia.errors import ShapeError
from sophia.hdc import MODELS, Space, encoders
from sophia.hdc.encoders import Circular, FractionalPower, Level, Projection, Sinusoid, Thermometer

DIM = 2000
models = pytest.mark.parametrize("model", MODELS)


def test_examples() -> None:
    assert doctest.testmod(encoders).failed == 0


@models
def test_scales(model: str) -> None:
    space = Space(model, DIM)
    for encoder in (Level(space, 21, -1.0, 1.0), Thermometer(space, 21, -1.0, 1.0)):
        assert encoder.index([-1.0, 0.0, 1.0, -5.0, 5.0, 0.04, 0.06]).tolist() == [0, 10, 20, 0, 20, 10, 11]
        one, many = encoder.encode(0.3), encoder.encode([[0.3, -0.9], [0.5, 1.0]])
        assert type(one) is type(space.random("a"))
        assert many.shape[:2] == (2, 2)
        assert numpy.array_equal(many[0, 0], numpy.asarray(one))
        near, far = space.similarity(one, encoder.encode([0.4, -1.0]))
        assert near > 0.85 > far
    circle = Circular(space, 24, 24.0)
    assert circle.index([0.0, 23.0, 24.0, 25.0, -1.0, 23.6]).tolist() == [0, 23, 0, 1, 23, 0]
    night, noon = space.similarity(circle.encode([23.0]), circle.encode([1.0, 12.0]))[0]
    assert night > 0.7 > 0.3 > noon


@pytest.mark.parametrize("value", [float("nan")])
def test_what_is_on_no_scale(value: float) -> None:
    """NaN became the row -9223372036854775808 elsewhere."""
    space = Space("bsc", 640)
    for encoder in (Level(space, 5), Thermometer(space, 5), Circular(space, 5)):
        for values in (value, [0.5, value], [[0.1, 0.2], [0.3, value]]):
            with pytest.raises(ValueError, match=r"values: the one at \((0|1|1, 1),?\) is (NaN|not finite)"):
                encoder.encode(values)
    with pytest.raises(ValueError, match="not finite"):
        Circular(space, 5).encode(float("inf"))
    assert Level(space, 5).index([float("inf"), float("-inf")]).tolist() == [4, 0]


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_bounds_of_a_scale(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="high the larger"):
        Level(Space("bsc", 640), 5, *bounds)


@models
@pytest.mark.parametrize("make", [Projection, Sinusoid])
def test_projections_keep_what_is_near_near(model: str, make: Any) -> None:
    space = Space(model, DIM)
    encoder = make(space, 8)
    draw = numpy.random.default_rng(1)
    x = draw.normal(size=(30, 8))
    one, all_ = encoder.encode(x[0]), encoder.encode(x)
    assert space.similarity(one, space.vector(all_[0])) > 0.999
    near = space.similarity(encoder.encode(x + 0.05 * draw.normal(size=x.shape)), all_)
    assert (numpy.argmax(near, axis=1) == numpy.arange(30)).all()
    assert encoder.weights.dtype == numpy.float32
    again = make(Space(model, DIM), 8)
    assert numpy.array_equal(again.weights, encoder.weights)
    assert not numpy.array_equal(make(Space(model, DIM, seed=1), 8).weights, encoder.weights)


def test_what_cannot_be_projected() -> None:
    encoder = Projection(Space("bsc", 640), 3)
    for wrong in ([1.0, 2.0], numpy.ones((2, 4)), numpy.ones((2, 2, 3)), 1.0):
        with pytest.raises(ShapeError, match=r"it must be \[3\] or \[n, 3\]"):
            encoder.encode(wrong)
    with pytest.raises(ValueError, match="row 1, feature 2 is not finite"):
        encoder.encode([[1, 2, 3], [1, 2, float("nan")]])
    for features in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="whole number"):
            Projection(Space("bsc", 640), features)  # type: ignore[arg-type]
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="distance over 0"):
            Sinusoid(Space("bsc", 640), 3, scale=scale)


@pytest.mark.parametrize("model", ["hrr", "fhrr"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64"])
def test_powers_take_every_kind_of_number(model: str, dtype: str) -> None:
    space = Space(model, DIM)
    encoder = FractionalPower(space, 2.0)
    values = numpy.array([0, 1, 3], dtype)
    rows = encoder.encode(values)
    assert rows.shape == (3, DIM)
    assert space.similarity(rows[0], space.identity()) > 0.999
    assert space.similarity(space.bind(rows[1], rows[1]), encoder.encode(2)) > 0.999
    distances = numpy.array([0.0, 0.5, 1.0, 2.0, 4.0])
    found = space.similarity(encoder.encode(0.0), encoder.encode(distances))
    assert numpy.abs(found - numpy.sinc(distances / 2.0)).max() < 0.1


def test_powers_of_signs_and_of_no_bandwidth() -> None:
    with pytest.raises(ShapeError, match="a power needs hrr or fhrr, not bsc"):
        FractionalPower(Space("bsc", 640))
    for bandwidth in (0.0, float("nan"), -1.0):
        with pytest.raises(ValueError, match="distance over 0"):
            FractionalPower(Space("fhrr", 640), bandwidth)
    with pytest.raises(ValueError, match="not finite"):
        FractionalPower(Space("fhrr", 640)).encode(float("nan"))
