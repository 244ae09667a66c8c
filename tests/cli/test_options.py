import re
from pathlib import Path

import pytest

from wyoming_qwen3.cli.option_table import OPTIONS
from wyoming_qwen3.cli.options import SupervisorAccess, parse

ROOT = Path(__file__).parents[2]


def test_defaults() -> None:
    settings = parse([], {"XDG_DATA_HOME": "/x"})
    assert settings.command == "serve"
    assert settings.shown_options["data_dir"] == "/x/wyoming-qwen3"
    assert settings.uri == "tcp://0.0.0.0:10200"
    assert settings.models_dir == Path("/x/wyoming-qwen3/models")
    assert settings.model is None
    assert settings.voice.id == "ryan"
    assert settings.language is None
    assert settings.standby == "auto"
    assert settings.text_streaming == "sentence"
    assert settings.preload == ("custom_voice",)
    assert settings.download
    assert settings.zeroconf is None
    assert (settings.http_host, settings.http_port) == ("0.0.0.0", 8880)
    assert settings.api_key is None
    assert settings.max_input == 4096
    assert settings.voice_fallback == "auto"


def test_http_can_be_off() -> None:
    assert parse(["--no-http"], {}).http_port is None
    assert parse(["--uri", "stdio://"], {}).http_port is None


def test_the_engine_is_started_with_the_options_that_are_its_own() -> None:
    as_told = ("--device", "auto", "--dtype", "auto", "--quantize", "auto", "--codec", "int16", "--threads", "0")
    given = ["--data-dir", "/d"]
    assert parse(given, {}).engine_arguments == (*as_told, "--models-dir", "/d/models", "--log-level", "INFO")
    chosen = [
        "--no-graphs",
        "--dtype",
        "bfloat16",
        "--threads",
        "3",
        "--debug",
        "--quantize",
        "int4",
        "--codec",
        "int8",
    ]
    expected = ("--device", "auto", "--dtype", "bfloat16", "--quantize", "int4", "--codec", "int8", "--threads", "3")
    assert parse([*chosen, "--models-dir", "/m"], {}).engine_arguments == (
        *expected,
        "--no-graphs",
        "--models-dir",
        "/m",
        "--log-level",
        "DEBUG",
    )


def test_the_ingress_has_a_port_of_its_own_or_none() -> None:
    assert parse([], {}).ingress_port is None
    assert parse([], {}).ingress_address == "172.30.32.2"
    alone = parse(["--no-http", "--ingress-port", "8880"], {})
    assert (alone.http_port, alone.ingress_port) == (None, 8880)
    assert parse(["--uri", "stdio://", "--ingress-port", "8099"], {}).ingress_port is None


@pytest.mark.parametrize(
    ("option", "value", "name", "expected"),
    [
        ("--uri", "unix:///tmp/x", "uri", "unix:///tmp/x"),
        ("--data-dir", "/d", "models_dir", Path("/d/models")),
        ("--models-dir", "/m", "models_dir", Path("/m")),
        ("--model", "1.7b", "model", "1.7B"),
        ("--model", "AUTO", "model", None),
        ("--device", "cuda:1", "device", "cuda:1"),
        ("--standby", "ONLY", "standby", "only"),
        ("--text-streaming", "token", "text_streaming", "token"),
        ("--start", "ASAP", "start", "asap"),
        ("--max-hold", "2.5", "max_hold", 2.5),
        ("--text-timeout", "60", "text_timeout", 60.0),
        ("--normalize", "all", "normalize", "all"),
        ("--sentence-pause", "0.5", "sentence_pause", 0.5),
        ("--preload", "none", "preload", ()),
        ("--preload", "base, custom_voice", "preload", ("custom_voice", "base")),
        ("--idle-unload", "600", "idle_unload", 600.0),
        ("--memory-budget", "1.5G", "memory_budget", 3 << 29),
        ("--memory-budget", "800 MiB", "memory_budget", 800 << 20),
        ("--zeroconf", "kitchen", "zeroconf", "kitchen"),
        ("--clear-cache", "off", "clear_cache", False),
        ("--log-level", "debug", "log_level", "DEBUG"),
        ("--revision", "abc", "revision", "abc"),
        ("--style", "calmly", "style", "calmly"),
        ("--speed", "1.25", "speed", 1.25),
        ("--hf-endpoint", "https://hub.example/", "hf_endpoint", "https://hub.example"),
        ("--hf-token", "hf_x", "hf_token", "hf_x"),
        ("--proxy", "socks5h://proxy:1080", "proxy", "socks5h://proxy:1080"),
        ("--uri", "tcp://[::1]:10200", "uri", "tcp://[::1]:10200"),
        ("--http-host", "::1", "http_host", "::1"),
        ("--http-host", "[::1]", "http_host", "::1"),
        ("--http-host", "localhost", "http_host", "localhost"),
        ("--http-port", "80", "http_port", 80),
        ("--ingress-port", "8099", "ingress_port", 8099),
        ("--ingress-address", "::1", "ingress_address", "::1"),
        ("--ingress-address", "[::1]", "ingress_address", "::1"),
        ("--api-key", "secret", "api_key", "secret"),
        ("--cors-origins", "http://a, https://b", "cors_origins", ("http://a", "https://b")),
        ("--allowed-hosts", "tts.example.org", "allowed_hosts", ("tts.example.org",)),
        ("--max-input", "100000", "max_input", 100_000),
        ("--max-active", "2", "max_active", 2),
        ("--max-waiting", "0", "max_waiting", 0),
        ("--voice-fallback", "on", "voice_fallback", "on"),
        ("--voice-fallback", "OFF", "voice_fallback", "off"),
        ("--voice-fallback", "auto", "voice_fallback", "auto"),
        ("--voice-fallback", "true", "voice_fallback", "on"),
        ("--voice-fallback", "0", "voice_fallback", "off"),
    ],
)
def test_an_option_is_read_from_the_command_line_and_the_environment(
    option: str, value: str, name: str, expected: object
) -> None:
    variable = "TTS_QWEN3_" + option[2:].replace("-", "_").upper()
    assert getattr(parse([option, value], {}), name) == expected
    assert getattr(parse([], {variable: value}), name) == expected


