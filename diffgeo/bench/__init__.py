"""Timings on this machine, beside the same work in PyTorch; run by `launch.bench`."""
