"""COCO's AP on sets whose AP is known: what is found, missed, doubled, shifted, ranked, ignored and refused."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.cli.main import main
from pipeline.core.coco import parse_annotations
from pipeline.core.oks import COCO_SIGMAS, oks
from pipeline.core.progress import Silent
from pipeline.errors import InvalidOutput, UsageError
from pipeline.inference.catalogue import find_entry
from pipeline.inference.weights.checksums import sha256_of, write_checksums
from pipeline.inference.zoo import find_model
from pipeline.services.evaluate import CocoFigures, evaluate_coco, read_annotations, write_results
from tests.support.coco_maker import NAMES, SIDE_PX, Seen, content, person, pose, unmarked, write_set
from tests.support.onnx_maker import make_model

RIGHT = (0.9, pose(), 0.9)
FAR = pose(left=500)
People = Sequence[Mapping[str, Any]]
Found = Mapping[int, Sequence[tuple[float, np.ndarray, float]]]


def figures(folder: Path, images: int, people: People, found: Found) -> CocoFigures:
    path, pictures = write_set(folder, images, people)
    annotations = read_annotations(path, pictures, NAMES)
    return evaluate_coco(annotations, pictures, Seen(found), NAMES)[0].figures


def shifted_to(wanted_oks: float) -> np.ndarray:
    """The pose, moved right until it is this similar to itself, by halving."""
    near, far = 0.0, 100.0
    for _ in range(60):
        middle = (near + far) / 2
        similar = oks(pose(10 + middle), pose(), [True] * 17, 10_000, COCO_SIGMAS)
        near, far = (middle, far) if similar > wanted_oks else (near, middle)
    return pose(10 + near)


def test_who_finds_everybody_has_an_ap_of_1(tmp_path: Path) -> None:
    small = pose(100, 100, 50)
    people = [person(1), person(2), person(2, small, area=2500)]
    found = {1: [RIGHT], 2: [RIGHT, (0.8, small, 0.9)]}
    assert figures(tmp_path, 2, people, found) == CocoFigures(*[pytest.approx(1.0)] * 6)


def test_an_annotation_of_id_0_counts_too(tmp_path: Path) -> None:
    path, _ = write_set(tmp_path, 1, [person(1)])
    with contextlib.redirect_stdout(io.StringIO()):
        raw = COCO(str(path))
        results = [{"image_id": 1, "category_id": 1, "keypoints": raw.anns[0]["keypoints"], "score": 0.9}]
        evaluation = COCOeval(raw, raw.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == 0  # as pycocotools has it
    assert figures(tmp_path / "ours", 1, [person(1)], {1: [RIGHT]}).ap == pytest.approx(1)


def test_who_misses_half_has_half(tmp_path: Path) -> None:
    got = figures(tmp_path, 4, [person(i) for i in (1, 2, 3, 4)], {1: [RIGHT], 3: [RIGHT]})
    # Precision is 1 up to a recall of one half: 51 of COCO's 101 steps.
    assert got == CocoFigures(*[pytest.approx(51 / 101)] * 3, None, pytest.approx(51 / 101), pytest.approx(0.5))


@pytest.mark.parametrize(
    ("similar", "steps", "ap75"), [(0.48, 0, 0), (0.52, 1, 0), (0.73, 5, 0), (0.77, 6, 1), (0.96, 10, 1)]
)
def test_a_shift_costs_the_thresholds_that_it_falls_below(
    tmp_path: Path, similar: float, steps: int, ap75: float
) -> None:
    got = figures(tmp_path, 1, [person(1)], {1: [(0.9, shifted_to(similar), 0.9)]})
    assert (got.ap, got.ar) == (pytest.approx(steps / 10), pytest.approx(steps / 10))
    assert (got.ap50, got.ap75) == (pytest.approx(float(steps > 0)), pytest.approx(ap75))


def test_people_are_ranked_by_the_score_of_their_box(tmp_path: Path) -> None:
    people = [person(1)]
    good = figures(tmp_path / "good", 1, people, {1: [(0.9, pose(), 0.1), (0.3, FAR, 0.99)]})
    assert good.ap == pytest.approx(1)  # ranked by keypoints it would be 0.5
    bad = figures(tmp_path / "bad", 1, people, {1: [(0.9, FAR, 0.1), (0.3, pose(), 0.99)]})
    assert bad.ap == pytest.approx(0.5)  # ranked by keypoints it would be 1


def test_people_who_are_not_there_cost_precision_also_where_nobody_is(tmp_path: Path) -> None:
    first = figures(tmp_path / "first", 2, [person(1)], {1: [RIGHT], 2: [(0.95, FAR, 0.9), (0.94, pose(), 0.9)]})
    assert first.ap == pytest.approx(1 / 3)
    last = figures(tmp_path / "last", 2, [person(1)], {1: [RIGHT], 2: [(0.5, FAR, 0.9)]})
    assert last.ap == pytest.approx(1)
    doubled = figures(tmp_path / "twice", 2, [person(1), person(2)], {1: [(0.9, pose(), 1), (0.8, pose(), 1)]})
    assert (doubled.ap, doubled.ar) == (pytest.approx(51 / 101), pytest.approx(0.5))


def test_a_person_too_many_costs_only_among_people_of_that_size(tmp_path: Path) -> None:
    medium = (0.95, pose(500, 500, 50), 0.9)
    got = figures(tmp_path, 2, [person(1), person(1, pose(100, 100, 50), area=2500)], {1: [RIGHT], 2: [medium]})
    assert (got.ap_large, got.ap_medium) == (pytest.approx(1), 0)
    assert got.ap == pytest.approx(0.5 * 51 / 101)


def test_nobody_found_is_zero_and_every_picture_is_looked_at_once(tmp_path: Path) -> None:
    path, pictures = write_set(tmp_path, 3, [person(2)])
    seen, done = Seen({}), []

    class Counted(Silent):
        def advance(self, count: int = 1, /) -> None:
            done.append(count)

    outcome, results = evaluate_coco(read_annotations(path, pictures, NAMES), pictures, seen, NAMES, Counted())
    assert outcome.figures == CocoFigures(0, 0, 0, None, 0, 0)
    assert (outcome.images, outcome.people, outcome.people_found, results) == (3, 1, 0, [])
    assert seen.numbers == [1, 2, 3]
    assert done == [1, 1, 1]


def test_a_crowd_takes_any_number_and_a_person_without_keypoints_one(tmp_path: Path) -> None:
    inside = [(0.99, pose(5), 0.9), (0.98, pose(15), 0.9)]
    found = {1: [RIGHT], 2: inside}
    for name, ignored, want in (
        ("crowd", [unmarked(2, iscrowd=1)], 1),
        ("unmarked", [unmarked(2)], 1 / 2),
        ("nobody", [], 1 / 3),
    ):
        assert figures(tmp_path / name, 2, [person(1), *ignored], found).ap == pytest.approx(want), name
    told = figures(tmp_path / "told", 2, [person(1), person(2, num_keypoints=0)], {1: [RIGHT], 2: [RIGHT]})
    assert told == CocoFigures(*[pytest.approx(1)] * 3, None, *[pytest.approx(1)] * 2)
    bare = {key: value for key, value in unmarked(2, iscrowd=1).items() if key != "keypoints"}
    assert figures(tmp_path / "bare", 2, [person(1), bare], found).ap == pytest.approx(1)
    path, pictures = write_set(
        tmp_path / "count", 2, [person(1), unmarked(2), person(2, num_keypoints=0), unmarked(2, iscrowd=1)]
    )
    assert read_annotations(path, pictures, NAMES).people_who_count == 1


def test_of_a_picture_the_best_20_people_count(tmp_path: Path) -> None:
    wrong = [(0.99 - i / 1000, pose(500 + 300 * i), 0.9) for i in range(20)]
    last = (0.5, pose(), 0.9)
    assert figures(tmp_path / "21st", 1, [person(1)], {1: [*wrong, last]}).ap == 0
    assert figures(tmp_path / "20th", 1, [person(1)], {1: [*wrong[:19], last]}).ap == pytest.approx(1 / 20)


def test_other_sets_of_keypoints_are_measured_by_their_own_sigmas(tmp_path: Path) -> None:
    names = [*NAMES, *(f"more_{i}" for i in range(9))]
    xy = np.vstack([pose(), pose()[:9]])
    category = {"id": 1, "name": "person", "keypoints": names}
    path, pictures = write_set(tmp_path, 1, [person(1, xy)], categories=[category])
    outcome, _ = evaluate_coco(read_annotations(path, pictures, names), pictures, Seen({1: [(0.9, xy, 0.9)]}), names)
    assert outcome.figures.ap == pytest.approx(1)


def test_the_results_file_gives_the_same_figures_to_anybody(tmp_path: Path) -> None:
    people = [person(1), person(2), person(3, pose(100, 100, 50), area=2500)]
    path, pictures = write_set(tmp_path, 3, people)
    numbered = json.loads(path.read_text())
    for annotation in numbered["annotations"]:
        annotation["id"] += 1
    path.write_text(json.dumps(numbered))
    found = {
        1: [(0.7, shifted_to(0.77), 0.5)],
        2: [(0.8, FAR, 0.9), (0.6, pose(), 0.2)],
        3: [(0.4, pose(99, 101, 50), 1)],
    }
    outcome, results = evaluate_coco(read_annotations(path, pictures, NAMES), pictures, Seen(found), NAMES)
    out = tmp_path / "results.json"
    write_results(results, out)
    assert [p.name for p in tmp_path.glob(".*")] == []
    assert set(json.loads(out.read_text())[0]) == {"image_id", "category_id", "keypoints", "score"}
    with contextlib.redirect_stdout(io.StringIO()):
        raw = COCO(str(path))
        evaluation = COCOeval(raw, raw.loadRes(str(out)), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    got = outcome.figures
    assert [got.ap, got.ap50, got.ap75, got.ap_medium, got.ap_large, got.ar] == pytest.approx(evaluation.stats[:6])
    assert 0 < got.ap < got.ap50


def test_a_similarity_that_is_no_number_is_no_match(tmp_path: Path) -> None:
    broken = pose()
    broken[3, 0] = math.nan
    with pytest.raises(InvalidOutput, match=r"1\.png: the model gave keypoints that are not numbers"):
        figures(tmp_path, 1, [person(1)], {1: [(0.9, broken, 0.9)]})


def _turned(jpeg: bytes) -> bytes:
    """The same JPEG with a note that it is to be shown turned by a quarter (EXIF orientation 6)."""
    tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def test_the_orientation_that_a_camera_noted_is_ignored(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "wide.jpg", "width": 60, "height": 20}]
    path, pictures = write_set(tmp_path, 1, [person(1)], images=images)
    jpeg = cv2.imencode(".jpg", np.zeros((20, 60, 3), np.uint8))[1].tobytes()
    (pictures / "wide.jpg").write_bytes(_turned(jpeg))
    assert cv2.imread(str(pictures / "wide.jpg")).shape == (60, 20, 3)  # so the note is understood
    seen = Seen({})
    evaluate_coco(read_annotations(path, pictures, NAMES), pictures, seen, NAMES)
    assert seen.shapes == [(20, 60, 3)]


def _grey(pictures: Path) -> None:
    cv2.imwrite(str(pictures / "1.png"), np.full((SIDE_PX, SIDE_PX), 1, np.uint8))


def test_a_grey_picture_has_three_channels(tmp_path: Path) -> None:
    path, pictures = write_set(tmp_path, 1, [person(1)])
    _grey(pictures)
    seen = Seen({})
    evaluate_coco(read_annotations(path, pictures, NAMES), pictures, seen, NAMES)
    assert seen.shapes == [(SIDE_PX, SIDE_PX, 3)]


@pytest.mark.parametrize("data", [b"", b"no picture", None, "smaller"], ids=["empty", "text", "cut", "another size"])
def test_a_picture_that_cannot_be_used_is_named(tmp_path: Path, data: bytes | str | None) -> None:
    path, pictures = write_set(tmp_path, 2, [person(1)])
    file = pictures / "2.png"
    if data == "smaller":
        cv2.imwrite(str(file), np.zeros((SIDE_PX, SIDE_PX - 1, 3), np.uint8))
    else:
        file.write_bytes(file.read_bytes()[:20] if data is None else data)
    with pytest.raises(UsageError, match=r"^2\.png (is not an image|has \(199, 200\) pixels)"):
        evaluate_coco(read_annotations(path, pictures, NAMES), pictures, Seen({}), NAMES)


def test_pictures_that_are_missing_are_counted_before_anything_runs(tmp_path: Path) -> None:
    path, pictures = write_set(tmp_path, 4, [person(1), person(4)])
    for number in (3, 4):
        (pictures / f"{number}.png").unlink()
    with pytest.raises(UsageError, match=rf"^2 of 4 images are not in .*{pictures.name}, the first is 3\.png$"):
        read_annotations(path, pictures, NAMES)
    first = read_annotations(path, pictures, NAMES, limit=2)
    assert [image.id for image in first.images] == [1, 2]
    assert [one.image_id for one in first.people] == [1]
    with pytest.raises(UsageError, match="cannot be read"):
        read_annotations(tmp_path / "none.json", pictures, NAMES)


def test_a_limit_measures_only_the_first_pictures(tmp_path: Path) -> None:
    path, pictures = write_set(tmp_path, 2, [person(1), person(2)])
    whole, first = read_annotations(path, pictures, NAMES), read_annotations(path, pictures, NAMES, limit=1)
    found = Seen({1: [RIGHT], 2: [(0.99, FAR, 0.9)]})
    assert evaluate_coco(first, pictures, found, NAMES)[0].figures.ap == pytest.approx(1)
    assert evaluate_coco(whole, pictures, found, NAMES)[0].figures.ap < 0.5
    path, pictures = write_set(tmp_path / "late", 2, [person(2)])
    with pytest.raises(UsageError, match="nobody in 1 images has annotated keypoints"):
        read_annotations(path, pictures, NAMES, limit=1)


def test_coco_val2017_is_known_by_its_size_and_name() -> None:
    def is_val2017(images: int, description: object) -> bool:
        data = content(images, [person(1)], info={"description": description})
        return parse_annotations(json.dumps(data).encode(), "a.json", NAMES).is_val2017

    assert is_val2017(5000, "COCO 2017 Dataset")
    assert not is_val2017(4999, "COCO 2017 Dataset")
    assert not is_val2017(5000, "My Dataset")
    data = json.dumps(content(5000, [person(1)], info={"description": "COCO 2017 Dataset"})).encode()
    assert not parse_annotations(data, "a.json", NAMES).first(10).is_val2017


def _with(key: str, value: object, **changes: object) -> dict[str, Any]:
    return content(1, [person(1)]) | {key: value} | changes


def _person(**changes: object) -> dict[str, Any]:
    return content(1, [person(1) | changes])


def _image(**changes: object) -> dict[str, Any]:
    return _with("images", [{"id": 1, "file_name": "1.png"} | changes])


def _category(*names: str, **changes: object) -> dict[str, Any]:
    return _with("categories", [{"id": 1, "name": "person", "keypoints": list(names)} | changes])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is no JSON"),
        (b"\xff\xfe\xfd", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        ([], "holds results, not annotations"),
        ("text", "is no COCO annotation file"),
        ({"images": [], "categories": []}, "needs lists of images, annotations and categories"),
        (_with("categories", [{"id": 1, "name": "person"}]), "boxes but no keypoints"),
        (_category(*NAMES[:14]), "14 keypoints a person and the model finds 17"),
        (_category("hip", *NAMES[1:]), "keypoint 1 is hip and the model's is nose"),
        (_with("categories", [{"id": i, "name": "x", "keypoints": NAMES} for i in (1, 2)]), "2 categories have"),
        (_category(*NAMES, id="one"), "one category has no id"),
        (_with("images", []), "has no images"),
        (_with("images", [{"id": 1, "file_name": "1.png"}] * 2), "image 1 is there twice"),
        (_with("images", ["1.png"]), "one image has no id"),
        (_image(id=True), "one image has no id"),
        (_image(width="x", height=3), "one image has no width"),
        (_image(file_name=None), "has no file name"),
        (_image(file_name=""), "has no file name"),
        (_image(file_name="a\0b"), "has no file name"),
        (_image(file_name="/etc/passwd"), "leads out of the folder"),
        (_image(file_name="../1.png"), "leads out of the folder"),
        (_image(file_name="a/../../1.png"), "leads out of the folder"),
        (_image(file_name="..\\1.png"), "leads out of the folder"),
        (_image(file_name="C:1.png"), "leads out of the folder"),
        (_image(file_name="\\\\server\\share\\1.png"), "leads out of the folder"),
        (_with("annotations", [7]), "one annotation has no category_id"),
        (_person(image_id=9), "of image 9, which is not in the file"),
        (_person(keypoints=[1] * 14 * 3), "42 numbers for 17 keypoints"),
        (_person(keypoints=None), "lacks its keypoints"),
        (_person(keypoints=[math.nan] * 51), "no numbers"),
        (_person(keypoints=[[1, 2, 3]] * 17), "no numbers"),
        (_person(bbox=[1, 2, 3]), "no box of four numbers"),
        (_person(bbox="abcd"), "no numbers"),
        (_person(area=None), "no numbers"),
        (_person(area=-1), "an area below zero"),
    ],
)
def test_what_is_no_annotation_file_is_refused_in_one_line(data: object, words: str) -> None:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    with pytest.raises(UsageError, match=words) as refused:
        parse_annotations(raw, "people.json", NAMES)
    assert refused.value.message.startswith("people.json")
    assert "\n" not in refused.value.message


def test_other_kinds_of_things_in_the_file_are_left_alone() -> None:
    data = content(1, [person(1), person(1, category_id=18, keypoints=[1, 2])])
    data["categories"].append({"id": 18, "name": "dog"})
    data["categories"][0]["keypoints"] = [name.upper().replace("_", " ") for name in NAMES]
    data["images"][0]["file_name"] = "val2017/1.png"
    annotations = parse_annotations(json.dumps(data).encode(), "people.json", NAMES)
    assert (len(annotations.people), annotations.category_id) == (1, 1)
    assert annotations.images[0].file_name == "val2017/1.png"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    (weights,) = find_entry("rtmo-t").weights
    file = weights.file_in(home / "models")
    file.parent.mkdir(parents=True)
    # The one below the model's own threshold counts here: published AP is measured from 0.1 up.
    seen = np.array([[10, 10, 110, 110, 0.6], [200, 200, 300, 300, 0.15], [10, 250, 60, 300, 0.05]], np.float32)
    write_checksums(file.parent, {weights.name: sha256_of(make_model(file, dets=seen))})
    sizes = [{"id": i, "file_name": f"{i}.png", "width": 416, "height": 416} for i in (1, 2)]
    people = [person(i, pose(at, at)) for i in (1, 2) for at in (10, 200)]
    path, pictures = write_set(tmp_path, 2, people, images=sizes)
    for number in (1, 2):
        cv2.imwrite(str(pictures / f"{number}.png"), np.zeros((416, 416, 3), np.uint8))
    out = tmp_path / "results.json"

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["--home", str(home), "eval", "coco", str(path), str(pictures), "--model", "rtmo-t", *args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    code, words, err = run("--json", "--device", "cpu", "--out", str(out))
    assert (code, err) == (0, "")
    facts = json.loads(words)
    assert facts["figures"]["ap"] == pytest.approx(1)
    assert (facts["images"], facts["people"], facts["people_found"]) == (2, 4, 4)
    assert facts["thresholds"] == {"score": 0.1, "nms_iou": 0.65}
    assert facts["published_for_val2017"]["ap"] == 0.574
    assert (facts["is_val2017"], facts["most_people_per_image"], len(facts["fingerprint"])) == (False, 20, 64)
    assert facts["fingerprint"] != find_model("rtmo-t", home / "models").spec.fingerprint, "other thresholds"
    assert len(json.loads(out.read_text())) == 4

    code, words, _ = run("--device", "cpu", "--limit", "1")
    assert code == 0
    rows = [line.split() for line in words.splitlines()]
    assert ["AP", "100.0", "57.4"] in rows
    assert ["AP", "medium", "-", "-"] in rows  # nothing to measure, nothing published
    assert "1 images, 2 people annotated, 2 found" in words
    assert "all 5,000 images of COCO val2017; this was the first 1 images" in words
    assert "Running per image" not in words

    for args, code, line in (
        (("--out", str(tmp_path / "no" / "x.json")), 2, "there is no folder"),
        (("--model", "rtmo-z"), 2, "there is no model"),
        (("--model", "rtmo-s"), 1, "models fetch rtmo-s"),
        (("--limit", "0"), 2, "--limit"),
    ):
        got, words, err = run(*args)
        assert (got, words) == (code, "")
        assert line in err
    (pictures / "2.png").unlink()
    got, _, err = run()
    assert (got, len(err.splitlines())) == (2, 1)
    assert "1 of 2 images are not in" in err
