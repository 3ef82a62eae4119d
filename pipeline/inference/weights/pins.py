"""A team's own file of weights that it trusts: `{"rtmo-s": "SHA-256", …}`, to be committed beside its code.

It is held against at every fetch, and wherever a model is asked for by its name, so that all machines of a team work
with the same weights. Workers do not read it: a run names its weights by SHA-256.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path

from pipeline.errors import InvalidWeights, UsageError
from pipeline.inference.weights.checksums import replace_record


def read_pins(path: Path) -> dict[str, str]:
    """SHA-256 by name of the weights; empty where there is no such file yet.

    Raises:
        UsageError: it is something else, or there is no folder for it.
    """
    try:
        pins = json.loads(path.read_text())
        if not isinstance(pins, dict):
            raise ValueError("it is no object of names")
        for name, sha256 in pins.items():
            if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
                raise ValueError(f"no SHA-256 for {name}")
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise UsageError(
                f"{path.parent} is no folder, so {path.name} cannot be kept there; make it first"
            ) from None
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f'{path} cannot be used for pins ({error}); it holds {{"NAME": "64 lower-case hex digits"}}'
        ) from error
    return dict(pins)


def hold_against(path: Path, name: str, sha256: str | None, where: str) -> bool:
    """Whether these weights are pinned; False where none are under the name.

    Args:
        name, sha256: of the weights; None where there are none yet.
        where: they are from, for what is said of them.

    Raises:
        InvalidWeights: others are pinned under the name.
        UsageError: see `read_pins`.
    """
    pinned = read_pins(path).get(name)
    if sha256 is None or pinned is None:
        return False
    if pinned != sha256:
        raise InvalidWeights(
            f"{where} is not the {name} that {path} pins (SHA-256 {sha256}, not {pinned}): nothing was changed; if you "
            f"trust these weights, pin theirs there; if not, take {name} out of checksums.json, should it stand there"
        )
    return True


def add_pin(path: Path, name: str, sha256: str) -> bool:
    """Pin weights that are not pinned yet; returns whether they were not.

    Raises:
        InvalidWeights: others are pinned under the name.
        UsageError: the file cannot be read or written.
    """
    path = path.resolve()
    try:
        # The folder is the lock, so that none is left in a team's repository.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if hold_against(path, name, sha256, name):
                return False
            replace_record(path, read_pins(path) | {name: sha256})
        finally:
            os.close(folder)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); name another file for the pins") from error
    return True
