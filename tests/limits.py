"""Bounds for what a test reads in a process of its own."""

from __future__ import annotations

MEMORY, SECONDS = 3 << 30, 60
"""Address space (the interpreter with numpy takes under one) and processor time."""

LIMITED = f"""
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
    resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass  # Windows has no such bounds: there the test's own timeout holds
"""
"""The first lines of such a process."""
