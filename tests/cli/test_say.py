"""The commands for a terminal, run as a person runs them."""

import asyncio
import os
import subprocess
import sys
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import CUSTOM_VOICE, StartServer, environment
from tests.hub import Hub
from tests.program import everything_in, run, run_here
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.request import SAMPLE_RATE, Reference
from wyoming_qwen3.core.speakers import SPEAKERS, find_language
from wyoming_qwen3.store.voices.store import VoiceStore
from wyoming_qwen3.store.voices.voice import Manner


def seconds(file: Path) -> float:
    with wave.open(str(file)) as audio:
        assert (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) == (24_000, 1, 2)
        return float(audio.getnframes() / audio.getframerate())


def test_say_writes_a_playable_file_and_tells_who_spoke(tmp_path: Path) -> None:
    result = run(tmp_path, "say", "The front door is open.", "-o", str(tmp_path / "door.wav"))
    assert result.returncode == 0, result.stderr
    assert seconds(tmp_path / "door.wav") > 1
    assert result.stderr.startswith("The standby voice spoke, because Qwen3 is not downloaded.\nSpoken by standby: ")
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("arguments", "name", "codec"),
    [
        (("say", "The front door is open."), "a.MP3", "mp3"),
        (("say",), "a.flac", "flac"),
        (("say", "-"), "a.opus", "opus"),
        (("say", "-f", "-"), "a.ogg", "opus"),
        (("say", "-f", "FILE"), "a.aac", "aac"),
    ],
)
def test_a_text_from_anywhere_is_written_in_the_format_of_the_ending(
    tmp_path: Path, arguments: tuple[str, ...], name: str, codec: str
) -> None:
    """It is a word, comes through a pipe, or is in a file."""
    file = tmp_path / "text.txt"
    file.write_text("The front door is open.", encoding="utf-8-sig")
    given = [str(file) if one == "FILE" else one for one in arguments]
    result = run(tmp_path, *given, "-o", str(tmp_path / name), text="The front door is open.")
    assert result.returncode == 0, result.stderr
    with av.open(tmp_path / name) as audio:
        assert audio.streams.audio[0].codec_context.name.startswith(codec)
        assert sum(frame.samples / frame.sample_rate for frame in audio.decode(audio=0)) > 1


@pytest.mark.parametrize("way", ["words", "pipe", "file"])
def test_a_text_with_nothing_to_speak_is_said_and_writes_no_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], way: str
) -> None:
    (tmp_path / "text.txt").write_text("🎉 [pause:1s]")
    given = {"words": ["🎉 [pause:1s]"], "pipe": ["-"], "file": ["-f", str(tmp_path / "text.txt")]}[way]
    asked = ("say", *given, "-o", str(tmp_path / "door.wav"))
    result = run(tmp_path, *asked, text="🎉 [pause:1s]") if way == "pipe" else run_here(tmp_path, capfd, *asked)
    assert (result.returncode, result.stderr) == (1, "wyoming-qwen3: There is nothing to speak in this text.\n")
    assert everything_in(tmp_path) == ["text.txt"]


@pytest.fixture
def voices_dir(tmp_path: Path) -> Path:
    """A data folder's voices: Anna of a clip and Slow Ryan of a speaker, as a server has stored them."""
    folder = tmp_path / "data" / "store" / "voices"

    async def fill() -> None:
        store = VoiceStore(folder)
        await store.open()
        noise = np.random.default_rng(0).uniform(-0.3, 0.3, 2 * SAMPLE_RATE).astype(np.float32)
        await store.create("Anna", "profile", Manner(language=find_language("de")), [Reference(noise, SAMPLE_RATE)])
        await store.create("Slow Ryan", "preset", Manner(speaker=SPEAKERS[5], speed=0.5), [])

    asyncio.run(fill())
    return folder


