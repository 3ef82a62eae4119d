"""The names of a run's result files. One run's files never replace another's.

`NAME.metadata.json` says which run the files called NAME are of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pipeline.errors import UsageError
from pipeline.services.pose_writers import FORMATS, Format

METADATA = ".metadata.json"


@dataclass(frozen=True)
class ResultNames:
    """The paths of one run's files in a folder, made or not."""

    folder: Path
    name: str

    @classmethod
    def of_poses(cls, path: Path) -> ResultNames:
        """The names that belong to a file of poses."""
        return cls(path.parent, path.stem)

    def poses(self, form: Format) -> Path:
        return self._path(f".{form}")

    def empty_frames(self, form: Format) -> Path:
        return self._path(f".empty_frames.{form}")

    @property
    def metadata(self) -> Path:
        return self._path(METADATA)

    @property
    def video(self) -> Path:
        """The annotated video."""
        return self._path(".preview.mp4")

    @property
    def sheet(self) -> Path:
        """The contact sheet."""
        return self._path(".preview.png")

    @property
    def run_id(self) -> str | None:
        """The run that these files are of, None where none is known."""
        try:
            found = json.loads(self.metadata.read_text())
            return str(found["run_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def existing(self) -> list[Path]:
        """Those of the files that exist."""
        tables = [path(form) for form in FORMATS for path in (self.poses, self.empty_frames)]
        return [path for path in (*tables, self.metadata, self.video, self.sheet) if path.exists()]

    def _path(self, ending: str) -> Path:
        return self.folder / f"{self.name}{ending}"


@contextmanager
def claimed_names(folder: Path, name: str, run_id: UUID) -> Iterator[ResultNames]:
    """Yield names in `folder` that no other run and no other program's files have: NAME, else NAME-RUN.

    The name is claimed by making its metadata file, so that two calls at the same time cannot take the same. If the
    block fails, a claim made by it is removed.

    Raises:
        OSError: the folder cannot be written to.
        UsageError: every name is taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for candidate in (name, f"{name}-{str(run_id)[:8]}", f"{name}-{run_id}"):
        names = ResultNames(folder, candidate)
        if names.run_id == str(run_id):
            yield names
            return
        if names.existing():
            continue
        try:
            with names.metadata.open("x") as file:
                json.dump({"run_id": str(run_id)}, file)
        except FileExistsError:
            continue
        try:
            yield names
        except BaseException:
            names.metadata.unlink(missing_ok=True)
            raise
        return
    raise UsageError(f"{folder} has other files called {name}; choose another folder with --out")


def require_own(names: ResultNames, run_id: UUID, paths: Sequence[Path]) -> None:
    """Check that what is about to be written replaces only files of the same run, or empty ones.

    Args:
        names: the names that were chosen.
        paths: the files to write.

    Raises:
        UsageError: a file belongs to another run, or is not one of Poseline's results.
    """
    for path in paths:
        if not path.exists() or (path.is_file() and not path.stat().st_size):
            continue
        # `x.empty_frames.csv` may also be the poses of a run whose files are called `x.empty_frames`.
        owners = {names.run_id, ResultNames.of_poses(path).run_id or names.run_id}
        if owners != {str(run_id)}:
            other = next((owner for owner in owners if owner not in {None, str(run_id)}), None)
            of = f"belongs to run {other[:8]}" if other else "is not of this run"
            raise UsageError(f"{path} exists and {of}; choose another name with --out, or remove the file")
