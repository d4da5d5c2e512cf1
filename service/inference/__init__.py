"""From texts to predictions: a bounded queue, and the threads that run the network."""
