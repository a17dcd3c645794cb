"""Predicted cost of a run: counted by hand, or read from its programs compiled for a chip."""
