"""Score a bundle on a data file, and compare explanation methods."""
