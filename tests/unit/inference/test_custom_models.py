"""A model of the user's own, and the names and fingerprints by which models are asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.core.keypoints import COCO_17, HALPE_26
from pipeline.errors import DeviceUnavailable, InvalidWeights, UnknownModel, UsageError
from pipeline.inference.catalogue import ALIASES, BUNDLED_MODEL, find_entry
from pipeline.inference.custom_models import describe
from pipeline.inference.engines.placement import Placement
from pipeline.inference.weights.checksums import sha256_of
from pipeline.inference.zoo import find_model, load_model, split_precision
from tests.support.contract_maker import assert_found, detect, one_stage_scene, people_at, put_twins
from tests.support.onnx_maker import make_model
from tests.support.twin_rtmo import make_rtmo_twin
from tests.support.twin_simcc import make_simcc_twin
from tests.support.twin_yolox import make_yolox_twin


def mine(folder: Path, keypoints: int = 17, side_px: int = 320) -> Path:
    return make_rtmo_twin(folder / "mine.onnx", side_px=side_px, keypoints=keypoints)


def say(path: Path, **facts: object) -> Path:
    path.with_suffix(".json").write_text(json.dumps(facts))
    return path


@pytest.mark.parametrize(("keypoints", "side_px"), [(17, 640), (26, 320), (5, 192)])
def test_a_file_of_the_users_is_known_by_what_it_gives(tmp_path, keypoints, side_px):
    path = mine(tmp_path, keypoints, side_px)
    found = find_model(str(path), tmp_path / "models")
    spec = found.spec
    assert (spec.name, spec.full_name, spec.side_px, spec.detector) == ("mine", "mine", side_px, None)
    assert spec.weights_sha256s == (sha256_of(path),)
    assert found.paths == {sha256_of(path): path}
    assert (spec.score_threshold, spec.nms_threshold, spec.licence) == (0.7, 0.45, "unknown")
    known = {17: COCO_17, 26: HALPE_26}.get(keypoints)
    assert spec.keypoint_names == (known.names if known else tuple(f"keypoint_{i}" for i in range(5)))
    assert spec.skeleton == (known.skeleton if known else ())
    marks = people_at(320, 2) if side_px >= 320 else [people_at(320, 1)[0]]
    scene = one_stage_scene(marks, side_px, side_px, side_px, keypoints)
    assert_found(detect(load_model(found, Placement("cpu")), scene.picture), scene)


def test_what_stands_beside_it_counts(tmp_path):
    names = ["head", "hand", "hip", "knee", "foot"]
    facts = {"keypoint_names": names, "skeleton": [[0, 2], [2, 4]], "score_threshold": 0.3, "nms_threshold": 0.6}
    path = say(mine(tmp_path, 5), **facts, licence="CC0-1.0", source="a friend")
    spec = describe(path)
    assert (spec.keypoint_names, spec.skeleton) == (tuple(names), ((0, 2), (2, 4)))
    assert (spec.score_threshold, spec.nms_threshold, spec.licence, spec.source) == (0.3, 0.6, "CC0-1.0", "a friend")
    picture = one_stage_scene([*people_at(320, 1)], 320, 320, 320).picture
    picture[..., 2] = np.where(picture[..., 2] > 100, 100, picture[..., 2])  # 0.39
    assert len(detect(load_model(find_model(str(path), tmp_path), Placement("cpu")), picture)) == 1
    path.with_suffix(".json").unlink()
    assert len(detect(load_model(find_model(str(path), tmp_path), Placement("cpu")), picture)) == 0


@pytest.mark.parametrize("part", [{"score_threshold": 0.5}, {"licence": "MIT"}, {"keypoint_names": list("abcde")}, {}])
def test_any_part_may_stand_beside_it(tmp_path, part):
    spec = describe(say(mine(tmp_path, 5), **part))
    for name, value in part.items():
        assert getattr(spec, name) == (tuple(value) if isinstance(value, list) else value)


BAD = {
    "no json": "{",
    "no text": "\udcff",
    "a list": "[]",
    "a word": '"x"',
    "nothing": "",
    "other word": '{"threshold": 0.3}',
    "too few": '{"keypoint_names": ["nose"]}',
    "twice": '{"keypoint_names": ["a", "a", "b", "c", "d"]}',
    "limb too far": '{"skeleton": [[0, 5]]}',
    "limb of one": '{"skeleton": [[0]]}',
    "limb of three": '{"skeleton": [[0, 1, 2]]}',
    "no limbs": '{"skeleton": 3}',
    "a limb of words": '{"skeleton": [["a", "b"]]}',
    "no skeleton": '{"skeleton": null}',
    "too sure": '{"score_threshold": 1.5}',
    "a nan": '{"score_threshold": NaN}',
    "a word for a number": '{"nms_threshold": "much"}',
    "a list for a number": '{"nms_threshold": []}',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD.keys())
def test_a_bad_file_beside_it_is_one_line(tmp_path, content):
    path = mine(tmp_path, 5)
    path.with_suffix(".json").write_bytes(content.encode("utf8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        find_model(str(path), tmp_path)
    assert str(path.with_suffix(".json")) in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("names", ["abcde", 5, None])
def test_names_that_are_no_list_are_one_line(tmp_path, names):
    with pytest.raises(UsageError, match=r"mine\.json"):
        describe(say(mine(tmp_path, 5), keypoint_names=names))


def test_a_folder_beside_it_is_one_line(tmp_path):
    path = mine(tmp_path, 5)
    path.with_suffix(".json").mkdir()
    with pytest.raises(UsageError, match=r"mine\.json cannot be used"):
        describe(path)


def rectangle(folder: Path) -> Path:
    return make_model(folder / "mine.onnx", input_shape=["batch", 3, 384, 640])


def words(folder: Path) -> Path:
    path = folder / "mine.onnx"
    path.write_text("no network")
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (words, "cannot be loaded as ONNX"),
        (rectangle, "not squares of one size"),
        (lambda folder: make_model(folder / "mine.onnx", input_name="images"), "not one `input`"),
        (lambda folder: make_model(folder / "mine.onnx", output_names=("dets",)), "gives dets, not dets and keypoints"),
        (lambda folder: make_model(folder / "mine.onnx", input_shape=["b", 3, "h", "w"]), "not squares of one size"),
        (lambda folder: make_model(folder / "mine.onnx", input_shape=[1, 3, 64, 64]), "with a free batch"),
        (lambda folder: make_yolox_twin(folder / "mine.onnx", side_px=416, nms_inside=True), "dets and keypoints"),
        (
            lambda folder: make_simcc_twin(folder / "mine.onnx", width_px=256, height_px=256, keypoints=21),
            "gives simcc_x, simcc_y, not dets and keypoints",
        ),
        (lambda folder: folder / "mine.onnx", "there is no file"),
    ],
)
def test_a_file_that_is_no_rtmo_is_one_line(tmp_path, make, says):
    with pytest.raises((InvalidWeights, UnknownModel), match=re.escape(says)) as caught:
        find_model(str(make(tmp_path)), tmp_path)
    assert "\n" not in caught.value.message


def test_a_file_that_changes_under_way_is_refused(tmp_path):
    path = mine(tmp_path)
    found = find_model(str(path), tmp_path)
    mine(tmp_path, 26)
    with pytest.raises(InvalidWeights, match="put it back"):
        load_model(found, Placement("cpu"))
    path.unlink()
    with pytest.raises(InvalidWeights, match="cannot be read"):
        load_model(found, Placement("cpu"))


def test_the_same_file_under_another_name_is_the_same_model(tmp_path):
    path = mine(tmp_path)
    other = tmp_path / "other.onnx"
    other.write_bytes(path.read_bytes())
    assert describe(other).fingerprint == describe(path).fingerprint
    assert describe(say(other, score_threshold=0.3)).fingerprint != describe(path).fingerprint
    assert describe(say(other, source="x")).fingerprint == describe(path).fingerprint


def test_precision_is_asked_for_behind_the_name(tmp_path):
    put_twins(tmp_path, find_entry("rtmo-s"))
    put_twins(tmp_path, find_entry("rtmpose-s"))
    path = mine(tmp_path)
    for name in ("rtmo-s", "rtmpose-s", BUNDLED_MODEL, str(path)):
        specs = [find_model(f"{name}{at}", tmp_path).spec for at in ("", "@fp32", "@bf16", "@fp16")]
        assert [spec.precision for spec in specs] == ["fp32", "fp32", "bf16", "fp16"]
        assert len({spec.fingerprint for spec in specs}) == 3
        assert specs[2].full_name == f"{path.stem if name == str(path) else name}@bf16"
    with pytest.raises(DeviceUnavailable, match="openvino or tensorrt can"):
        load_model(find_model("rtmpose-s@bf16", tmp_path), Placement("cpu"))


@pytest.mark.parametrize("name", ["rtmo-s@", "rtmo-s@int8", "rtmo-s@bf16@int8", "@bf99"])
def test_another_precision_is_refused(tmp_path, name):
    with pytest.raises(UnknownModel, match="there is no precision"):
        find_model(name, tmp_path)


@pytest.mark.parametrize("name", ["@bf16", "rtmo-s@bf16@fp16", "RTMO-S", "rtmo-s "])
def test_another_name_is_refused(tmp_path, name):
    with pytest.raises(UnknownModel, match="there is no model"):
        find_model(name, tmp_path)


def test_a_path_may_hold_an_at_sign(tmp_path):
    folder = tmp_path / "me@home"
    folder.mkdir()
    path = mine(folder)
    assert find_model(str(path), tmp_path).spec.precision == "fp32"
    assert find_model(f"{path}@bf16", tmp_path).paths == {sha256_of(path): path}


def test_what_rtmlib_calls_its_modes_are_names_too(tmp_path):
    for alias, name in ALIASES.items():
        put_twins(tmp_path, find_entry(name))
        assert find_model(alias, tmp_path) == find_model(name, tmp_path)
        assert find_model(f"{alias}@bf16", tmp_path) == find_model(f"{name}@bf16", tmp_path)
    assert split_precision("rtmpose-balanced@fp16") == ("rtmpose-balanced", "fp16")


def test_each_networks_weights_are_in_the_fingerprint(tmp_path):
    entry = find_entry("rtmpose-s")
    put_twins(tmp_path / "a", entry)
    raw = make_yolox_twin(tmp_path / "raw.onnx", side_px=416, nms_inside=False)
    put_twins(tmp_path / "b", entry, detector=raw)
    other = make_simcc_twin(tmp_path / "other.onnx", width_px=192, height_px=256, keypoints=17)
    other.write_bytes(other.read_bytes() + b"\x72\x00")  # an empty `metadata_props`, so another file and the same graph
    put_twins(tmp_path / "c", entry, pose=other)
    found = [find_model("rtmpose-s", tmp_path / each) for each in "abc"]
    assert len({each.spec.fingerprint for each in found}) == 3
    for each in found:
        load_model(each, Placement("cpu"))


def test_both_networks_are_held_against_their_checksums(tmp_path):
    put_twins(tmp_path, find_entry("rtmpose-s"))
    found = find_model("rtmpose-s", tmp_path)
    for weights in find_entry("rtmpose-s").weights:
        file = weights.file_in(tmp_path)
        whole = file.read_bytes()
        file.write_bytes(whole[:-1])
        with pytest.raises(InvalidWeights, match=f"{weights.name}.onnx changed .* models fetch rtmpose-s"):
            load_model(found, Placement("cpu"))
        file.unlink()
        with pytest.raises(InvalidWeights, match="rtmpose-s is not on this machine"):
            find_model("rtmpose-s", tmp_path)
        file.write_bytes(whole)
    load_model(found, Placement("cpu"))


def test_two_networks_that_are_the_same_file(tmp_path):
    """Models share detectors, and one folder holds them all."""
    for name in ("rtmpose-s", "rtmpose-s-feet", "rtmw-m"):
        put_twins(tmp_path, find_entry(name))
    specs = [find_model(name, tmp_path).spec for name in ("rtmpose-s", "rtmpose-s-feet", "rtmw-m")]
    assert len({spec.detector for spec in specs}) == 1
    assert len({spec.fingerprint for spec in specs}) == 3


def test_weights_in_a_file_beside_are_refused(tmp_path):
    """They would be in no fingerprint, and on no other machine."""
    path = mine(tmp_path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="mine.data", size_threshold=0)
    assert (tmp_path / "mine.data").stat().st_size
    with pytest.raises(InvalidWeights, match="have to be inside the file") as caught:
        describe(path)
    assert str(path) in caught.value.message
