"""What is said of models to choose one: complete, of one measure where it is compared, and the same in the docs."""

from __future__ import annotations

import re
from itertools import groupby

import pytest

from pipeline.inference.catalogue import BUNDLED_MODEL, ENTRIES, Entry
from pipeline.inference.guide import GUIDES, Figure
from pipeline.services.evaluate import PUBLISHED
from tests.support.paths import ROOT

DOCS = (ROOT / "docs" / "models.md").read_text()


def kind(entry: Entry) -> tuple[int, int]:
    return len(entry.weights), len(entry.keypoints.names)


def test_every_model_has_a_guide_and_no_other():
    assert list(GUIDES) == list(ENTRIES)


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_is_one_line_that_fits_beside_the_numbers(name):
    said = GUIDES[name].for_whom
    assert 20 < len(said) < 80
    assert "\n" not in said
    assert [other for other, guide in GUIDES.items() if guide.for_whom == said] == [name]


def test_models_of_one_kind_are_measured_alike():
    for _, entries in groupby(sorted(ENTRIES.values(), key=kind), key=kind):
        figures = [GUIDES[entry.name].figures for entry in entries]
        assert len({(each[0].benchmark.measure, each[0].benchmark.data) for each in figures if each}) == 1


def test_every_figure_names_its_page():
    figures = [figure for guide in GUIDES.values() for figure in guide.figures]
    assert all(figure.benchmark.source.startswith("https://github.com/open-mmlab/mmpose/") for figure in figures)
    assert all(0 < figure.value < 100 for figure in figures)
    assert GUIDES[BUNDLED_MODEL].figures == (), "none was found"


def test_the_figures_are_those_that_eval_compares_with():
    with_eval = {name: GUIDES[name].published_ap for name in PUBLISHED}
    assert with_eval == {name: round(100 * (figures.ap or 0), 1) for name, figures in PUBLISHED.items()}


def test_only_ap_of_coco_is_called_ap():
    assert GUIDES["rtmpose-m"].published_ap == 74.9
    assert {GUIDES[name].published_ap for name in ("rtmw-l", "rtmpose-m-feet", "rtmpose-m-hand", BUNDLED_MODEL)} == {
        None
    }


def docs_row(entry: Entry) -> str:
    guide, pose = GUIDES[entry.name], entry.pose
    stages = f"{entry.detector.name}, then " if entry.detector else ""
    size = f"{pose.width_px} x {pose.height_px}"
    millions = f"{guide.pose_parameters / 1e6:.2f} M" if guide.pose_parameters else "-"
    accuracy = "; ".join(map(docs_figure, guide.figures)) or "-"
    cells = (f"`{entry.name}`", guide.for_whom, len(entry.keypoints.names), f"{stages}{size}", millions, accuracy)
    return f"| {' | '.join(map(str, cells))} |"


def docs_figure(figure: Figure) -> str:
    if figure.of:
        return f"{figure.of} {figure.value}"
    return f"[{figure.value} {figure.benchmark.measure}, {figure.benchmark.data}]({figure.benchmark.source})"


def test_the_docs_say_the_same_of_every_model():
    assert re.findall(r"^\| `(?:movenet|rtm)[^|]*`.*$", DOCS, re.M) == [docs_row(entry) for entry in ENTRIES.values()]


def test_the_docs_say_under_what_conditions_figures_were_measured():
    said = " ".join(DOCS.split())
    for benchmark in {figure.benchmark for guide in GUIDES.values() for figure in guide.figures}:
        assert benchmark.conditions in said
