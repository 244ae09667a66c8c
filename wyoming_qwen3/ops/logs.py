"""Log format and rate limit: a record is one line, whatever a client puts into it, and no client can flood the log."""

import logging
import re
import time
from collections.abc import Mapping

from wyoming_qwen3.core.errors import SpeechError

from .recent import RecentKeys

_LOGGER = logging.getLogger(__name__)

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_MAX_CHARACTERS = 1_000
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]")

_MAX_A_MINUTE = 30
_MINUTE = 60.0
_MAX_KNOWN = 256


class Lines(logging.Formatter):
    """Formats messages without characters that break or reverse a line, and cuts long ones.

    A traceback keeps its lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """Return the line."""
        record.message = one_line(record.message)
        return super().formatMessage(record)


def one_line(text: str) -> str:
    """Return the text cut to `_MAX_CHARACTERS`, with unprintable characters escaped."""
    if len(text) > _MAX_CHARACTERS:
        text = f"{text[:_MAX_CHARACTERS]}... ({len(text):,} characters)"
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def write_lines(level: str) -> None:
    """Set up logging for this process."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler])


class RequestLog:
    """Logs a line for each request that was answered with an error or in another way than it asked for.

    Errors of clients and replaced requests get at most `_MAX_A_MINUTE` lines a minute; the rest are counted.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._logged = 0
        self._unlogged = 0

    def log_replaced(self, source: str, warning: str, **facts: object) -> None:
        """Log that a request to `source` was met in another way than it asked for; `warning` is the sentence on it."""
        if self._may_log():
            _LOGGER.warning("Replaced source=%s%s: %s%s", source, _known(facts), warning, self._more())
        else:
            self._unlogged += 1

    def log_error(self, source: str, error: SpeechError, *, theirs: bool, **facts: object) -> None:
        """Log that a request to `source` was answered with an error.

        `theirs` tells whether that is the client's fault; `facts` identify the request.
        """
        if theirs and not self._may_log():
            self._unlogged += 1
            return
        verb = "Refused" if theirs else "Failed"
        about = _known(facts) + (f" {error.utterance}" if error.utterance else "")
        _LOGGER.warning("%s source=%s code=%s%s: %s%s", verb, source, error.code, about, error, self._more())

    def _more(self) -> str:
        others, self._unlogged = self._unlogged, 0
        return f" (and {others:,} before, not logged)" if others else ""

    def _may_log(self) -> bool:
        if (now := time.monotonic()) - self._since > _MINUTE:
            self._since, self._logged = now, 0
        self._logged += 1
        return self._logged <= _MAX_A_MINUTE


class WarningLog:
    """Logs each warning once for each client."""

    def __init__(self, request_log: RequestLog) -> None:
        self._request_log = request_log
        self._seen = RecentKeys[tuple[str, str, str]](_MAX_KNOWN)

    def add(self, caller: tuple[str, str], warning: str) -> None:
        """Log that a request was met in another way than it asked for, unless that is known.

        `caller` is the request's source and its client. At most `_MAX_KNOWN` warnings are remembered.
        """
        source, client = caller
        if self._seen.add((source, client, warning)):
            self._request_log.log_replaced(source, warning, client=client)


def _known(facts: Mapping[str, object]) -> str:
    return "".join(f" {name}={value}" for name, value in facts.items())
