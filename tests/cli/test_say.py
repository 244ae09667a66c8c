"""The commands for a terminal, run as a person runs them."""

import os
import subprocess
import sys
import time
import wave
from pathlib import Path

import pytest

from tests.conftest import CUSTOM_VOICE, environment
from tests.hub import Hub
from tests.program import everything_in, run
from tests.waiting import HANG_SECONDS


def seconds(file: Path) -> float:
    with wave.open(str(file)) as audio:
        assert (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) == (24_000, 1, 2)
        return float(audio.getnframes() / audio.getframerate())


def test_say_writes_a_playable_file_and_tells_who_spoke(tmp_path: Path) -> None:
    result = run(tmp_path, "say", "The front door is open.", "-o", str(tmp_path / "door.wav"))
    assert result.returncode == 0, result.stderr
    assert seconds(tmp_path / "door.wav") > 1
    assert "Spoken by standby" in result.stderr
    assert list(tmp_path.glob(".*")) == []


def test_say_speaks_qwen3_where_there_is_a_checkpoint(tmp_path: Path, models_dir: Path) -> None:
    options = ("--models-dir", str(models_dir), "--model", "1.7B", "--standby", "off", "--local-files-only")
    output = str(tmp_path / "door.wav")
    result = run(tmp_path, *options, "say", "-", "-o", output, "--instruct", "whisper", text="The door.\n")
    assert result.returncode == 0, result.stderr
    assert seconds(tmp_path / "door.wav") > 0.3
    assert "Spoken by Qwen3-TTS-12Hz-1.7B-CustomVoice" in result.stderr


def test_say_speaks_what_comes_by_a_pipe_while_it_comes(tmp_path: Path) -> None:
    """The player gets sound before the text has ended."""
    (player := tmp_path / "pw-play").write_text(
        "#!/bin/sh\nhead -c 4800 >$HEARD.part && mv $HEARD.part $HEARD && cat >>$HEARD\n"
    )
    player.chmod(0o755)
    heard = tmp_path / "heard"
    variables = environment(PATH=f"{tmp_path}:{os.environ['PATH']}", HEARD=str(heard))
    command = [sys.executable, "-m", "wyoming_qwen3", "--data-dir", str(tmp_path / "data"), "say", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=variables) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write(b"The front door is open. It has ")
        process.stdin.flush()
        while not heard.exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        size = heard.stat().st_size
        process.stdin.write("been so for ten minutes, grüßt die Tür.".encode()[:-1])
        process.stdin.close()
        assert process.wait(HANG_SECONDS) == 0, process.stderr.read()
    assert heard.stat().st_size > size


def test_a_pipe_that_says_nothing_more_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wyoming_qwen3", "--data-dir", str(tmp_path / "data"), "--text-timeout", "2"]
    command += ["say", "-", "-o", str(tmp_path / "door.wav")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdin
        assert process.stderr
        process.stdin.write("The front door is open.")
        process.stdin.flush()
        said = process.stderr.read()
        assert process.wait(HANG_SECONDS) == 1
    assert "Neither text nor its end arrived for 2 seconds" in said
    assert "Traceback" not in said
    assert not (tmp_path / "door.wav").exists()


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [("cat >$HEARD", 0, "Spoken by standby"), ("exit 1", 1, "The player pw-play stopped before the end")],
)
def test_without_a_file_a_player_is_fed(tmp_path: Path, script: str, code: int, said: str) -> None:
    """Whatever player there is gets raw samples; one that stops is said."""
    (player := tmp_path / "pw-play").write_text(f"#!/bin/sh\n{script}\n")
    player.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = run(tmp_path, "say", "The front door is open. " * 20, PATH=path, HEARD=str(tmp_path / "heard"))
    assert result.returncode == code, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert code or (tmp_path / "heard").stat().st_size > 20 * 24_000 * 2


def test_show_text_prints_the_pieces_and_starts_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, "say", "--show-text", "**Hi**, see [the docs](https://example.com)! 🎉 [pause:1s] Bye.")
    assert result.stdout == "Hi, see the docs!\n[pause 1 s]\nBye.\n"
    assert result.stderr == ""
    assert not (tmp_path / "data").exists()


