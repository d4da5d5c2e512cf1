"""Throughput of Heed and of other model servers with the same model on the same machine."""
