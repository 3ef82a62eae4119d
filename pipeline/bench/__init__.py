"""Measuring Poseline: every figure beside the plainest thing that does the same, and its goal."""
