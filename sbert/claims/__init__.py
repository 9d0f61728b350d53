"""Claims of papers, judged by finished runs."""
