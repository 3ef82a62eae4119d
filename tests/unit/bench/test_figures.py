"""The arithmetic of `poseline bench`: goals, pairs, and how figures are computed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.bench.baselines import Baseline
from pipeline.bench.context import Engine, find_engines
from pipeline.bench.end_to_end import Turn, limit_figure, overhead_figure, system_figures
from pipeline.bench.figures import Goal, goal_of, in_rotation, level_figure, ratio_figure
from pipeline.bench.memory import memory_figures
from pipeline.bench.runner import PARTS
from pipeline.bench.scaling import busy_cores
from pipeline.bench.usage import Memory, memory_of, own_cpu_s, spent, tree_cpu_s
from pipeline.bench.workers import Analysis
from pipeline.cli.bench import PART_NAMES
from pipeline.errors import UsageError
from pipeline.inference.catalogue import BUNDLED_MODEL
from tests.benchmarks.people import Curve, people_figures

CPU = Engine("cpu", "fp32", "model")
OPENVINO = Engine("openvino", "fp32", "model")
REDUCED = Engine("openvino", "bf16", "model@bf16")
ALONE = {"decoding": 2.0, "conversion": 1.0, "network": 37.0}
KINDS = ("worker", "decoder", "client", "postgres", "store", "broker", "beat", "supervisor")


def turn(rate=40.0, **cpu_ms):
    """A hundred frames; CPU time in ms per frame."""
    kinds = dict.fromkeys(KINDS, 0.0) | {"worker": 37.0, "decoder": 3.0} | cpu_ms
    return Turn(Analysis(100, 100 / rate, {kind: ms / 10 for kind, ms in kinds.items()}), ALONE)


@pytest.mark.parametrize(
    ("kind", "at_the_limit", "text"),
    [("at least", True, "at least 2 s"), ("at most", True, "at most 2 s"), ("under", False, "under 2 s")],
)
def test_a_goal_is_met_up_to_its_limit(kind, at_the_limit, text):
    goal = Goal(kind, 2.0, "s")
    assert str(goal) == text
    assert goal.is_met(2.0) is at_the_limit
    assert goal.is_met(1.9999) is (kind != "at least")
    assert goal.is_met(2.0001) is (kind == "at least")


def test_a_ratio_is_taken_within_its_pair():
    pairs = [(10.0, 5.0), (30.0, 30.0), (40.0, 10.0)]
    figure = ratio_figure("system_openvino-bf16", "x", "frames/s", pairs, baseline_label="y")
    assert (figure.ours, figure.baseline, figure.outcome) == (30.0, 10.0, 2.0)
    assert figure.met is True
    assert figure.pairs == tuple(pairs)
    assert ratio_figure("system_cuda", "x", "", pairs, baseline_label="y").met is None


def test_a_level_is_the_median():
    figure = level_figure("first_pose", "x", "s", [1.0, 9.0, 2.5])
    assert (figure.outcome, figure.ours, figure.baseline, figure.met) == (2.5, 2.5, None, False)


def test_each_is_first_once():
    orders = [in_rotation(["a", "b", "c"], number) for number in range(3)]
    assert [order[0] for order in orders] == ["a", "b", "c"]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)


def test_the_whole_system_is_compared_with_the_loop_of_its_round():
    loops = [Baseline(100, 5.0, 8.0), Baseline(100, 4.0, 8.0)]  # 20 and 25 frames a second
    turns = {CPU: [turn(30), turn(30)], OPENVINO: [turn(40), turn(40)], REDUCED: [turn(60), turn(60)]}
    figures = {figure.name: figure for figure in system_figures(loops, turns)}
    assert list(figures) == ["system_cpu", "system_openvino", "system_openvino-bf16", "system_best"]
    assert figures["system_cpu"].outcome == pytest.approx((30 / 20 + 30 / 25) / 2)
    assert figures["system_cpu"].goal == "at least 1.2"
    assert figures["system_openvino"].goal is None
    assert figures["system_best"].outcome == pytest.approx(1.8)
    assert "OpenVINO, fp32" in figures["system_best"].label
    assert (figures["system_best"].goal, figures["system_best"].met) == ("at least 1.5", True)
    assert (figures["system_openvino-bf16"].goal, figures["system_openvino-bf16"].met) == ("at least 2", True)
    # A single engine is the best one, too.
    alone = system_figures(loops, {CPU: turns[CPU]})
    assert [(figure.name, figure.met) for figure in alone] == [("system_cpu", True), ("system_best", False)]


def test_the_limit_is_what_the_cores_could_do():
    assert turn().limit(2) == pytest.approx(50.0)  # 40 ms a frame, two cores
    figure = limit_figure(CPU, [turn(44), turn(46), turn(45)], 2)
    assert figure.outcome == pytest.approx(0.9)
    assert figure.details["alone_cpu_ms"] == ALONE


def test_overhead_is_all_besides_decoding_conversion_and_network():
    one = turn(worker=37.5, decoder=3.25, client=0.25, postgres=0.5, store=0.25, beat=0.25)
    assert one.overhead_ms == pytest.approx(2.0)
    assert one.excess_ms["worker"] == pytest.approx(0.5)
    assert one.excess_ms["decoder"] == pytest.approx(0.25)
    figure = overhead_figure(CPU, [one])
    assert figure.outcome == pytest.approx(2.0)
    assert figure.details["servers_cpu_ms"] == pytest.approx(1.0)
    assert figure.details["without_servers_cpu_ms"] == pytest.approx(1.0)
    assert figure.note.startswith("1.00 without the servers, 1.00 in them: worker 0.50, decoder 0.25")
    assert overhead_figure(CPU, [turn(postgres=2.1)]).met is False
    assert busy_cores(one.analysis) == pytest.approx(42.0 / 1e3 * 40)


def test_memory_of_a_slot_is_what_further_slots_add():
    peaks = {2: Memory(300_000_000, 400_000_000, True), 4: Memory(350_000_000, 580_000_000, True)}
    worker, slot = memory_figures(CPU, peaks)
    assert (worker.name, worker.outcome, worker.met) == ("memory_cpu", 400.0, True)
    assert (slot.name, slot.outcome, slot.met) == ("slot_cpu", 90.0, False)
    assert worker.note == "PSS, decoders included; 300 MB without them"


def test_people_are_compared_most_with_fewest():
    single = Curve("one", [{1: 60.0, 30: 61.0}, {1: 62.0, 30: 64.0}], {1: 1, 30: 30})
    double = Curve("stand-in", [{1: 80.0, 30: 500.0}], {1: 1, 30: 30})
    one, two = people_figures(single, double, (1, 30), is_stand_in=True)
    assert one.outcome == pytest.approx((61 / 60 + 64 / 62) / 2)
    assert one.met is True
    assert (one.details["ms"], one.details["found"], one.details["is_stand_in"]) == ([61.0, 62.5], [1, 30], False)
    assert (two.outcome, two.goal, two.details["is_stand_in"]) == (6.25, None, True)
    assert "stand-in" in two.label


def test_cpu_time_of_a_tree_includes_ended_processes():
    burn = "import time; t = time.process_time\nwhile t() < 0.2: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print('up', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        whole, own = tree_cpu_s(process.pid), own_cpu_s(process.pid)
        memory = memory_of(process.pid)
        process.communicate(b"\n")
    assert whole - own >= 0.15
    assert 0 < memory.process_bytes <= memory.tree_bytes < 100e6
    assert tree_cpu_s(process.pid) == own_cpu_s(process.pid) == 0
    assert spent({"a": 1.0}, {"a": 1.5, "b": 2.0}) == {"a": 0.5, "b": 2.0}


def test_an_unavailable_engine_has_a_reason(monkeypatch, tmp_path):
    monkeypatch.setattr("pipeline.bench.context.CANDIDATES", (("cpu", "fp32"), ("cpu", "bf16")))
    here, missing = find_engines(BUNDLED_MODEL, tmp_path)
    assert [engine.name for engine in here] == ["cpu"]
    assert [each.name for each in missing] == ["cpu-bf16"]
    assert missing[0].reason.startswith("cpu cannot work in bf16")
    with pytest.raises(UsageError, match="name the model without it"):
        find_engines(f"{BUNDLED_MODEL}@bf16", tmp_path)


def test_the_command_offers_every_part():
    assert tuple(PARTS) == PART_NAMES


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("system_cpu", "at least 1.2"),
        ("system_cuda", "None"),
        ("system_best", "at least 1.5"),
        ("system_openvino-bf16", "at least 2"),
        ("limit_openvino-bf16", "at least 0.9"),
        ("overhead_cpu", "at most 2 ms"),
        ("people", "at most 1.05"),
        ("people_two_stage", "None"),
        ("first_pose", "at most 2 s"),
        ("slot_cpu", "under 80 MB"),
        ("decode_720p", "at least 0.9"),
        ("child_720p", "None"),
    ],
)
def test_a_goal_belongs_to_a_figure_s_name(name, goal):
    assert str(goal_of(name)) == goal
