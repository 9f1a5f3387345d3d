"""Networks: backbones, pyramids, blocks, proposals, losses, and the loading of published weights."""