def test_say_speaks_with_kept_voices_and_changes_nothing_in_their_folder(
    tmp_path: Path, models_dir: Path, voices_dir: Path
) -> None:
    """Even where a clip has to be read, since a server may be using the folder."""
    before = {name: (voices_dir / name).stat().st_mtime_ns for name in everything_in(voices_dir)}
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--standby", "off", "--temperature", "0")
    for voice, model in (("Anna-en", "Base"), ("slow ryan", "CustomVoice")):
        result = run(tmp_path, *options, "say", "The door.", "--voice", voice, "-o", str(tmp_path / f"{voice}.wav"))
        assert result.returncode == 0, result.stderr
        assert f"Spoken by Qwen3-TTS-12Hz-0.6B-{model}" in result.stderr
        assert seconds(tmp_path / f"{voice}.wav") > 0.3
    assert {name: (voices_dir / name).stat().st_mtime_ns for name in everything_in(voices_dir)} == before
    assert everything_in(tmp_path / "data") == ["store", "store/voices", *(f"store/voices/{name}" for name in before)]


def test_voices_lists_the_kept_ones_too(tmp_path: Path, capfd: pytest.CaptureFixture[str], voices_dir: Path) -> None:
    lines = run_here(tmp_path, capfd, "voices").stdout.splitlines()
    kept = lines[lines.index(f"Kept voices of {tmp_path / 'data'}") + 1 :]
    assert [" ".join(line.split()) for line in kept[:2]] == ["Anna German recordings", "Slow Ryan any Ryan"]


def test_say_and_voices_use_a_running_server(tmp_path: Path, start_server: StartServer, models_dir: Path) -> None:
    """It has its own voices, which this machine does not."""
    options = ("--models-dir", str(models_dir), "--model", "0.6B", "--local-files-only", "--temperature", "0")
    server = start_server(*options, "--alias", "kitchen=Ryan", "--api-key", "secret", "--standby", "off")
    asked = ("--server", server.url, "--api-key", "secret")
    said = ("say", "The", "door.", "--voice", "kitchen", "--instruct", "hi", "--model", "0.6B")
    for name in ("door.wav", "door.flac"):
        output = tmp_path / name
        result = run(tmp_path, *said, *asked, "-o", str(output))
        assert result.returncode == 0, result.stderr
        assert "instructions were left out" in result.stderr
        assert f"Spoken by Qwen3-TTS-12Hz-0.6B-CustomVoice at {server.url}" in result.stderr
    assert seconds(tmp_path / "door.wav") > 0.3
    assert "ryan" in run(tmp_path, "voices", *asked).stdout.lower()
    refused = run(tmp_path, "say", "Hi", *asked, "--voice", "nobody", "-o", str(tmp_path / "no.wav"))
    assert refused.returncode == 1
    assert "wyoming-qwen3: There is no voice 'nobody'" in refused.stderr
    keyless = run(tmp_path, "say", "Hi", "--server", server.url, "-o", str(tmp_path / "no.wav"))
    assert "API key is missing or wrong" in keyless.stderr
    assert not (tmp_path / "no.wav").exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("size", [(), ("--model", "1.7B")])
def test_say_waits_for_a_checkpoint_on_disk_instead_of_using_the_standby_voice(
    tmp_path: Path, models_dir: Path, size: tuple[str, ...]
) -> None:
    options = ("--models-dir", str(models_dir), *size, "--local-files-only")
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


