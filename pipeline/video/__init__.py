"""Frames out of files: index and decoding, behind a wall. PyAV lives here and nowhere else.

`sandbox` is the only way in: FFmpeg is not trusted, so every byte of an upload is parsed in a child process that
has no credential, no network and hard limits.
"""
