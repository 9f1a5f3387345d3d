"""Training: one loop, its checkpoints, its run folder, and the same on many processes."""
