"""Log lines as JSON: a fixed message, fields beside it, no raw control character, at most 8 KB."""

import json
import logging
from datetime import UTC, datetime

MAX_FIELD_CHARACTERS = 1_000
MAX_LINE_BYTES = 8_000
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """One record, one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON in ASCII: controls and bidi marks are escaped."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)[-MAX_FIELD_CHARACTERS * 4 :]
        line = json.dumps({name: _cut(name, value) for name, value in fields.items()}, default=str)
        if len(line) > MAX_LINE_BYTES:
            line = json.dumps({"message": "a log line was too long", "cut": line[:MAX_FIELD_CHARACTERS]})
        return line


def configure_logs(level: str) -> None:
    """Write all logs of the process to standard error. Called by the command that serves, never by a library."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _cut(name: str, value: object) -> object:
    if isinstance(value, str) and name != "traceback":
        return value[:MAX_FIELD_CHARACTERS]
    return value
