"""The dense detector that chapters compare with: its config, its four parts, its pretrained backbones."""
