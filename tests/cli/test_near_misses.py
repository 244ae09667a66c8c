"""What is mistyped names what was meant, whatever it is."""

import pytest

from wyoming_qwen3.cli.near_misses import unknown_command, unknown_option
from wyoming_qwen3.cli.option_table import OPTIONS
from wyoming_qwen3.cli.options import parse

FLAGS = [option.flag for option in OPTIONS]


def mistyped(flag: str) -> set[str]:
    """The flag with one letter left out, doubled or swapped with the next, and with other dashes."""
    name = flag.removeprefix("--")
    inside = range(1, len(name) - 1)
    left_out = {name[:at] + name[at + 1 :] for at in inside}
    swapped = {name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in inside}
    doubled = {name[:at] + name[at] + name[at:] for at in inside}
    wrong = {f"--{one}" for one in left_out | swapped | doubled}
    return (wrong | {f"-{name}", flag.replace("-", "_").replace("__", "--", 1)}) - set(FLAGS)


@pytest.mark.parametrize("flag", FLAGS)
def test_each_option_is_found_by_a_mistyped_one(flag: str) -> None:
    for wrong in mistyped(flag):
        assert flag in unknown_option(wrong, "serve", FLAGS, {}), wrong


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--port", "--http-port"),
        ("--port=10300", "--uri tcp://0.0.0.0:PORT"),
        ("--host", "--http-host"),
        ("--listen", "--uri"),
        ("--api-port", "--http-port"),
        ("--voice-dir", "--voices-dir"),
        ("--voice_dir", "--voices-dir"),
        ("--piper", "leave it out"),
        ("--device-index", "--device cuda:N"),
        ("--cuda", "--device cuda"),
        ("--use-cuda", "--help"),
        ("--output_file", "say -o FILE"),
    ],
)
def test_an_option_of_another_server_names_ours(given: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse([given, "10200"], {})
    assert exit_.value.code == 2
    printed = capsys.readouterr().err
    assert meant in printed
    assert printed.count("\n") == 1


def test_what_an_option_of_another_server_is_told_to_use_exists() -> None:
    """No option that is named as the one meant has gone or has another name."""
    known = {*FLAGS, "--server", "--instruct"}
    for given in ("port", "host", "device-index", "cuda", "token", "url", "cpu-threads", "compute-type", "cache-dir"):
        said = unknown_option(f"--{given}", "serve", FLAGS, {}).partition(";")[2]
        named = {word.strip(".,") for word in said.split() if word.startswith("--")}
        assert named
        assert named <= known


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["say", "Hi", "--http-port", "80"], "The command say has no option --http-port; serve has it."),
        (["download", "--voice", "ryan"], "The command download has no option --voice; serve has it."),
        (["--instruct", "x", "say", "Hi"], "The option --instruct belongs to say; write it after that word."),
        (["-o", "x.wav", "say", "Hi"], "The option -o belongs to say; write it after that word."),
        (["serve", "-o", "x.wav"], "The command serve has no option -o; say has it."),
        (["say", "Hi", "--instrct", "x"], "There is no option --instrct; did you mean --instruct?"),
        (["download", "all"], "The command download takes no 'all'."),
        (["speak", "Hi"], "There is no command 'speak'; did you mean say?"),
        (["dowload"], "There is no command 'dowload'; did you mean download?"),
        (["Hello."], "There is no command 'Hello.'; choose one of serve, say, voices, download."),
        (["say", "Hi", "-o", "x.ogx"], "does not end with one of .wav, .mp3, .flac, .opus, .ogg, .aac"),
        (["say", "Hi", "--server", "tcp://host:10200"], "is for Wyoming; give the HTTP address"),
        (["voices", "--server", "host:8880"], "'host:8880' is not an address such as http://localhost:8880"),
        (["say", "Hi", "-o", "x"], "does not end with one of .wav"),
    ],
)
def test_what_belongs_to_another_command_says_so(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(arguments, {})
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def test_a_variable_is_found_by_a_mistyped_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse([], {"TTS_QWEN3_MODLE": "0.6B"})
    assert "did you mean TTS_QWEN3_MODEL?" in capsys.readouterr().err


def test_a_command_like_none_is_not_guessed() -> None:
    assert "did you mean" not in unknown_command("xyzzy", ("serve", "say"))
