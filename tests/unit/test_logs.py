"""Logs that are configured again, as by a second command in one process, still are one set of processors."""

from __future__ import annotations

from structlog.testing import capture_logs

from pipeline.logs import configure_logs, get_logger


def test_a_logger_that_was_used_before_follows_what_is_configured_later() -> None:
    log = get_logger("pipeline.tests")
    configure_logs("WARNING")
    log.warning("first_line")
    configure_logs("WARNING")
    with capture_logs() as lines:
        log.warning("second_line")
    assert [line["event"] for line in lines] == ["second_line"]
