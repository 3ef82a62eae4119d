"""That a kept report is believed only where it is what measuring wrote: changed by a hand, it is refused."""

from __future__ import annotations

import json

import pytest

from pipeline.bench.crew import Analysis
from pipeline.bench.derived import note_of
from pipeline.bench.engines import Engine
from pipeline.bench.figures import level_figure, ratio_figure
from pipeline.bench.goals import goal_of, rule_of
from pipeline.bench.machine import machine_facts
from pipeline.bench.memory import memory_figures
from pipeline.bench.people import Curve, people_figures
from pipeline.bench.reading import read_report
from pipeline.bench.report import Report
from pipeline.bench.rtmlib_loop import Loop
from pipeline.bench.usage import Memory
from pipeline.bench.whole import Turn, limit_figure, overhead_figure, system_figures
from pipeline.cli.main import main
from tests.support.paths import ROOT

BENCH_JSON = ROOT / "docs" / "bench.json"
ENGINES = (
    Engine("cpu", "fp32", "model", "onnxruntime 1"),
    Engine("openvino", "fp32", "model", "openvino 1"),
    Engine("openvino", "bf16", "model@bf16", "openvino 1"),
)
KINDS = ("worker", "decoder", "client", "postgres", "store", "broker", "beat", "supervisor")
ALONE = {"decoding": 2.0, "conversion": 1.0, "network": 37.0}


def turn(rate):
    return Turn(Analysis(100, 100 / rate, dict.fromkeys(KINDS, 4.1)), ALONE)


def make_report():
    """With every figure that there is, made by those who make it."""
    turns = {engine: [turn(30.1 + at), turn(40.7 + at)] for at, engine in enumerate(ENGINES)}
    figures = system_figures([Loop(100, 5.0, 8.0), Loop(100, 4.3, 8.0)], turns)
    figures += [limit_figure(engine, taken, 2) for engine, taken in turns.items()]
    figures += [overhead_figure(engine, taken) for engine, taken in turns.items()]
    busy = {"busy_cores_two": 1.97, "busy_cores_one": 1.1, "cores": 2}
    pairs = [(27.8, 15.1), (27.7, 14.9)]
    figures.append(
        ratio_figure(
            "scaling", "s", "frames/s", pairs, goal_of("scaling"), plain="one", details=with_note("scaling", busy)
        )
    )
    rows = {"as_one_chunk": [(62e3, 240e3)], "people_a_frame": 2}
    pairs = [(18e3, 81e3), (19e3, 67e3)]
    figures.append(
        ratio_figure(
            "postgres", "p", "frames/s", pairs, goal_of("postgres"), plain="", details=with_note("postgres", rows)
        )
    )
    curve = Curve("one", [{1: 60.0, 30: 61.0}, {1: 62.0, 30: 64.0}], {1: 1, 30: 30})
    figures += people_figures(curve, curve, (1, 30), is_standin=False)
    figures.append(level_figure("first", "f", "s", [1.5, 1.7, 1.6], goal_of("first")))
    peaks = {2: Memory(300_000_000, 400_000_000, True), 4: Memory(350_000_000, 580_000_000, True)}
    for engine in ENGINES:
        figures += memory_figures(engine, peaks)
    clip = {"name": "demo.mp4", "width": 1280, "height": 720, "codec": "h264", "frames": 1840, "seconds": 61.3}
    return Report(machine_facts(), clip, "movenet", 2, tuple(figures))


def with_note(name, details):
    return {"note": note_of(name, details), **details}


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "bench.json"
    make_report().write(path)
    return path


