"""The speed that the README claims, as programs anyone can run: `python -m benchmarks`."""
