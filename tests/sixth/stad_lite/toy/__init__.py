"""Toy: one box and one class a frame, read off the mean of a small backbone's map."""
