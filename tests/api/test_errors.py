"""How errors are told: the table by which they get a status, and the sentences for what is wrong with a body."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from wyoming_qwen3.api.batch import BatchBody
from wyoming_qwen3.api.errors import HttpError, error_body, error_headers, status_for
from wyoming_qwen3.api.speech import SpeechBody, SpeechQuery
from wyoming_qwen3.api.validation import Fields, ignored_headers, parse_json, parse_query
from wyoming_qwen3.core import errors
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError

# Status, type, seconds after which to ask again: every class that can be raised has its row.
TABLE: dict[type[SpeechError], tuple[int, str, int | None]] = {
    errors.SpeechError: (500, "server_error", None),
    errors.InvalidRequest: (400, "invalid_request_error", None),
    errors.LanguageNotSupported: (400, "invalid_request_error", None),
    errors.InstructionsNotSupported: (400, "invalid_request_error", None),
    errors.VoiceNotFound: (400, "invalid_request_error", None),
    errors.ModelNotFound: (404, "invalid_request_error", None),
    errors.NameExists: (400, "invalid_request_error", None),
    errors.NotFound: (404, "invalid_request_error", None),
    errors.TooLarge: (413, "invalid_request_error", None),
    errors.TextTimeout: (408, "invalid_request_error", None),
    errors.NotSupported: (501, "server_error", None),
    errors.Unavailable: (503, "server_error", 2),
    errors.QueueFull: (429, "rate_limit_error", 2),
    errors.ModelInUse: (503, "server_error", 2),
    errors.ModelMissing: (503, "server_error", None),
    errors.ModelLoading: (503, "server_error", 10),
    errors.ModelDamaged: (503, "server_error", 30),
    errors.ModelFailed: (503, "server_error", 30),
    errors.OutOfMemory: (503, "server_error", 30),
    errors.BackendUnavailable: (503, "server_error", 5),
    errors.DownloadFailed: (503, "server_error", None),
    errors.TransientDownloadFailed: (503, "server_error", None),
    errors.EngineFailed: (500, "server_error", 2),
    errors.RunawaySpeech: (500, "server_error", None),
    errors.StorageFailed: (507, "server_error", None),
}


def all_errors(root: type[SpeechError] = SpeechError) -> Iterator[type[SpeechError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from all_errors(child)


def complaint(model: type[Fields], data: bytes | dict[str, Any]) -> tuple[str | None, str]:
    """Which field is at fault, and what is said of all of them."""
    with pytest.raises(InvalidRequest) as caught:
        parse_json(data if isinstance(data, bytes) else json.dumps(data), model)
    return caught.value.param, str(caught.value)


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_has_its_status(kind: type[SpeechError]) -> None:
    status, name, retry_after = TABLE[kind]
    error = kind("No.", param="voice")
    assert status_for(error).status == status
    assert error_body(error) == {"error": {"message": "No.", "type": name, "param": "voice", "code": kind.code}}
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    if status >= 500 and not retry_after:
        headers = {"X-Should-Retry": "false"}
    assert error_headers(error) == headers


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (415, "invalid_request_error"),
        (500, "server_error"),
    ],
)
def test_errors_of_http_alone_have_openais_types(status: int, name: str) -> None:
    error = HttpError(status, "some_code", "No.")
    assert error_body(error) == {"error": {"message": "No.", "type": name, "param": None, "code": "some_code"}}
    assert error_headers(error) == ({"X-Should-Retry": "false"} if status >= 500 else {})


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"voice": 5}, "voice", "voice should be a valid string, but is 5."),
        ({"voice": ["Ryan"]}, "voice", "voice should be a valid string, but is a list."),
        ({"voice": {}}, "voice.id", "voice.id is missing."),
        ({"voice": {"id": None}}, "voice.id", "voice.id should be a valid string, but is null."),
        ({"model": True}, "model", "model should be a valid string, but is true."),
        ({"speed": 9}, "speed", "speed should be less than or equal to 4, but is 9."),
        ({"speed": 0}, "speed", "speed should be greater than or equal to 0.25, but is 0."),
        ({"speed": "fast"}, "speed", 'speed should be a valid number, but is "fast".'),
        ({"speed": float("nan")}, "speed", "speed should be a finite number, but is NaN."),
        ({"speed": float("-inf")}, "speed", "speed should be a finite number, but is -Infinity."),
        ({"seed": 1.5}, "seed", "seed should be a valid integer, but is 1.5."),
        ({"seed": 2**63}, "seed", f"seed should be less than or equal to {2**63 - 1}, but is {2**63}."),
        ({"seed": "9" * 5000}, "seed", "seed: Unable to parse input string as an integer, exceeded maximum size."),
        ({"stream": "maybe"}, "stream", 'stream should be a valid boolean, but is "maybe".'),
        ({"stream_format": "sse2"}, "stream_format", "stream_format should be 'audio' or 'sse', but is \"sse2\"."),
        ({"instructions": {"a": 1}}, "instructions", "instructions should be a valid string, but is an object."),
        ({"effects": "reverb"}, "effects", 'effects should be a valid array, but is "reverb".'),
        ({"effects": [{}, 1, 2]}, "effects.1", "effects.1 should be an object, but is 1."),
        (
            {"response_format": "ogg"},
            "response_format",
            "response_format should be 'mp3', 'opus', 'aac', 'flac', 'wav' or 'pcm', but is \"ogg\".",
        ),
        (
            {"ref_text": "line\n" * 1000},
            "ref_text",
            'ref_text should have at most 2000 characters, but is "' + "line\\n" * 12 + '…".',
        ),
        (
            {"speed": 9, "seed": -1, "input": None},
            "speed",
            "speed should be less than or equal to 4, but is 9. seed should be greater than or equal to 0, but is -1. "
            "input should be a valid string, but is null.",
        ),
    ],
)
def test_a_wrong_field_is_one_sentence(fields: dict[str, Any], param: str, sentence: str) -> None:
    assert complaint(SpeechBody, {"input": "Hi.", **fields}) == (param, sentence)


def test_a_missing_field_is_named() -> None:
    assert complaint(SpeechBody, {}) == ("input", "input is missing.")
    assert complaint(BatchBody, {"items": [{"input": "Hi."}, {}]}) == ("items.1.input", "items.1.input is missing.")


def test_at_most_five_faults_are_told() -> None:
    wrong = dict.fromkeys(("speed", "seed", "temperature", "top_k", "top_p", "max_new_tokens"), -1)
    assert complaint(SpeechBody, {"input": "Hi.", **wrong})[1].count("but is -1.") == 5


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not valid JSON: EOF"),
        (b"{'input': 'Hi.'}", "not valid JSON: key must be a string"),
        (b'{"input": "Hi."', "not valid JSON: EOF"),
        (b'{"input": "Hi."} {}', "not valid JSON: trailing characters"),
        ('{"input": "Grüße."}'.encode("latin-1"), "not valid JSON: invalid unicode"),
        ('{"input": "Hi."}'.encode("utf-16"), "not valid JSON"),
        (b'{"input": "Hi.", "seed": ' + b"9" * 5000 + b"}", "not valid JSON: number out of range"),
        (b'{"input": "Hi.", "x": ' + b"[" * 100_000, "not valid JSON: recursion limit"),
        (b'{"input": "Hi.", "effects": [' + b'{"a":' * 100_000, "not valid JSON: recursion limit"),
        (b"[]", "A JSON object is expected."),
        (b"null", "A JSON object is expected."),
        (b'"Hi."', "A JSON object is expected."),
    ],
    ids=range(12),
)
def test_what_is_no_json_object_is_said_to_be_none(data: bytes, said: str) -> None:
    param, message = complaint(SpeechBody, data)
    assert param is None
    assert said in message


def test_millions_of_wrong_items_are_one_fault() -> None:
    """Each would be an error of several hundred bytes."""
    assert complaint(SpeechBody, b'{"input": "Hi.", "effects": [' + b"1," * 2_000_000 + b"1]}")[1].count(".") == 2


@pytest.mark.parametrize("name", [name for name in SpeechBody.model_fields if name != "input"])
def test_null_is_the_same_as_nothing(name: str) -> None:
    body = parse_json(json.dumps({"input": "Hi.", name: None}), SpeechBody)
    assert getattr(body, name) == SpeechBody.model_fields[name].default


def test_a_wrong_query_is_refused_and_an_unknown_one_is_not() -> None:
    def query(text: str) -> web.Request:
        return make_mocked_request("POST", f"/v1/audio/speech?{text}")

    assert parse_query(query("stream=true&api-version=1"), SpeechQuery).stream is True
    with pytest.raises(InvalidRequest, match='stream should be a valid boolean, but is "maybe"'):
        parse_query(query("stream=maybe"), SpeechQuery)


@pytest.mark.parametrize(
    ("names", "header"),
    [
        (["word_timestamps", "extra"], "extra, word_timestamps"),
        (["a\r\nX-Evil: 1\0\x7f"], r"a\r\nX-Evil: 1\u0000\u007f"),
        (["ü", "日本", "🎉", "\u2028"], r"\u00fc, \u2028, \u65e5\u672c, \ud83c\udf89"),
        (["a" * 1000], "a" * 60),
    ],
)
def test_ignored_fields_are_named_in_plain_ascii(names: list[str], header: str) -> None:
    fields = parse_json(json.dumps({"input": "Hi.", **dict.fromkeys(names, 1)}), SpeechBody)
    assert ignored_headers(fields) == {"X-Ignored-Fields": header}


def test_ignored_fields_of_several_models_are_named_once() -> None:
    one, two = (parse_json(json.dumps({"input": "Hi.", "x": 1, name: 2}), SpeechBody) for name in "yz")
    assert ignored_headers(one, two) == {"X-Ignored-Fields": "x, y, z"}
    assert ignored_headers(parse_json('{"input": "Hi."}', SpeechBody)) == {}


def test_many_ignored_fields_are_a_short_header() -> None:
    data = ",".join(f'"{number}":0' for number in range(100_000))
    header = ignored_headers(parse_json(f'{{"input":"Hi.",{data}}}', SpeechBody))["X-Ignored-Fields"]
    assert len(header) <= 500
