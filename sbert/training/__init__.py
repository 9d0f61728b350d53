"""The training loop, and one run of it."""
