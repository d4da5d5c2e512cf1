"""Servers on one core, load from another core, and the texts that the load sends."""