def test_voices_lists_the_nine(tmp_path: Path) -> None:
    lines = run(tmp_path, "voices").stdout.splitlines()
    assert len(lines) == 9
    assert lines[5].split()[:2] == ["ryan", "english"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("say", "Hi", "--voice", "bob"), 2, "no voice 'bob'"),
        (("say", "Hi", "--language", "nl"), 2, "'nl' is not supported"),
        (("say", "Hi", "--model", "7B"), 2, "'7B' is not one of"),
        (("say", "Hi", "--models-dir", "/dev/null", "-o", "/tmp/x.wav"), 1, "is not a folder"),
        (("say", "Hi", "-o", "/nonexistent/x.wav"), 1, "Can't write /nonexistent/x.wav"),
        (("say", "Guten Tag, Herr Nachbar.", "--local-files-only", "-o", "/tmp/x.wav"), 1, "not in the models folder"),
        (
            ("say", "Hi", "--instruct", "whisper", "--model", "0.6B", "--strict", "-o", "/tmp/x.wav"),
            1,
            "not follow instructions",
        ),
        (("download", "--model", "0.6B"), 1, "can't be reached"),
        (("--models-dir", "/dev/null"), 1, "is not a folder"),
        (("--preload", "everything"), 2, "is not a list of"),
    ],
)
def test_what_is_wrong_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = run(tmp_path, *arguments)
    assert result.returncode == code
    assert said in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("wyoming-qwen3: ")
    assert "Traceback" not in result.stderr


def test_download_fetches_a_checkpoint_that_say_then_speaks_with(tmp_path: Path, models_dir: Path) -> None:
    (tmp_path / "hub" / "Qwen").mkdir(parents=True)
    (tmp_path / "hub" / "Qwen" / CUSTOM_VOICE.name).symlink_to(models_dir / CUSTOM_VOICE.name)
    with Hub(tmp_path / "hub") as hub:
        fetched = run(tmp_path, "--model", "0.6B", "download", "--kind", "custom_voice", HF_ENDPOINT=hub.url)
    assert fetched.returncode == 0, fetched.stderr
    options = ("--model", "0.6B", "--standby", "off", "--local-files-only")
    said = run(tmp_path, *options, "say", "Guten Tag.", "-o", str(tmp_path / "day.wav"))
    assert said.returncode == 0, said.stderr
    assert seconds(tmp_path / "day.wav") > 0.3


@pytest.mark.parametrize("text", ["Hi", "Guten Tag, Herr Nachbar."])
def test_a_models_folder_that_is_not_there_is_said_and_not_made(tmp_path: Path, text: str) -> None:
    wanted = tmp_path / "typo" / "models"
    result = run(tmp_path, "say", text, "--models-dir", str(wanted), "-o", str(tmp_path / "x.wav"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"wyoming-qwen3: The models folder {wanted} does not exist.\n"
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "code", "left"),
    [
        (("voices",), 0, []),
        (("say", "--show-text", "Hi"), 0, []),
        (("say", "Hi", "-o", "out.wav"), 0, ["out.wav"]),
        (("say", "Guten Tag, Herr Nachbar.", "-o", "out.wav"), 1, []),
        (("say", "Hi", "--standby", "off", "-o", "out.wav"), 1, []),
    ],
)
def test_commands_that_only_read_leave_nothing_behind(
    tmp_path: Path, arguments: tuple[str, ...], code: int, left: list[str]
) -> None:
    """Neither data nor models, voices or caches, even where the hub could be asked."""
    (home := tmp_path / "home").mkdir()
    command = [sys.executable, "-m", "wyoming_qwen3", *arguments]
    variables = environment(HOME=str(home), TMPDIR=str(home)) | {"PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        variables.pop(name, None)
    with Hub(tmp_path / "hub") as hub:
        variables["HF_ENDPOINT"] = hub.url
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False, env=variables, cwd=home
        )
        assert hub.requests == []
    assert result.returncode == code, result.stderr
    assert everything_in(home) == left
