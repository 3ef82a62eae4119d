"""Every fault that Poseline is held against: what is done, what must come of it, and the tests that do it.

The table of docs/faults.md is made from this list (`python -m tests.acceptance.faults.table`), and
tests/unit/test_fault_table.py holds that no number is missing and that every test named exists.
"""

from __future__ import annotations

from dataclasses import dataclass

HERE = "tests/acceptance/faults"
OUTAGE = "tests/soak/test_outages.py::test_recovery_from_an_outage"
DISPATCH = "tests/integration/services/test_dispatch.py"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        injection: how it is brought about on one machine.
        outcome: what must hold besides the standard checks.
        tests: pytest ids, parameters included where only some are meant.
        timed: the names under which `Rig.check` writes the seconds of these tests.
        untimed: where there are no seconds: what passes until all is well instead.
        not_here: why nothing of it, or not all of it, can be brought about here.
    """

    number: int
    fault: str
    injection: str
    outcome: str
    tests: tuple[str, ...]
    timed: tuple[str, ...] = ()
    untimed: str = ""
    not_here: str = ""


FAULTS = (
    Fault(
        1,
        "a decoder dies in mid-chunk",
        "SIGKILL to the decoder child of a worker at work",
        "the worker lives, the chunk is analysed again",
        (f"{HERE}/test_workers.py::test_a_decoder_killed_in_mid_chunk",),
        ("decoder killed",),
    ),
    Fault(
        2,
        "a worker dies in mid-chunk",
        "SIGKILL to its process group",
        "its lease expires, another worker does the chunk",
        (f"{HERE}/test_processes.py::test_a_worker_killed_in_mid_chunk",),
        ("worker killed",),
    ),
    Fault(
        3,
        "a message is lost between the queue and the worker",
        "SIGKILL in kombu's `QoS.append`, after BRPOP",
        "the reconciler sends it again",
        (f"{HERE}/test_workers.py::test_a_message_lost_between_queue_and_worker",),
        ("lost after pop",),
    ),
    Fault(
        4,
        "a process dies at any statement of claim, commit, plan, finish",
        "SIGKILL before and after every SQL statement, COPY and COMMIT, enumerated",
        "all of a transaction or nothing",
        (f"{HERE}/test_fail_points.py::test_killed_at_every_statement",),
        untimed="as 2: until the lease expires",
    ),
    Fault(
        5,
        "a worker wakes up after its lease",
        "SIGSTOP for longer than the lease, then SIGCONT",
        "its late commit is refused",
        (
            f"{HERE}/test_workers.py::test_a_worker_stopped_for_longer_than_its_lease",
            "tests/integration/db/test_chunks.py::test_a_zombie_cannot_commit",
        ),
        ("zombie",),
    ),
    Fault(
        6,
        "every message comes three times",
        "each chunk's message is sent three times more",
        "each chunk is analysed once",
        (f"{HERE}/test_processes.py::test_every_chunk_message_three_times",),
        ("doubled",),
    ),
    Fault(
        7,
        "Redis is killed",
        "SIGKILL; the supervisor starts it again with its append-only file",
        "the same worker process goes on",
        (f"{HERE}/test_processes.py::test_redis_killed_and_restarted",),
        ("redis killed",),
    ),
    Fault(
        8,
        "Redis is emptied",
        "FLUSHDB in mid-run",
        "what was in it is sent again",
        (f"{HERE}/test_processes.py::test_redis_emptied_in_mid_run",),
        ("redis emptied",),
    ),
    Fault(
        9,
        "connections are reset",
        "a proxy resets all TCP connections of a worker, to Redis or to Postgres, in mid-chunk",
        "no chunk is done more than twice",
        (f"{HERE}/test_servers.py::test_connections_reset_in_mid_chunk",),
        ("reset broker_url", "reset database_url"),
    ),
    Fault(
        10,
        "a connection is half open",
        "a proxy forwards nothing and keeps connections open",
        "recovery within 60 s of its end, no busy loop meanwhile",
        (OUTAGE,),
        ("broker_url frozen", "database_url frozen", "s3_endpoint frozen"),
    ),
    Fault(
        11,
        "Redis is full",
        "`maxmemory 1` with noeviction",
        "what is to be sent waits in Postgres",
        (f"{HERE}/test_servers.py::test_redis_full", OUTAGE),
        ("redis full", "broker_url full"),
    ),
    Fault(
        12,
        "Redis would evict messages",
        "`maxmemory-policy allkeys-lru`",
        "`poseline doctor` says so and fails",
        (f"{HERE}/test_servers.py::test_a_redis_that_evicts_is_refused",),
        untimed="refused before work",
    ),
    Fault(
        13,
        "Postgres restarts without warning",
        "SIGQUIT to the postmaster (immediate shutdown); the supervisor starts it again",
        "the same worker process goes on",
        (f"{HERE}/test_servers.py::test_postgres_restarted_at_once",),
        ("postgres restart",),
    ),
    Fault(
        14,
        "the answer to a COMMIT is lost",
        "a proxy forwards COMMIT and resets the connection before the answer",
        "the chunk is done once and not analysed again",
        (f"{HERE}/test_servers.py::test_an_answer_to_a_commit_that_is_lost",),
        untimed="at once: the chunk is done",
    ),
    Fault(
        15,
        "a deadlock",
        "another session locks run and chunk in the other order while a commit is paused",
        "an outage, not an error: tried again",
        (f"{HERE}/test_servers.py::test_a_deadlock_is_no_failure",),
        ("deadlock",),
    ),
    Fault(
        16,
        "no connection to Postgres is left",
        "CONNECTION LIMIT 0, and every connection ended",
        "the worker waits; no error is counted",
        (f"{HERE}/test_servers.py::test_no_connection_left",),
        ("no connection left",),
    ),
    Fault(
        17,
        "whoever finishes a run dies",
        "SIGKILL at every statement of finish",
        "finished by another, one export",
        (f"{HERE}/test_fail_points.py::test_killed_at_every_statement[finish]",),
        untimed="as 2: until the lease expires",
    ),
    Fault(
        18,
        "whoever plans a run dies before anything is sent",
        "SIGKILL at every statement of plan, and after its COMMIT",
        "the next tick plans or sends",
        (f"{HERE}/test_fail_points.py::test_killed_at_every_statement[plan]",),
        untimed="until the next tick",
    ),
    Fault(
        19,
        "two beats",
        "two are started",
        "each chunk is analysed once",
        (f"{HERE}/test_messages.py::test_two_beats_are_as_good_as_one",),
        untimed="nothing stops",
    ),
    Fault(
        20,
        "a beat stands still",
        "SIGSTOP for six ticks (its schedule has no memory: an hour is the same), then SIGCONT",
        "one tick makes up for all",
        (f"{HERE}/test_messages.py::test_a_beat_that_stood_still_does_not_make_up_for_it",),
        untimed="until the next tick",
    ),
    Fault(
        21,
        "a worker's clock is wrong",
        "`time.time` and `datetime.now` of its process are ten minutes ahead, or behind",
        "leases run by the database's clock: none is lost, none lasts longer; further off, the object store refuses",
        (f"{HERE}/test_workers.py::test_a_worker_whose_clock_is_wrong",),
        untimed="nothing stops",
    ),
    Fault(
        22,
        "the disk is full",
        "every write of a scratch file of a worker fails with ENOSPC",
        "an outage: the chunk waits and no error is counted",
        (
            f"{HERE}/test_workers.py::test_a_full_disk",
            "tests/integration/local/test_full_disk.py::test_a_supervisor_that_cannot_write_goes_on_and_writes_again_later",
        ),
        ("disk full",),
    ),
    Fault(
        23,
        "the object store fails",
        "a proxy answers 500 or 503, breaks bodies off, or waits 50 ms before every 4 KiB",
        "nothing is half read, no error is counted",
        (f"{HERE}/test_servers.py::test_an_object_store_that_fails",),
        ("store 500", "store 503", "store cut", "store slow"),
    ),
    Fault(
        24,
        "the source is overwritten in mid-run",
        "PUT of other content to its key",
        "the run fails and says so; no frame of another version",
        (
            f"{HERE}/test_processes.py::test_a_source_that_is_not_what_it_was_fails_the_run[overwritten-changed]",
            "tests/integration/services/test_verify.py::test_verify_goes_red_when_the_stored_video_is_another",
        ),
        untimed="at once: the run fails",
    ),
    Fault(
        25,
        "the source is deleted in mid-run",
        "DELETE of its key",
        "the run fails and says so",
        (f"{HERE}/test_processes.py::test_a_source_that_is_not_what_it_was_fails_the_run[deleted-gone]",),
        untimed="at once: the run fails",
    ),
    Fault(
        26,
        "word of an upload is lost, doubled or out of order",
        "an object is registered five times over two versions, and every message is lost",
        "one video and one run of each version",
        (f"{HERE}/test_messages.py::test_an_object_told_of_never_twice_and_out_of_order",),
        untimed="nothing stops",
        not_here="the object store's own notifications: Poseline takes none",
    ),
    Fault(
        27,
        "an upload is abandoned",
        "its client dies with one part sent; two days pass",
        "its row and its parts are removed",
        (
            f"{HERE}/test_servers.py::test_an_upload_in_parts_whose_client_died",
            "tests/acceptance/test_bad_input.py::test_an_upload_that_breaks_off_leaves_nothing",
        ),
        untimed="until the first tick after a day",
    ),
    Fault(
        28,
        "an upload by a signed URL is larger, replayed or late",
        "none",
        "refused by the object store",
        (),
        untimed="nothing to recover",
        not_here="there are no signed URLs: clients upload with the team's own keys, and larger videos are refused",
    ),
    Fault(
        29,
        "a list of other files instead of a video",
        "ffconcat, m3u8, DASH, SDP, SMIL and others as .mp4, .ts and .mkv, with a canary file and server",
        "rejected, no canary is touched",
        (
            "tests/unit/video/test_hostile.py::test_lists_of_other_files_open_nothing",
            "tests/unit/video/test_hostile.py::test_a_reference_to_another_teams_file_opens_nothing",
        ),
        untimed="at once: refused",
    ),
    Fault(
        30,
        "a pixel bomb",
        "frames of 16,000 x 16,000 in H.264, MJPEG, VP9 and PNG, with and without saying so",
        "rejected within the memory limit",
        ("tests/unit/video/test_hostile.py::test_pixel_bombs",),
        untimed="at once: refused",
    ),
    Fault(
        31,
        "impossible times and counts",
        "gaps of years, 2^62 ticks, no frame rate, 10^9 frames in a header",
        "rejected in one line, or read right, in bounded time",
        (
            "tests/unit/video/test_bombs.py::test_timestamp_bombs",
            "tests/unit/video/test_bombs.py::test_wrong_counts",
        ),
        untimed="at once: refused",
    ),
    Fault(
        32,
        "half a video, an empty file, sound only",
        "files cut at many places, without an index, without bytes, without pictures",
        "rejected, or what is there is read and the rest is named",
        (
            "tests/unit/video/test_rejections.py::test_half_an_upload",
            "tests/acceptance/test_bad_input.py::test_a_file_that_is_no_video",
        ),
        untimed="at once: refused",
    ),
    Fault(
        33,
        "a decoder crashes or hangs",
        "SIGKILL, SIGSEGV, SIGABRT and SIGSTOP to it, and one that was taken over",
        "one error, the next video is read",
        (
            "tests/unit/video/test_sandbox.py::test_a_killed_child_is_one_error_and_the_next_call_works",
            "tests/unit/video/test_sandbox.py::test_a_hanging_child_is_killed",
            "tests/unit/video/test_compromised_decoder.py::test_it_hangs",
        ),
        untimed="until the next call; 60 s where it hangs",
    ),
    Fault(
        34,
        "a chunk that kills whoever takes it",
        "its workers are killed, its decoder crashes, or its lease expires, each time",
        "set aside after at most five deaths, its frames named; the others are done",
        (
            "tests/acceptance/test_poison.py::test_poison_is_given_up_after_five_deaths_and_harms_nobody",
            "tests/soak/test_kill_storm.py::test_a_storm_of_kills_harms_no_chunk",
            "tests/integration/db/test_chunks.py::test_a_chunk_that_hangs_its_workers_is_given_up_with_its_frames_named",
        ),
        untimed="until the fifth death",
    ),
    Fault(
        35,
        "out of memory during inference",
        "the network raises MemoryError for the frames of one chunk, always",
        "this chunk is set aside after five errors, the others are done",
        (f"{HERE}/test_inference.py::test_a_chunk_for_which_memory_does_not_suffice",),
        untimed="until the fifth error",
        not_here="the kernel's OOM killer: for Poseline it is fault 2",
    ),
    Fault(
        36,
        "a GPU is lost in mid-run",
        "the device reports its loss at the third frame (there is no GPU to pull out here)",
        "the worker ends for its supervisor to restart; no error is counted",
        (f"{HERE}/test_workers.py::test_a_gpu_lost_in_mid_run",),
        ("gpu lost",),
        not_here="a real GPU that falls off the bus",
    ),
    Fault(
        37,
        "a run is cancelled",
        "in every state, and while a worker is at it",
        "nothing is committed afterwards; a done run stays",
        (
            f"{HERE}/test_messages.py::test_cancelled_in_every_state",
            f"{HERE}/test_messages.py::test_cancelled_while_a_worker_is_at_it",
        ),
        untimed="a heartbeat (1 s)",
    ),
    Fault(
        38,
        "a deploy under load",
        "SIGTERM to a worker in mid-chunk, and another starts",
        "its chunk is handed back and counts no attempt",
        (f"{HERE}/test_processes.py::test_a_worker_stopped_in_mid_chunk_hands_it_back",),
        ("deploy",),
    ),
    Fault(
        39,
        "a team floods the queue",
        "100,000 chunks of one team wait, then 10 of another come",
        "they are done within twice the time that they take alone",
        (
            f"{DISPATCH}::test_a_team_with_nothing_under_way_does_not_wait_for_what_was_sent_before",
            "tests/soak/test_season.py::test_ten_chunks_beside_a_hundred_thousand_take_twice_as_long_and_the_first_wait",
        ),
        untimed="nothing stops",
    ),
    Fault(
        40,
        "versions are mixed",
        "tasks and arguments of a later version; a worker of the version before reports to this schema",
        "refused or understood, never half done",
        (
            f"{HERE}/test_messages.py::test_hostile_messages_and_those_of_another_version",
            "tests/integration/workers/test_device.py::test_a_worker_of_the_version_before_may_still_report",
        ),
        ("hostile messages",),
    ),
    Fault(
        41,
        "hostile messages",
        "pickle, broken JSON, unknown tasks and arguments, bytes that are no message",
        "dropped, with a line in the log; the worker goes on",
        (
            f"{HERE}/test_messages.py::test_hostile_messages_and_those_of_another_version",
            "tests/unit/workers/test_messages.py::test_what_celery_cannot_read_is_named_in_one_line",
        ),
        ("hostile messages",),
    ),
    Fault(
        42,
        "Flower without a password",
        "requests without one, and a write with one",
        "401; writes are refused",
        ("tests/acceptance/test_local_system.py::test_flower_has_a_password_and_is_read_only",),
        untimed="at once: refused",
    ),
)
