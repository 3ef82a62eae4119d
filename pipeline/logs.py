"""Logs are static snake_case events with fields: `log.info("chunk_done", frames=120)`.

A value is never interpolated into the event. Fields of everything that follows (run, chunk, video) are bound once with
`log_context`. One formatter serves Celery's lines too.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from typing import cast

import structlog

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
#: One list for the life of the process: loggers keep it from their first line on, though logs are configured again.
_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.stdlib.filter_by_level,
    *_SHARED,
    structlog.processors.StackInfoRenderer(),
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure_logs(level: str = "INFO", *, as_json: bool = False) -> None:
    """Send every log line of this process to standard error, in one form."""
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Plain tracebacks: the decorated ones print local variables, and with them secrets.
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if as_json else []),
                renderer,
            ],
        )
    )
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.basicConfig(level=level, handlers=[handler], force=True)


def log_context(**fields: object) -> AbstractContextManager[None]:
    """Fields for every line logged inside the block."""
    return cast("AbstractContextManager[None]", structlog.contextvars.bound_contextvars(**fields))
