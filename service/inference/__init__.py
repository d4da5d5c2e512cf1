"""From texts to predictions: a queue without a timer, and the threads that empty it."""
