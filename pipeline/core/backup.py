"""What a backup consists of: a dump of the database, the objects that it names, and a manifest that makes it whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.core.objects import StoredObject

#: Written last: a folder without it is no backup.
MANIFEST = "manifest.json"
DUMP, OBJECTS, FOLDER = "database.dump", "objects.jsonl", "objects"
#: What a broken-off backup leaves.
UNFINISHED = "unfinished.json"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """A whole backup.

    Args:
        bucket: Poseline's own in the object store that was copied.
        revision: of the database's schema.
        objects, object_bytes: how many objects were copied, and their bytes in all.
        missing: keys of objects that were gone already, as of videos whose owner deleted them.
        taken_at: the time of the database's snapshot.
    """

    version: str
    revision: str
    bucket: str
    taken_at: str
    dump_bytes: int
    dump_sha256: str
    objects: int
    object_bytes: int
    objects_sha256: str
    missing: int
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """The manifest as JSON fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Manifest:
        """Read a manifest.

        Raises:
            ValueError: it is none, or of a later version.
        """
        if not isinstance(found, Mapping):
            raise ValueError("it is no JSON object")
        if found.get("format") != FORMAT:
            raise ValueError(f"its format is {found.get('format')}, this version reads {FORMAT}")
        kinds = {one.name: int if one.type == "int" else str for one in fields(cls)}
        wrong = sorted(name for name, kind in kinds.items() if type(found.get(name)) is not kind)
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: missing or no value of its kind")
        return cls(**{name: found[name] for name in kinds})


@dataclass(frozen=True)
class CopiedObject:
    """One object of a backup.

    Args:
        keeps_key: it is the newest of its key; an older version is restored under another one.
        sha256: of its content.
        missing: it was gone already.
    """

    source: StoredObject
    keeps_key: bool
    sha256: str = ""
    missing: bool = False

    def to_line(self) -> str:
        """As a line of the list of objects."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> CopiedObject:
        """Read a line of the list of objects."""
        found = json.loads(line)
        return cls(**{**found, "source": StoredObject(**found["source"])})


def name_of(source: StoredObject) -> str:
    """A name for one version of an object, 64 hex digits."""
    pinned = "\0".join((source.bucket, source.key, source.etag, source.version_id or ""))
    return hashlib.sha256(pinned.encode()).hexdigest()


def file_of(folder: Path, source: StoredObject) -> Path:
    """Where a backup keeps an object: a name made of what pins it, never of its key's text."""
    name = name_of(source)
    return folder / FOLDER / name[:2] / name
