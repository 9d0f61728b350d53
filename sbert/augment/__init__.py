"""Augmented SBERT: strategies, silver pairs, the whole recipe."""
