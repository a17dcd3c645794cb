"""The Python interface: runs opened for reading, their models sampled and looked into, runs trained from a notebook.

`diffgeo` itself exports its names, lazily.
"""
