"""Exact search: the k nearest vectors, and all similar pairs."""
