"""The queue on a real Redis."""

from redis import Redis

from pipeline.services.system import System
from pipeline.settings import Settings


def test_workers_are_asked_over_a_connection_that_lives(configured: Settings, system: System) -> None:
    assert system.queue.ping_workers(timeout_s=0.1) == []
    with Redis.from_url(configured.broker_url.get_secret_value()) as redis:
        redis.client_kill_filter(_type="normal", skipme=True)
        redis.client_kill_filter(_type="pubsub", skipme=True)
    assert system.queue.ping_workers(timeout_s=0.1) == []
