"""Training data of a member: label tables, held-out regions, and the batches drawn from them.

`label_tables` and `regions` need no JAX; `batches`, `permutation` and `evaluation_labels` run on device.
"""
