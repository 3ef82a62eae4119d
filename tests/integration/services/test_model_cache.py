"""A worker's models: the one that is asked for is there, and memory does not grow with the seasons."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.db.engine import transaction
from pipeline.db.models import ensure_model
from pipeline.errors import InvalidWeights
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.zoo import find_model
from pipeline.services.model_cache import ModelCache
from pipeline.services.system import System
from pipeline.services.weight_store import store_weights
from tests.support.onnx_maker import make_model


def known(system: System, folder: Path, number: int, *, kept: bool = True) -> str:
    """The fingerprint of a model that a run may ask for."""
    person = np.array([[1, 2, 30 + number, 40, 2.0]])
    found = find_model(str(make_model(folder / f"m{number}.onnx", side_px=64, keypoints=17, dets=person)), folder)
    if kept:
        store_weights(system, found)
    with transaction(system.engine) as connection:
        ensure_model(connection, found.spec.fingerprint, found.spec.name, json.loads(found.spec.to_json()))
    return found.spec.fingerprint


@pytest.fixture
def models(system: System, tmp_path: Path) -> list[str]:
    return [known(system, tmp_path, number) for number in range(3)]


def is_gone(model: weakref.ref[PoseModel]) -> bool:
    gc.collect()
    return model() is None


def with_room_for(system: System, kept: int) -> ModelCache:
    return ModelCache(
        replace(system, settings=system.settings.model_copy(update={"models_kept": kept})), Placement("cpu")
    )


def test_the_one_asked_for_longest_ago_goes(system: System, models: list[str]) -> None:
    cache = with_room_for(system, 2)
    first, second = (weakref.ref(cache.load(each)) for each in models[:2])
    assert cache.load(models[0]) is first()
    third = cache.load(models[2])
    assert is_gone(second)
    assert cache.load(models[0]) is first()
    assert cache.load(models[2]) is third


@pytest.mark.parametrize("kept", [1, 5])
def test_as_many_stay_as_there_is_room_for(system: System, models: list[str], kept: int) -> None:
    cache = with_room_for(system, kept)
    loaded = [weakref.ref(cache.load(each)) for each in models]
    assert [is_gone(each) for each in loaded] == [number < len(models) - kept for number in range(len(models))]


def test_a_slot_at_work_keeps_its_model(system: System, models: list[str]) -> None:
    cache = with_room_for(system, 1)
    at_work = cache.load(models[0])
    cache.load(models[1])
    picture = np.zeros((64, 64, 3), np.uint8)
    assert len(at_work.detect([picture], [1.0])) == 1


def test_the_model_of_the_start_goes_where_nobody_asked_for_it(system: System, models: list[str]) -> None:
    cache = with_room_for(system, 5)
    preloaded = cache.preload(BUNDLED_MODEL)
    bundled = find_model(BUNDLED_MODEL, Path()).spec
    with transaction(system.engine) as connection:
        ensure_model(connection, bundled.fingerprint, bundled.name, json.loads(bundled.to_json()))
    asked_for = weakref.ref(cache.load(bundled.fingerprint))
    cache.load(models[0])
    assert not is_gone(asked_for)
    assert preloaded.problem is None

    unasked = with_room_for(system, 5)
    unasked.preload(BUNDLED_MODEL)
    start = weakref.ref(unasked._loaded[bundled.fingerprint])
    unasked.load(models[0])
    assert is_gone(start)


def test_one_that_cannot_be_loaded_pushes_none_out(system: System, tmp_path: Path, models: list[str]) -> None:
    cache = with_room_for(system, 1)
    sound = cache.load(models[0])
    with pytest.raises(InvalidWeights, match="neither on this machine nor in the object store"):
        cache.load(known(system, tmp_path, 3, kept=False))
    assert cache.load(models[0]) is sound
