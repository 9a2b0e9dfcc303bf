"""Complex values as pairs of real ones: see `split.py`; the rules are in files by family."""
