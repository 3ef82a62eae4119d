"""Measuring Poseline: each figure beside a baseline and its goal."""
