"""Scripts behind `make data` and `make train`."""
