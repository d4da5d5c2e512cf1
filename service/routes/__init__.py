"""The HTTP routes: classification, models, health and metrics."""
