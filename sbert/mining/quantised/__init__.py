"""Approximate search in quantised vectors."""
