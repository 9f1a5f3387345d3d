"""The flow subnet: one network from frames to boxes; optical flow is estimated inside (Zhang et al. 2020)."""
