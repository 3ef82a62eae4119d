"""The files of one run never replace those of another, nor anybody else's."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pipeline.errors import UsageError
from pipeline.services.result_names import ResultNames, claimed_names, require_own

A, B = UUID(int=1 << 120), UUID(int=2 << 120)


def write_results(folder: Path, name: str, run_id: UUID) -> ResultNames:
    with claimed_names(folder, name, run_id) as names:
        names.poses("jsonl").write_text(str(run_id))
        names.metadata.write_text(json.dumps({"run_id": str(run_id), "results": {}}))
    return names


def test_another_run_of_the_same_name_gets_a_suffix(tmp_path: Path) -> None:
    first, second = (write_results(tmp_path, "cam03", run_id) for run_id in (A, B))
    assert (first.name, second.name) == ("cam03", f"cam03-{str(B)[:8]}")
    assert first.poses("jsonl").read_text() == str(A)
    assert write_results(tmp_path, "cam03", B).name == second.name, "the same run keeps its name"
    assert write_results(tmp_path, "cam03", A).name == "cam03"


def test_runs_whose_ids_begin_alike_are_kept_apart(tmp_path: Path) -> None:
    near = UUID(int=B.int + 1)
    names = [write_results(tmp_path, "cam03", run_id).name for run_id in (A, B, near)]
    assert names[2] == f"cam03-{near}"
    assert len(set(names)) == 3


@pytest.mark.parametrize("name", ["cam03.csv", "cam03.preview.mp4", "cam03.empty_frames.parquet"])
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    assert write_results(tmp_path, "cam03", A).name != "cam03"
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"video": 1}'])
def test_damaged_metadata_belongs_to_nobody_here(tmp_path: Path, text: str) -> None:
    (tmp_path / "cam03.metadata.json").write_text(text)
    assert write_results(tmp_path, "cam03", A).name != "cam03"
    names = ResultNames(tmp_path, "cam03")
    with pytest.raises(UsageError, match="exists and is not of this run") if text else nullcontext():
        require_own(names, A, [names.metadata])


def test_what_fails_leaves_no_claim(tmp_path: Path) -> None:
    def fail() -> None:
        with claimed_names(tmp_path, "cam03", A):
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert list(tmp_path.iterdir()) == []
    write_results(tmp_path, "cam03", A)
    with pytest.raises(OSError, match="disk"):
        fail()
    assert (tmp_path / "cam03.jsonl").exists(), "an earlier result of the run stays"


def test_calls_at_the_same_time_take_different_names(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    runs = [uuid4() for _ in range(8)]
    taken: dict[UUID, str] = {}

    def take(run_id: UUID) -> None:
        barrier.wait()
        taken[run_id] = write_results(tmp_path, "cam03", run_id).name

    threads = [threading.Thread(target=take, args=(run_id,)) for run_id in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken.values())) == 8
    assert all((tmp_path / f"{taken[run_id]}.jsonl").read_text() == str(run_id) for run_id in runs)


def test_a_name_that_was_chosen_is_refused_if_it_is_another_run_s(tmp_path: Path) -> None:
    names, new = write_results(tmp_path, "final", A), ResultNames(tmp_path, "new")
    require_own(names, A, [names.poses("jsonl"), names.metadata])
    require_own(new, B, [new.poses("jsonl"), new.metadata])
    with pytest.raises(UsageError, match=f"belongs to run {str(A)[:8]}; choose another name"):
        require_own(names, B, [names.poses("csv"), names.metadata])
    names.metadata.unlink()
    with pytest.raises(UsageError, match="is not of this run"):
        require_own(names, B, [names.poses("jsonl")])


def test_a_second_file_does_not_replace_the_poses_of_a_run_with_such_a_name(tmp_path: Path) -> None:
    first = write_results(tmp_path, "x", A)
    other = write_results(tmp_path, "x.empty_frames", B)
    other.poses("csv").write_text(str(B))
    with pytest.raises(UsageError, match=f"belongs to run {str(B)[:8]}"):
        require_own(first, A, [first.poses("csv"), first.empty_frames("csv"), first.metadata])
