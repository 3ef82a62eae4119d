"""Erase videos, a person or a team for good, and prove it later.

An erasure is begun in one transaction, after which it is finished whatever happens: by whoever asked, or by the ticks.
"""
