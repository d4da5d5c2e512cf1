"""The HTTP routes: classification, models, health and metrics."""

__all__ = ["classify", "health", "models"]
