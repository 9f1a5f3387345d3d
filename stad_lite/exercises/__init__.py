"""Checks for the exercises of the book's chapters."""
