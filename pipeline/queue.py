"""Celery as the transport: its settings, and sending a task by name.

A message is a hint: Redis may lose, duplicate or delay it, and Postgres decides. So messages are acknowledged on
receipt, carry only ids, have no result, and are never retried by Celery. docs/design.md gives the reasons, with what
was seen on 5.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID

from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from kombu.utils.scheduling import round_robin_cycle
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from pipeline.core.beat_report import BEAT_KEY, BeatReport, read_beat_report
from pipeline.core.precision import PRECISIONS, Precision
from pipeline.errors import ServerAway, ServiceUnavailable, UsageError
from pipeline.logs import get_logger
from pipeline.sent_window import Seen, note_end, note_filled
from pipeline.settings import Settings

log = get_logger(__name__)

#: Ingest, finish and ticks: short work, taken before frames.
CONTROL = "control"
#: Chunks of frames. Each reduced precision has a queue of its own, consumed by the workers that compute in it.
FRAMES = "frames"
FRAMES_IN: dict[Precision, str] = {each: FRAMES if each == "fp32" else f"{FRAMES}-{each}" for each in PRECISIONS}
QUEUES = (CONTROL, *FRAMES_IN.values())

INGEST = "poseline.ingest"
DETECT = "poseline.detect"
FINISH = "poseline.finish"
PROXY = "poseline.proxy"
PASS = "poseline.pass"  # noqa: S105  no password
TICK = "poseline.tick"

#: The remote control command that has workers report to Postgres at once, and learn there what they are to do.
REPORT = "poseline_report"

#: The event that beat sends after each tick.
TICKED = "poseline-ticked"

_REFUSALS = (AuthenticationError, NoPermissionError)
_KEY_PREFIX = "poseline:"
#: The list that object stores write their notifications to.
WATCH_HINTS_KEY = f"{_KEY_PREFIX}watch-hints"
_MOST_WATCH_HINTS = 10_000
#: Kombu keeps a list in Redis for each priority of a queue, and reads those of 0 first.
_FIRST, _IN_TURN = 0, 9
_PRIORITIES = (_FIRST, _IN_TURN)
_SEPARATOR = "\x06\x16"


def keys_of(queue: str) -> list[str]:
    """The lists in Redis that hold a queue's messages."""
    return [_KEY_PREFIX + queue + (f"{_SEPARATOR}{priority}" if priority else "") for priority in _PRIORITIES]


def queue_of(key: bytes) -> str | None:
    """The queue that has this list in Redis, its key without Kombu's prefix; None where it is none of tasks."""
    name = key.decode(errors="replace").partition(_SEPARATOR)[0]
    return name if name in QUEUES else None


class ControlFirst(round_robin_cycle):  # type: ignore[type-arg]  # generic to checkers only
    """The order in which a worker polls its queues: control always first, the queues of frames in turn."""

    def update(self, it: Iterable[str]) -> None:
        """Take these queues."""
        super().update(sorted(it, key=lambda queue: queue != CONTROL))

    def rotate(self, last_used: str) -> None:
        """The queue that gave a message goes to the end."""
        if last_used != CONTROL:
            super().rotate(last_used)


def build_celery(settings: Settings) -> Celery:
    """The Celery application, without tasks; `workers.app` adds them."""
    app = Celery("poseline", broker=settings.broker_url.get_secret_value(), set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=CONTROL,
        task_queues=[Queue(name) for name in QUEUES],
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=0,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # or a worker ends when Redis is full
        broker_transport_options={
            "global_keyprefix": _KEY_PREFIX,
            "queue_order_strategy": f"{__name__}:{ControlFirst.__name__}",  # a class would break `inspect stats`
            "visibility_timeout": 3600,
            "priority_steps": list(_PRIORITIES),
            "sep": _SEPARATOR,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 5,
        },
        beat_schedule={
            "tick": {
                "task": TICK,
                "schedule": settings.tick_s,
                # Ticks must not pile up where no worker is. Long, because the clocks of two machines differ.
                "options": {"expires": 3600.0},
            }
        },
        timezone="UTC",
    )
    return app


