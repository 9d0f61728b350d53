"""Exact search, and the tasks of `mine.py`."""

from sbert.mining.search import top_k

__all__ = ["top_k"]
