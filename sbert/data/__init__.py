"""Files to rows, corpora, overlaps between datasets."""
