"""Copies of transformers that only compute: weights of another type, and packed for the CPU."""
