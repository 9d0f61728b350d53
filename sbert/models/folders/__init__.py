"""Model folders: what is read of them, and what is written."""
