"""One JSON line per log record: a fixed message, and only fields that cannot hold a patient attribute."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the HTTP request that is being answered; every record made meanwhile carries it."""

WORDS = frozenset(
    {
        "ae_title", "alarm", "by", "caller", "code", "decoder", "door", "error", "executor", "frames", "host", "how",
        "kind", "method", "outcome", "package", "package_version", "part", "phase", "provider", "public_id",
        "reason", "recipe", "request_id", "route", "sender", "signal", "site", "stage", "state", "step",
    }
)  # fmt: skip
"""Fields that may hold a short word of ours. AE titles and key prefixes name machines, not people."""
NUMBERS = frozenset(
    {
        "associations", "attempt", "attempts", "batch", "connections", "count", "deaths", "errno", "failed", "files",
        "instance_id", "instances", "number", "packages", "pid", "port", "position", "problems", "processes",
        "queue_depth", "revision", "revision_id", "run_id", "runs", "series", "series_id", "site_id", "status",
        "studies", "study_id", "tls_port",
    }
)  # fmt: skip
"""Fields that may hold a number and nothing else."""
NUMBER_ENDINGS = ("_s", "_ms", "_mm", "_bytes", "_count")
MAX_WORD_LENGTH = 120
FOREIGN_TEMPLATES = ("alembic", "asyncio", "dbos", "uvicorn")
"""Libraries whose message templates are known to be fixed text; of any other only the place in its code is told."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """Writes records as JSON lines.

    Arguments of a message are never put into it, the text of an exception is left out (it may quote what was sent;
    SQL errors quote parameters), and unknown fields are dropped by name.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if (current := request_id.get()) is not None:
            line["request_id"] = current
        dropped = []
        for key, value in vars(record).items():
            if key in _STANDARD:
                continue
            if _may_stand(key, value):
                line[key] = value
            else:
                dropped.append(key)
        if dropped:
            line["dropped"] = sorted(dropped)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["frames"] = _frames(record.exc_info[1])
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"), default=_unexpected)


def start_logs(level: str, stream: TextIO | None = None) -> None:
    """Send every record of this process to standard error as JSON lines; called once, when a process starts."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("pandok").setLevel(level)
    for name in ("uvicorn.access", "pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they write what peers and files say
    logging.captureWarnings(True)


def _message(record: logging.LogRecord) -> str:
    """Return the fixed text of a record: never its arguments, and of foreign loggers only what is known as fixed."""
    root = record.name.partition(".")[0]
    if root == "pandok" or (root in FOREIGN_TEMPLATES and record.args):
        return str(record.msg)
    if root in FOREIGN_TEMPLATES and record.levelno < logging.WARNING:
        return str(record.msg)
    return f"library message at {record.module}:{record.lineno}"


def _may_stand(key: str, value: object) -> bool:
    if value is None or isinstance(value, bool):
        return key in WORDS or key in NUMBERS or key.endswith(NUMBER_ENDINGS) or key.startswith("is_")
    if isinstance(value, int | float):
        return key in WORDS or key in NUMBERS or key.endswith(NUMBER_ENDINGS)
    return key in WORDS and isinstance(value, str) and len(value) <= MAX_WORD_LENGTH and value.isprintable()


def _frames(error: BaseException | None) -> list[str]:
    """Return where an exception was raised, innermost last, without source text or values."""
    stack = traceback.extract_tb(error.__traceback__) if error else []
    return [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in stack[-12:]]


def _unexpected(value: object) -> str:
    return type(value).__name__
