"""JSON as programs send it."""

import json

import pytest
from pydantic import BaseModel

from wyoming_qwen3.api.validation import parse_json, repaired_json
from wyoming_qwen3.core.errors import InvalidRequest


class Line(BaseModel):
    text: str


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (r'{"text": "a"}', "a"),
        ('\ufeff{"text": "a"}', "a"),
        (r'{"text": "Hi \ud83d"}', "Hi "),
        (r'{"text": "\ude00 Hi"}', " Hi"),
        (r'{"text": "\ud83d\ude00 \uD83D"}', "\U0001f600 "),
        (r'{"text": "\ud83d\ud83d\ude00"}', "\U0001f600"),
        (r'{"text": "C:\\ud83d \ud83d"}', r"C:\ud83d "),
        (r'{"text": "\u00e9 \ud83d \" \n"}', 'é  " \n'),
    ],
)
def test_a_byte_order_mark_and_halves_of_characters_cost_nothing(data: str, text: str) -> None:
    assert parse_json(data, Line).text == text
    assert parse_json(data.encode(), Line).text == text


@pytest.mark.parametrize(
    "data", ["{", '{"text": "\\x"}', '{"text": 5}', "\ufeff", '{"text": "\\ud83d"', '{"text": "\\ud8"}']
)
def test_what_is_no_json_is_refused(data: str) -> None:
    for given in (data, data.encode()):
        with pytest.raises(InvalidRequest):
            parse_json(given, Line)


def test_whole_characters_are_left_as_they_are() -> None:
    data = json.dumps({"text": "\U0001f600\\ud83d\u00e9"})
    assert repaired_json(data) == data
