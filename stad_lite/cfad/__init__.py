"""CFAD: polynomial action tubes, key timestamps, local refinement (Li et al., ECCV 2020)."""
