"""Experiments: one module a system, with ``VARIANTS`` and ``run``, for ``stad_lite.reproduce.sweep``."""
