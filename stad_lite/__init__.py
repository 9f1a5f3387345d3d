"""Spatio-temporal action detection: every method of five papers, built, run and tested.

Importing the package loads nothing heavy: sub-modules are imported by name, and torch only by
the modules that have parameters.
"""

__version__ = "0.1.0"