def refused(path, facts, capsys):
    """The one line with which `bench report` refuses these facts."""
    path.write_text(facts if isinstance(facts, str) else json.dumps(facts))
    assert main(["bench", "report", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"poseline: {path} ")
    return err.removeprefix(f"poseline: {path} ").rstrip("\n")


def figure_of(facts, name):
    return next(figure for figure in facts["figures"] if figure["name"] == name)


def test_every_figure_that_measuring_makes_is_read(kept):
    assert json.dumps(read_report(kept).facts()) == json.dumps(make_report().facts())


@pytest.mark.skipif(not BENCH_JSON.exists(), reason="nothing was measured yet: docs/bench.json is not there")
@pytest.mark.parametrize("fact", ["ours", "against", "outcome", "goal", "met", "note"])
def test_each_fact_of_each_figure_that_was_changed_is_refused(tmp_path, capsys, fact):
    text = BENCH_JSON.read_text()
    changed = 0
    for at, figure in enumerate(json.loads(text)["figures"]):
        facts = json.loads(text)
        holder = facts["figures"][at]["details"] if fact == "note" else facts["figures"][at]
        value = holder.get(fact)
        if value is None:
            continue
        holder[fact] = not value if fact == "met" else f"{value}1" if isinstance(value, str) else value * 1.000001
        words = refused(tmp_path / "bench.json", facts, capsys)
        lead = "is of another version, or was changed by hand: " if fact == "goal" else "was changed by hand: "
        assert words.startswith(f"{lead}{figure['name']}'s {fact} says {json.dumps(holder[fact])}, ")
        assert words.endswith(f" {json.dumps(value)}; run `poseline bench` again")
        changed += 1
    assert changed >= 10


def set_pairs(name, pairs):
    def change(facts):
        figure_of(facts, name)["pairs"] = pairs

    return change


def set_details(name, **details):
    def change(facts):
        figure_of(facts, name)["details"].update(details)

    return change


def both(facts):
    """Pairs and what follows from them, so that the figure agrees with itself."""
    figure = figure_of(facts, "system_best")
    figure.update(pairs=[[50.0, 20.0]] * 2, ours=50.0, against=20.0, outcome=2.5, met=True)


def one_slot_less(facts):
    figure = figure_of(facts, "slot_cpu")
    figure.update(pairs=[[70.0, None]], ours=70.0, outcome=70.0, met=True)


def less_memory(facts):
    figure = figure_of(facts, "memory_cpu")
    figure.update(pairs=[[100.0, None]], ours=100.0, outcome=100.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_pairs("limit_cpu", [[30.1, 50.0], [41.7, 50.0]]), "limit_cpu's ours says 35.4"),
        (set_pairs("limit_cpu", [[35.4, 50.0]]), "limit_cpu's pairs says 1, the report's number of them is 2"),
        (set_pairs("limit_cpu", [[35.4, None]] * 2), "limit_cpu has pairs that are not of a ratio"),
        (set_pairs("limit_cpu", [[35.4, 0]] * 2), "limit_cpu has pairs that are not of a ratio"),
        (set_pairs("first", [[1.6, 1.0]]), "first has pairs that are not of a level"),
        (both, "system_best's pairs says [[50.0, 20.0], "),
        (one_slot_less, "slot_cpu's ours says 70.0, memory_cpu gives 90.0"),
        (less_memory, "memory_cpu's ours says 100.0, what was seen gives 400.0"),
        (set_details("people", ms=[61.0, 61.0]), "people's curve at 30 says 61.0, its pairs give 62.5"),
        (set_details("people", ms=[61.0, "x"]), "people lacks what it follows from"),
        (set_details("people_two_stage", title=None), "people_two_stage lacks what it follows from"),
        (set_details("overhead_cpu", servers_cpu_ms=0.1), "overhead_cpu's note says"),
        (set_details("overhead_cpu", excess_cpu_ms=3), "overhead_cpu lacks what it follows from"),
        (set_details("memory_cpu", tree_mb={}), "memory_cpu lacks what it follows from"),
        (lambda facts: figure_of(facts, "first").update(name="second"), 'there is no figure "second"'),
        (lambda facts: facts["figures"].append(facts["figures"][0]), "a figure stands in it twice"),
        (lambda facts: facts["figures"].remove(figure_of(facts, "memory_cpu")), "slot_cpu lacks what it follows from"),
        (lambda facts: facts.update(pairs=9), "system_cpu's pairs says 2, the report's number of them is 9"),
    ],
)
def test_what_does_not_agree_is_refused(kept, capsys, change, words):
    facts = json.loads(kept.read_text())
    change(facts)
    said = refused(kept, facts, capsys)
    assert said.startswith(f"was changed by hand: {words}")
    assert said.endswith("; run `poseline bench` again")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda facts: facts["figures"][0].update(ours="x"), "figures.0.ours: Input should be a valid number"),
        (lambda facts: facts["figures"][0].update(ours=True), "figures.0.ours: "),
        (
            lambda facts: facts["figures"][0].update(ours=float("nan")),
            "figures.0.ours: Input should be a finite number",
        ),
        (lambda facts: facts["figures"][0].update(ours=10**400), "figures.0.ours: "),
        (lambda facts: facts["figures"][0].update(met="yes"), "figures.0.met: "),
        (lambda facts: facts["figures"][0].update(pairs=[]), "figures.0.pairs: "),
        (lambda facts: facts["figures"][0].update(pairs=[[1.0]]), "figures.0.pairs.0.1: Field required"),
        (lambda facts: facts["figures"][0].update(pairs=[None]), "figures.0.pairs.0: "),
        (lambda facts: facts["figures"][0].update(more=1), "figures.0.more: "),
        (lambda facts: facts["figures"][0].pop("goal"), "figures.0.goal: Field required"),
        (lambda facts: facts.update(machine={}), "machine.cpu: Field required"),
        (lambda facts: facts["machine"].update(load_average_before=[]), "machine.load_average_before: "),
        (lambda facts: facts.update(clip=[]), "clip: "),
        (lambda facts: facts["clip"].update(seconds="61"), "clip.seconds: "),
        (lambda facts: facts.update(figures={}), "figures: "),
        (lambda facts: facts.update(missing=[{"name": "cuda"}]), "missing.0.reason: Field required"),
        (lambda facts: facts.update(plot=1), "plot: "),
        (lambda facts: facts.pop("model"), "model: Field required"),
    ],
)
def test_facts_of_another_type_are_refused(kept, capsys, change, where):
    facts = json.loads(kept.read_text())
    change(facts)
    said = refused(kept, facts, capsys)
    assert said.startswith(f"is not what `poseline bench --out` wrote ({where}")
    assert said.endswith("); measure again")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "\0", '{"schema": 1, "schema": "x"}', '{"schema": 1, "model": "\\ud800"}']
)
def test_what_is_no_report_at_all_is_refused(kept, capsys, text):
    assert refused(kept, text, capsys)


def test_a_folder_is_no_report(tmp_path, capsys):
    assert main(["bench", "report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"poseline: {tmp_path} cannot be read: Is a directory\n"


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("system_cpu", "at least 1.2"),
        ("system_cuda", "None"),
        ("system_best", "at least 1.5"),
        ("system_cpu-bf16", "at least 2"),
        ("limit_openvino-bf16", "at least 0.9"),
        ("overhead_cpu", "at most 2 ms"),
        ("people_two_stage", "None"),
        ("slot_cpu", "under 80 MB"),
    ],
)
def test_a_goal_is_known_by_the_figure_s_name(name, goal):
    assert str(goal_of(name)) == goal


@pytest.mark.parametrize("name", ["", "system", "system_", "limit_CPU", "people_three_stage", "first_cpu", "other_cpu"])
def test_another_name_is_no_figure(name):
    assert rule_of(name) is None
