"""Compute metrics, and fit mixture weights, temperature and threshold on dev."""