@pytest.mark.parametrize("arguments", [["--voice-fallback"], ["--voice-fallback", "--model", "0.6B"]])
def test_voice_fallback_is_still_a_switch_that_is_on(arguments: list[str]) -> None:
    assert parse(arguments, {}).voice_fallback == "on"
    assert parse(["serve", *arguments], {"TTS_QWEN3_VOICE_FALLBACK": "off"}).voice_fallback == "on"


def test_sampling_options_reach_the_sampling() -> None:
    options = "--temperature 0 --top-k 5 --top-p 0.9 --repetition-penalty 1.1 --seed 7 --max-frames 99"
    sampling = parse(options.split(), {}).sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.0, 5, 0.9)
    assert (sampling.repetition_penalty, sampling.seed, sampling.max_frames) == (1.1, 7, 99)


def test_the_command_line_wins_over_the_environment() -> None:
    assert parse(["--model", "0.6B"], {"TTS_QWEN3_MODEL": "1.7B"}).model == "0.6B"


@pytest.mark.parametrize("value", ["1", "true", "Yes", "on"])
def test_switches_have_variables_too(value: str) -> None:
    assert not parse([], {"TTS_QWEN3_NO_DOWNLOAD": value}).download
    assert parse([], {"TTS_QWEN3_LOCAL_FILES_ONLY": "off"}).download


def test_a_voice_with_a_language_sets_the_language() -> None:
    settings = parse(["--voice", "vivian-de"], {})
    assert settings.voice.id == "vivian"
    assert settings.language is not None
    assert settings.language.code == "de"


def test_the_supervisor_is_known_by_its_own_variables() -> None:
    assert parse([], {}).supervisor is parse([], {"SUPERVISOR_TOKEN": ""}).supervisor is None
    assert parse([], {"SUPERVISOR_TOKEN": "a"}).supervisor == SupervisorAccess("http://supervisor", "a")
    elsewhere = parse([], {"SUPERVISOR_TOKEN": "a", "SUPERVISOR_API": "http://localhost:1"})
    assert elsewhere.supervisor == SupervisorAccess("http://localhost:1", "a")


@pytest.mark.parametrize("order", [["--model", "0.6B", "say", "Hi"], ["say", "Hi", "--model", "0.6B"]])
def test_options_stand_before_or_after_the_command(order: list[str]) -> None:
    settings = parse(order, {"TTS_QWEN3_STANDBY": "off"})
    assert (settings.command, settings.text, settings.model, settings.standby) == ("say", "Hi", "0.6B", "off")


def test_what_is_given_is_known_from_what_is_left_to_the_server() -> None:
    given = parse(["say", "Hi", "--seed", "7"], {"TTS_QWEN3_MODEL": "0.6B"}).chosen
    assert {"seed", "model"} <= given
    assert not {"voice", "language", "temperature"} & given


