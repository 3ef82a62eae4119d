"""Mutated videos through the whole of ingest and decoding: no crash, no hang, no leak, no lost frame.

`python -m tests.fuzz --files 20000` runs many, `python -m tests.fuzz SEED NUMBER` one again.
"""
