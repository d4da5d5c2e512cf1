"""The layers and losses of the attention network, and the n-gram model."""
