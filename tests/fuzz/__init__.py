"""Fuzz targets: whatever the bytes, a property holds.

`targets` has one module a target: ``seeds()`` gives small inputs of our own writing, ``check(data)`` raises where the
property does not hold. `run` feeds them what a coverage-guided fuzzer finds; `test_targets.py` feeds them the seeds
and some mutations of them, which takes seconds and needs nothing installed.
"""