class TaskQueue:
    """Sends tasks, and counts those that wait."""

    def __init__(self, app: Celery, broker_url: str) -> None:
        self._app = app
        try:
            self._redis = Redis.from_url(broker_url, socket_timeout=10, socket_connect_timeout=5)
        except ValueError as error:
            raise UsageError("POSELINE_BROKER_URL is not a URL like redis://user:password@host:port/0") from error

    def send_ingest(self, video_id: UUID) -> None:
        """Send the task to ingest a video."""
        self._send(INGEST, CONTROL, str(video_id))

    def send_detect(self, run_id: UUID, idx: int, precision: Precision = "fp32", *, first: bool = False) -> None:
        """Send the task to analyse a chunk; `first` before the chunks that wait."""
        self._send(DETECT, FRAMES_IN[precision], str(run_id), idx, priority=_FIRST if first else _IN_TURN)

    def send_finish(self, run_id: UUID) -> None:
        """Send the task to finish a run."""
        self._send(FINISH, CONTROL, str(run_id))

    def send_proxy(self, video_id: UUID) -> None:
        """Send the task to make the copy of a video for browsers."""
        self._send(PROXY, CONTROL, str(video_id))

    def send_pass(self, name: str, pass_id: UUID, event: str) -> None:
        """Send the task to go on with a pass. Its name and what happened are for whoever watches Flower."""
        self._send(PASS, CONTROL, name, str(pass_id), event)

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with _broker_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys_of(queue):
                pipeline.llen(key)
            return sum(pipeline.execute())

    def note_end(self, precision: Precision, *, lone: bool) -> Seen:
        """Count the end of a chunk of this precision, and look at the window.

        Args:
            lone: whether the chunk's team may have one chunk under way.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with _broker_errors():
            return note_end(self._redis, precision, keys_of(FRAMES_IN[precision]), lone=lone)

    def note_filled(self, precision: Precision, size: int, seen: Seen | None) -> Seen | None:
        """Note for `note_end` that the window was filled up; None where Redis does not answer, which is no error."""
        with suppress(ServiceUnavailable), _broker_errors():
            keys = keys_of(FRAMES_IN[precision])
            return note_filled(self._redis, precision, keys, size, seen)
        return None

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
        self._app.close()

    def ping(self) -> None:
        """Check that Redis answers.

        Raises:
            ServiceUnavailable: it does not.
        """
        with _broker_errors():
            self._redis.ping()

    def eviction_policy(self) -> str:
        """What Redis does when it is full; anything but `noeviction` loses messages silently.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with _broker_errors():
            return str(dict(self._redis.info("memory"))["maxmemory_policy"])

    def take_watch_hints(self, most: int) -> list[bytes]:
        """Take the notifications of object stores that came first, at most so many; of a flood the oldest are dropped.

        Raises:
            ServiceUnavailable: Redis does not answer, or the key is no list.
        """
        with _broker_errors():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.ltrim(WATCH_HINTS_KEY, -_MOST_WATCH_HINTS, -1)
            pipeline.lpop(WATCH_HINTS_KEY, most)
            _, taken = pipeline.execute()
        return list(taken or [])

    def report_beat(self, report: BeatReport) -> None:
        """Leave beat's report, which expires by itself.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with _broker_errors():
            self._redis.set(BEAT_KEY, report.to_json(), px=round(report.alive_s * 1000))

    def last_beat(self) -> BeatReport | None:
        """Beat's last report; None where none ticks.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with _broker_errors():
            pipeline = self._redis.pipeline()
            pipeline.get(BEAT_KEY)
            pipeline.pttl(BEAT_KEY)
            value, expires_in_ms = pipeline.execute()
        return read_beat_report(value, expires_in_ms)

    def ping_workers(self, timeout_s: float = 1.0, limit: int | None = None) -> list[str]:
        """The names of the workers, up to `limit`, that answer through the broker, as Celery's `inspect ping` does."""
        # A connection of its own: Kombu's pool may hold one that a restart of Redis has closed, and does not renew it.
        with _broker_errors(), self._app.connection_for_write() as connection:
            replies = self._app.control.ping(timeout=timeout_s, limit=limit, connection=connection) or []
        return sorted(name for reply in replies for name in reply)

    def ask_for_reports(self, workers: Sequence[str]) -> None:
        """Have these workers report now. Where Redis does not answer they do so within seconds."""
        try:
            with _broker_errors():
                self._app.control.broadcast(REPORT, destination=list(workers))
        except ServiceUnavailable as error:
            log.warning("reports_not_asked_for", reason=error.message)

    def shut_down_workers(self, workers: Sequence[str]) -> None:
        """Have these workers end as after SIGTERM.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with _broker_errors():
            self._app.control.shutdown(destination=list(workers))

    def _send(self, task: str, queue: str, *args: object, priority: int = _FIRST) -> None:
        # Not an error: the row waits in Postgres, and the reconciler sends the message again.
        try:
            with _broker_errors():
                self._app.send_task(task, args=args, queue=queue, priority=priority, retry=False)
        except ServiceUnavailable as error:
            log.warning("message_not_sent", task=task, reason=error.message)


def build_task_queue(settings: Settings, app: Celery | None = None) -> TaskQueue:
    """The task queue that the settings name.

    Raises:
        UsageError: the broker's URL is not one of Redis.
    """
    return TaskQueue(app or build_celery(settings), settings.broker_url.get_secret_value())


@contextmanager
def _broker_errors() -> Iterator[None]:
    try:
        yield
    except (OperationalError, RedisError, OSError) as error:
        if isinstance(error, _REFUSALS) or isinstance(error.__cause__, _REFUSALS):
            raise ServerAway(f"Redis refuses ({error}); check POSELINE_BROKER_URL") from error
        raise ServerAway(f"Redis does not answer ({error}); is it running?") from error
