"""Metrics, evaluators, statistics, reports."""
