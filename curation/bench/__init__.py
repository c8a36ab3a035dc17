"""Curation against its peers and its bars: `python -m curation.bench`."""
