"""Training the attention network and the n-gram model, and saving checkpoints."""
