"""This machine and its processes; no science."""
