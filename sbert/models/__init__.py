"""Encoders, token tables, model folders."""
