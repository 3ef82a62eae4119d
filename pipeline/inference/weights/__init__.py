"""Weights onto this machine: from a publisher, a mirror or a folder, once, whole, and never others under a name."""
