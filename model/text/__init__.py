"""Tokenize text. Needs no PyTorch."""