def test_show_text_tells_what_the_text_directs_and_writes_out_units(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "[voice: Serena] [style: tired] It is 21.5 °C. [voice] [speed: 0.9] Good night."
    result = run_here(tmp_path, capfd, "say", "--language", "en", "--show-text", text)
    assert result.stdout.splitlines() == [
        "[voice: Serena; style: tired] It is 21.5 degrees Celsius.",
        "[style: tired; speed: 0.9] Good night.",
    ]


def test_voices_lists_the_nine_and_who_sounds_best_in_which_language(tmp_path: Path) -> None:
    printed = run(tmp_path, "voices").stdout
    lines = printed.splitlines()
    assert lines[6].split()[:2] == ["ryan", "English"]
    assert lines[10] == ""
    assert "English: Ryan, Aiden;" in printed
    assert "No speaker is native to German, French" in printed
    assert "Kept voices" not in printed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("say", "Hi", "--voice", "bob"), 2, "no voice 'bob'"),
        (("say", "Hi", "--language", "nl"), 2, "'nl' is not supported"),
        (("say", "Hi", "--model", "7B"), 2, "'7B' is not one of"),
        (("say", "Hi", "--models-dir", "/dev/null", "-o", "/tmp/x.wav"), 1, "is not a folder"),
        (("say", "Hi", "-o", "/nonexistent/x.wav"), 1, "Can't write /nonexistent/x.wav"),
        (
            ("say", "Guten Tag, Herr Nachbar.", "--model", "0.6B", "-o", "/tmp/x.wav"),
            1,
            "download it with: wyoming-qwen3 download --model 0.6B",
        ),
        (("say", "-f", "/nonexistent/x.txt"), 1, "Can't read /nonexistent/x.txt: No such file"),
        (("say", "Hi", "-f", "/nonexistent/x.txt"), 1, "The text is given twice"),
        (
            ("say", "Hi", "--server", "http://127.0.0.1:9", "-o", "/tmp/x.wav"),
            1,
            "can't be reached: Connection refused",
        ),
        (("voices", "--server", "http://127.0.0.1:9"), 1, "can't be reached: Connection refused"),
        (("download", "--model", "0.6B", "--kind", "voice_design"), 1, "VoiceDesign exists in 1.7B only, about 4.5 GB"),
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
def test_what_is_wrong_is_one_clear_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = run_here(tmp_path, capfd, *arguments)
    assert result.returncode == code
    assert said in result.stderr.splitlines()[-1]
    assert result.stderr.splitlines()[-1].startswith("wyoming-qwen3: ")
    assert "Traceback" not in result.stderr


def test_download_fetches_a_checkpoint_that_say_then_speaks_with(tmp_path: Path, models_dir: Path) -> None:
    (tmp_path / "hub" / "Qwen").mkdir(parents=True)
    (tmp_path / "hub" / "Qwen" / CUSTOM_VOICE.name).symlink_to(models_dir / CUSTOM_VOICE.name)
    with Hub(tmp_path / "hub") as hub:
        fetched = run(tmp_path, "--model", "0.6B", "download", "--kind", "custom_voice", HF_ENDPOINT=hub.url)
        again = run(tmp_path, "--model", "0.6B", "download", HF_ENDPOINT=hub.url)
    assert fetched.returncode == 0, fetched.stderr
    assert f"{CUSTOM_VOICE.name} is downloaded" in fetched.stderr
    assert "100 % of" in fetched.stderr
    assert f"{CUSTOM_VOICE.name} was there already" in again.stderr
    options = ("--model", "0.6B", "--standby", "off", "--local-files-only")
    said = run(tmp_path, *options, "say", "Guten Tag.", "-o", str(tmp_path / "day.wav"))
    assert said.returncode == 0, said.stderr
    assert seconds(tmp_path / "day.wav") > 0.3


def test_download_of_a_size_that_does_not_exist_needs_a_yes(tmp_path: Path, models_dir: Path) -> None:
    design = Checkpoint("voice_design", "1.7B").name
    (tmp_path / "hub" / "Qwen").mkdir(parents=True)
    (tmp_path / "hub" / "Qwen" / design).symlink_to(models_dir / design)
    with Hub(tmp_path / "hub") as hub:
        asked = ("download", "--model", "0.6B", "--kind", "voice_design")
        assert run(tmp_path, *asked, HF_ENDPOINT=hub.url).returncode == 1
        assert hub.requests == []
        fetched = run(tmp_path, *asked, "--yes", HF_ENDPOINT=hub.url)
    assert fetched.returncode == 0, fetched.stderr
    assert (tmp_path / "data" / "models" / design / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("output", "said"),
    [(("-o", "no/hi.wav"), "Can't write no/hi.wav: No such file or directory."), ((), "No audio player was found")],
)
def test_where_speech_can_not_go_is_said_before_anybody_speaks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], output: tuple[str, ...], said: str
) -> None:
    """A server that is not there would be said instead."""
    result = run_here(tmp_path, capfd, "say", "Hi", "--server", "http://127.0.0.1:9", *output, PATH=str(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"wyoming-qwen3: {said}")


@pytest.mark.parametrize("text", ["Hi", "Guten Tag, Herr Nachbar."])
def test_a_models_folder_that_is_not_there_is_said_and_not_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    wanted = tmp_path / "typo" / "models"
    result = run_here(tmp_path, capfd, "say", text, "--models-dir", str(wanted), "-o", str(tmp_path / "x.wav"))
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
