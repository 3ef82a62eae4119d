"""How a file is uploaded in parts: their sizes, and what an object store calls the object that they become."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MIB = 2**20
#: S3 takes 10,000 parts at most; this many leave room for rounding.
MOST_PARTS = 9000
#: S3 takes no smaller part, but the last.
LEAST_PART_BYTES = 5 * MIB
#: Smaller ones cost requests; larger ones are lost whole where a connection breaks.
USUAL_PART_BYTES = 16 * MIB

_MD5 = re.compile(r"[0-9a-f]{32}")


def part_bytes_for(size_bytes: int, usual_bytes: int = USUAL_PART_BYTES) -> int:
    """How large each part of a file is but the last: a whole number of MiB."""
    least = -(-size_bytes // MOST_PARTS)
    return max(usual_bytes, -(-least // MIB) * MIB)


def number_of_parts(size_bytes: int, part_bytes: int) -> int:
    """How many parts a file has."""
    return -(-size_bytes // part_bytes)


def size_of_part(size_bytes: int, part_bytes: int, number: int) -> int:
    """The size of one part in bytes; 0 where there is none of that number. The first has number 1."""
    return max(0, min(part_bytes, size_bytes - (number - 1) * part_bytes)) if number >= 1 else 0


def multipart_etag(etags: Sequence[str]) -> str | None:
    """The ETag of an object made of parts with these ETags: the MD5 of their MD5s, and how many there are.

    None where the store's ETags are no MD5s, as with its own encryption.
    """
    bare = [etag.strip('"') for etag in etags]
    if not all(_MD5.fullmatch(each) for each in bare):
        return None
    digest = hashlib.md5(b"".join(bytes.fromhex(each) for each in bare), usedforsecurity=False)
    return f'"{digest.hexdigest()}-{len(bare)}"'