def test_auto_on_the_command_line_wins_over_a_size_in_the_environment() -> None:
    assert parse(["--model", "auto"], {"TTS_QWEN3_MODEL": "1.7B"}).model is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["say", "Hi"], "Hi"),
        (["say", "The", "front", "door."], "The front door."),
        (["say", "--model", "0.6B", "The", "door", "--seed", "7", "is open."], "The door is open."),
        (["say", "-5 degrees"], "-5 degrees"),
        (["say", "-5"], "-5"),
        (["say", "--", "--help"], "--help"),
        (["say"], None),
        (["say", "-"], "-"),
    ],
)
def test_words_of_say_are_its_text(arguments: list[str], text: str | None) -> None:
    assert parse(arguments, {}).text == text


@pytest.mark.parametrize(
    ("arguments", "most"), [(["--help"], 45), (["say", "--help"], 90), (["download", "--help"], 30)]
)
def test_help_is_short_in_groups_and_has_the_defaults(
    arguments: list[str], most: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as exit_:
        parse(arguments, {})
    printed = capsys.readouterr().out
    assert exit_.value.code == 0
    assert printed.count("\n") <= most
    assert "Models:\n" in printed
    assert re.search(r"--log-level LEVEL +DEBUG, INFO, WARNING or ERROR \(default INFO\)", printed)
    assert "False" not in printed


def test_the_help_of_a_command_begins_with_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    for command, own, others in (("say", "--output", "--http-port"), ("download", "--kind", "--voice")):
        with pytest.raises(SystemExit):
            parse([command, "--help"], {})
        printed = capsys.readouterr().out
        assert printed.index(own) < printed.index("--data-dir")
        assert others not in printed


def test_the_help_of_serve_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["serve", "--help"], {})
    printed = capsys.readouterr().out
    assert [option.flag for option in OPTIONS if f"  {option.flag}" not in printed] == []


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--model", "7B"], {}, "'7B' is not one of 0.6B, 1.7B, auto"),
        (["--uri", "http://x"], {}, "is not one of tcp://HOST:PORT"),
        (["--uri", "tcp://x:99999"], {}, "is not one of tcp://HOST:PORT"),
        (["--uri", "tcp://::1:10200"], {}, "write an IPv6 address in brackets, as in tcp://[::1]:10200"),
        (["--vllm-url", "http://fd00::2:8091"], {}, "write an IPv6 address in brackets, as in http://[::1]:8091"),
        (["--voice", "nobody"], {}, "no voice 'nobody'"),
        (["--language", "nl"], {}, "'nl' is not supported"),
        (["--temperature", "-1"], {}, "--temperature: '-1' is not a number between 0 and 5"),
        (["--temperature", "hot"], {}, "--temperature"),
        (["--preload", "all"], {}, "not a list of"),
        (["--memory-budget", "lots"], {}, "not a size"),
        (["--memory-budget", "0"], {}, "not a size"),
        (["--sentence-pause", "nan"], {}, "not a number"),
        (["--ingress-port", "8880"], {}, "--ingress-port and --http-port must be different ports"),
        (["--ingress-address", "supervisor"], {}, "'supervisor' is not an IP address"),
        (["--voice-fallback", "maybe"], {}, "'maybe' is not one of auto, on, off"),
        ([], {"TTS_QWEN3_VOICE_FALLBACK": "maybe"}, "VOICE_FALLBACK: 'maybe' is not one of auto, on, off"),
        (["--nonsense"], {}, "--nonsense"),
        (["sing"], {}, "sing"),
        ([], {"TTS_QWEN3_MODEL": "7B"}, "TTS_QWEN3_MODEL: '7B' is not one of"),
        ([], {"TTS_QWEN3_TOP_K": "x"}, "TTS_QWEN3_TOP_K: 'x' is not a whole number between 0 and 3072"),
        ([], {"TTS_QWEN3_NO_DOWNLOAD": "maybe"}, "'maybe' is not one of on, off, true"),
        ([], {"TTS_QWEN3_MODLE": "0.6B"}, "no option for the environment variable TTS_QWEN3_MODLE"),
    ],
)
def test_what_is_not_understood_is_one_line_and_exit_code_2(
    arguments: list[str], environment: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments, environment)
    assert exit_.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_every_option_is_documented_and_no_other() -> None:
    documents = [ROOT / "README.md", ROOT / "docs" / "scaling.md"]
    table = "\n".join(file.read_text() for file in documents)
    assert [option.flag for option in OPTIONS if not re.search(rf"{option.flag}(?![\w-])", table)] == []
    named = re.findall(r"^\| .*", (ROOT / "README.md").read_text(), re.MULTILINE)
    flags = {flag for row in named for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", row.split("|")[1])}
    assert flags <= {option.flag for option in OPTIONS}
