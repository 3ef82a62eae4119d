"""`poseline bench` on its private stack, small: it measures the real path and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from pipeline.bench.context import Engine
from pipeline.bench.figures import BenchFailed, Size
from pipeline.bench.private_stack import FOLDER, PrivateStack
from pipeline.bench.runner import PARTS, run_benchmark
from pipeline.bench.workers import open_workers
from pipeline.cli.main import main
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.local.home import Home
from pipeline.local.servers import STACK_ID_VARIABLE
from tests.benchmarks.render import read_report
from tests.support.harness import cut, wait_until
from tests.support.paths import DEMO_CLIP

pytestmark = pytest.mark.soak

SMALL = Size(pairs=1, clip_s=1.0, baseline_frames=5, first_pose_rounds=1, rows=300)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return cut(DEMO_CLIP, tmp_path_factory.mktemp("clips") / "demo.mp4", 30)


def running(stack_id):
    """The commands of a stack's processes, by the mark in their environment or their folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(STACK_ID_VARIABLE) == stack_id:
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def command_of(process):
    """Nothing of one that ends just now."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def id_of(home):
    return Home.at(home / FOLDER).read_stack().stack_id


def test_small_figures_of_the_whole_path_and_nothing_stays(clip, tmp_path, monkeypatch, capsys):
    home = tmp_path / "made" / "home"
    monkeypatch.setattr("pipeline.bench.context.CANDIDATES", (("cpu", "fp32"), ("cpu", "bf16")))
    said, ids = [], []

    def on_step(text):
        said.append(text)
        if "round 1" in text:
            ids.append(id_of(home))
            assert running(ids[0])
            # A second one in this home is refused, and removes nothing.
            assert main(["--home", str(home), "bench", "--only", "first-pose"]) == 2
            assert f"another benchmark runs in {home}; wait for it" in capsys.readouterr().err

    report = run_benchmark(
        home,
        tmp_path / "models",
        clip=clip,
        model=BUNDLED_MODEL,
        parts={name: PARTS[name] for name in ("end-to-end", "postgres", "first-pose")},
        size=SMALL,
        on_step=on_step,
    )
    assert list(tmp_path.iterdir()) == []
    assert running(ids[0]) == []
    figures = {figure.name: figure for figure in report.figures}
    assert list(figures) == ["system_cpu", "system_best", "limit_cpu", "overhead_cpu", "postgres", "first_pose"]
    assert [(each.name, each.reason.partition(" in ")[0]) for each in report.unavailable] == [
        ("cpu-bf16", "cpu cannot work")
    ]
    assert report.clip["frames"] == 30
    assert (report.clip["width"], report.clip["height"]) == (1280, 720)
    report.write(tmp_path / "bench.json")
    assert json.dumps(read_report(tmp_path / "bench.json").to_dict()) == json.dumps(report.to_dict())
    system, limit, overhead = figures["system_cpu"], figures["limit_cpu"], figures["overhead_cpu"]
    assert system.ours == limit.ours == pytest.approx(30 / system.details["wall_s"][0])
    assert 0 < limit.outcome < 1.2
    # Everything took some CPU time, and nothing took more than it could.
    total_ms = overhead.details["total_cpu_ms"]
    assert set(total_ms) == {"worker", "decoder", "client", "postgres", "store", "broker", "beat", "supervisor"}
    assert min(total_ms["worker"], total_ms["decoder"], total_ms["client"], total_ms["postgres"]) > 0
    assert sum(total_ms.values()) / 1e3 < os.cpu_count() * 1.05 / system.ours
    alone_ms = overhead.details["alone_cpu_ms"]
    assert overhead.outcome == pytest.approx(sum(total_ms.values()) - sum(alone_ms.values()))
    assert 0 < alone_ms["conversion"] < alone_ms["network"]
    assert 0 < figures["first_pose"].ours < 60
    assert 0 < figures["postgres"].outcome < 2
    assert "part 1 of 3, end-to-end: round 1 of 1: rtmlib in a plain loop" in said


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "pipeline.cli.main", "--home", str(tmp_path), "bench", "--only", "first-pose"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        workers = wait_until(
            lambda: [child for child in psutil.Process(process.pid).children() if "worker" in command_of(child)],
            what="a worker",
        )
        decoders = wait_until(workers[0].children, what="its decoders")
        stack_id = id_of(tmp_path)
        assert len(running(stack_id)) > 1
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.splitlines()[-1] == "poseline: stopped"
    assert not workers[0].is_running()
    assert psutil.wait_procs(decoders, timeout=10)[1] == []
    assert running(stack_id) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="CoreML may be there")
def test_a_worker_that_ends_fails_the_measurement(servers, system, tmp_path):
    home = Home.at(servers)
    stack = PrivateStack(home, home.read_stack(), system, tmp_path, {})
    with (
        pytest.raises(BenchFailed, match="a worker ended: "),
        open_workers(stack, Engine("coreml", "fp32", BUNDLED_MODEL), DEMO_CLIP, slots=1),
    ):
        pytest.fail("it did start")


def test_a_folder_that_is_not_its_own_is_left_alone(tmp_path, capsys):
    theirs = tmp_path / FOLDER / "results.csv"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    assert main(["--home", str(tmp_path), "bench", "--only", "first-pose", "--pairs", "1"]) == 2
    assert "was not made by a benchmark" in capsys.readouterr().err
    assert theirs.read_text() == "mine"
