"""What is written into the log: a line for each record, and not as many as a client likes."""

import logging

import pytest

from wyoming_qwen3.core.errors import EngineFailed, InvalidRequest
from wyoming_qwen3.ops import logs
from wyoming_qwen3.ops.logs import Lines, RequestLog, WarningLog, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Spoke source=wyoming", "Spoke source=wyoming"),
        ("Grüße, 你好, 🎉", "Grüße, 你好, 🎉"),
        ("a\nb\r\nc", "a\\nb\\r\\nc"),
        ("\x1b[31mred\0", "\\x1b[31mred\\x00"),
        ("\u2028\u202e\ud83d", "\\u2028\\u202e\\ud83d"),
        ("x" * 1_200, "x" * 1_000 + "... (1,200 characters)"),
    ],
)
def test_a_message_is_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
    line.encode()


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.LogRecord("x", 40, __file__, 1, "a %s", ("b\nc",), (ValueError, error, error.__traceback__))
    text = Lines("%(levelname)s %(name)s: %(message)s").format(record)
    assert text.startswith("ERROR x: a b\\nc\nTraceback (most recent call last):\n")


def test_a_fault_is_a_line_with_what_a_machine_may_want(caplog: pytest.LogCaptureFixture) -> None:
    request_log = RequestLog()
    request_log.log_error("http", InvalidRequest("Too long."), theirs=True, status=400, client="10.0.0.2")
    request_log.log_error("wyoming", EngineFailed("It died."), theirs=False, client="local")
    assert caplog.messages == [
        "Refused source=http code=invalid_request status=400 client=10.0.0.2: Too long.",
        "Failed source=wyoming code=engine_failed client=local: It died.",
    ]


def test_clients_faults_do_not_fill_the_log_and_hide_none_of_ours(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_MAX_A_MINUTE", 3)
    request_log, garbage = RequestLog(), InvalidRequest("No event.")
    for _ in range(1_000):
        request_log.log_error("wyoming", garbage, theirs=True)
    assert len(caplog.messages) == 3
    request_log.log_error("wyoming", EngineFailed("It died."), theirs=False)
    assert caplog.messages[-1].endswith("It died. (and 997 before, not logged)")
    monkeypatch.setattr(logs, "_MINUTE", 0.0)
    for _ in range(2):
        request_log.log_error("wyoming", garbage, theirs=True)
    assert caplog.messages[-2:] == ["Refused source=wyoming code=invalid_request: No event."] * 2


def test_a_warning_is_logged_once_for_each_client(caplog: pytest.LogCaptureFixture) -> None:
    log = WarningLog(RequestLog())
    for _ in range(3):
        for client in ("10.0.0.2", "10.0.0.3"):
            log.add(("speech", client), "The instructions were left out.")
    log.add(("speech", "10.0.0.2"), "Another one.")
    assert caplog.messages == [
        "Replaced source=speech client=10.0.0.2: The instructions were left out.",
        "Replaced source=speech client=10.0.0.3: The instructions were left out.",
        "Replaced source=speech client=10.0.0.2: Another one.",
    ]
