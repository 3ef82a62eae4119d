"""A team's pins: the SHA-256 of trusted weights by name, `{"rtmo-s": "SHA-256", …}`, committed beside its code.

They are checked at every fetch and wherever a model is looked up by name, so that all machines of a team use the same
weights. Workers do not read it: a run names its weights by SHA-256.
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
    """Read the SHA-256 of weights by name; empty where the file does not exist.

    Raises:
        UsageError: it is not a file of pins, or its folder does not exist.
    """
    try:
        pins = json.loads(path.read_text())
        if not isinstance(pins, dict):
            raise ValueError("it is not a JSON object")
        for name, sha256 in pins.items():
            if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
                raise ValueError(f"no SHA-256 for {name}")
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise UsageError(
                f"{path.parent} is not a folder, so {path.name} cannot be stored there; create it first"
            ) from None
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f'{path} cannot be used for pins ({error}); it holds {{"NAME": "64 lower-case hex digits"}}'
        ) from error
    return dict(pins)


def check_pin(path: Path, name: str, sha256: str | None, where: str) -> bool:
    """Compare weights with the pin of their name; returns whether there is one.

    Args:
        name, sha256: of the weights; None where there are none yet.
        where: the source of the weights, for error messages.

    Raises:
        InvalidWeights: another SHA-256 is pinned under the name.
        UsageError: see `read_pins`.
    """
    pinned = read_pins(path).get(name)
    if sha256 is None or pinned is None:
        return False
    if pinned != sha256:
        raise InvalidWeights(
            f"{where} is not the {name} that {path} pins (SHA-256 {sha256}, not {pinned}): nothing was changed; if you "
            f"trust these weights, change the pin; if not, remove {name} from checksums.json if it is there"
        )
    return True


def add_pin(path: Path, name: str, sha256: str) -> bool:
    """Pin weights unless they are pinned already; returns whether a pin was added.

    Raises:
        InvalidWeights: another SHA-256 is pinned under the name.
        UsageError: the file cannot be read or written.
    """
    path = path.resolve()
    try:
        # The folder is locked, so that no lock file is left in a team's repository.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if check_pin(path, name, sha256, name):
                return False
            replace_record(path, read_pins(path) | {name: sha256})
        finally:
            os.close(folder)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another file for the pins") from error
    return True
