"""Benchmarks of the installed sophia against its installed peers: ``python -m benchmarks SUITE``."""
