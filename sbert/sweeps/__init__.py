"""Many training runs, one table."""
