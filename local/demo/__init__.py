"""`make demo` and `make describe`."""
