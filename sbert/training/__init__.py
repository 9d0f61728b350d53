"""One training run: its options, its data, the loop, and what it records."""
