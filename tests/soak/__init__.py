"""Soak tests, run by hand: `python -m tests.soak hours` and `python -m tests.soak live`."""
