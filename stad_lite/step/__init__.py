"""STEP: a few coarse cuboids, refined step by step and extended in time (papers' STEP, CVPR 2019)."""
