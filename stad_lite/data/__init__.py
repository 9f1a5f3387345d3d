"""Data sets: the synthetic benchmark and readers of the published ones."""
