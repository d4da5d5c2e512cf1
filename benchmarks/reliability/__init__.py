"""Programs that load a running server and check what operators rely on.

Each program starts its own `heed serve` on 127.0.0.1, runs for a bounded time and prints one JSON
line. `python -m benchmarks.reliability` runs them all and prints a table of goals.
"""
