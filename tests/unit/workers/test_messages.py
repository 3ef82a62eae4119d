"""Which bytes a worker takes for a message; tests/acceptance/faults/test_messages.py sends them to one."""

from __future__ import annotations

import pytest

from pipeline.queue import QUEUES, keys_of, queue_of
from tests.support.hostile_messages import UNREADABLE, message
from workers.messages import fault_of


@pytest.mark.parametrize("wrong", UNREADABLE)
def test_what_celery_cannot_read_is_named_in_one_line(wrong: str) -> None:
    fault = fault_of(UNREADABLE[wrong])
    assert fault
    assert "\n" not in fault


def test_a_message_of_celery_is_taken() -> None:
    assert fault_of(message()) is None


@pytest.mark.parametrize("queue", QUEUES)
def test_every_list_of_a_queue_is_known_as_its(queue: str) -> None:
    assert {queue_of(key.removeprefix("poseline:").encode()) for key in keys_of(queue)} == {queue}
    assert queue_of(f"{queue}.reply.celery.pidbox".encode()) is None
