"""Video files: indexing and decoding in sandboxed child processes. Only this package imports PyAV.

`reader` is the entry: FFmpeg is not trusted, so every byte of an upload is parsed in a child process without
credentials or network, under hard limits.
"""
