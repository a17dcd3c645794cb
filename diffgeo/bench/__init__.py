"""Timings on this machine, optionally compared with the same work in PyTorch; run by `launch.bench`."""
