"""Exact search, and the tasks of `mine.py`."""

from sbert.mining.search.top_k import top_k

__all__ = ["top_k"]
