"""Programs that measure what the README and the documentation claim, a package a subject."""
