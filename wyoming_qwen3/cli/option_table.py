"""Every option of the command line, each declared once: its flag, type, default, help, group, and who else has it.

From this table come the parser, the environment variables, the arguments of the engine process, what `/health` tells,
and the tests that hold the app's options and the documentation to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from wyoming_qwen3.core.checkpoints import KIND_NAMES, KINDS
from wyoming_qwen3.core.request import Backend, StandbyMode, StartMode, TextStreaming
from wyoming_qwen3.speech.playback_buffer import MAX_HOLD_SECONDS
from wyoming_qwen3.speech.text_feed import TEXT_TIMEOUT_SECONDS

from . import option_types as to

PREFIX = "TTS_QWEN3_"

_BY_CHECKPOINT = " (default: as the checkpoint says)"


@dataclass(frozen=True)
class Option:
    """One option. `convert` makes a value of text, and raises ArgumentTypeError; a switch has none."""

    flag: str
    convert: Callable[[str], Any] | None
    default: Any
    help: str
    metavar: str | None = None
    without_value: str | None = None
    """What the flag alone means; None where a value must follow it."""

    secret: bool = False
    """Whether others are told only that it is set."""

    engine: bool = False
    """Whether the engine process has it too, under the same flag."""

    app: bool = False
    """Whether Home Assistant's app has it."""

    @property
    def name(self) -> str:
        """Name of the attribute that holds its value, and of the app's option."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """Environment variable that it is read from, unless the command line has it."""
        return PREFIX + self.name.upper()


def _switch(flag: str, help_text: str, **more: Any) -> Option:
    return Option(flag, None, default=False, help=help_text, **more)


# Titles are those of --help.
GROUPS: Mapping[str, tuple[Option, ...]] = {
    "Serving": (
        Option("--uri", to.uri, "tcp://0.0.0.0:10200", "where to serve: tcp://HOST:PORT, unix://PATH or stdio://"),
        Option("--http-host", to.host, "0.0.0.0", "address of the HTTP server"),
        Option("--http-port", to.whole(1, 65535), 8880, "port of the HTTP server"),
        _switch("--no-http", "serve no HTTP but at --ingress-port; beside stdio:// there is none at all"),
        Option("--ingress-port", to.whole(1, 65535), None, "port at which Home Assistant asks for its users, keyless"),
        Option("--ingress-address", to.address, "172.30.32.2", "the address from which it does, and none else may"),
        Option(
            "--api-key",
            str,
            None,
            "what HTTP clients must send as bearer token (default: none asked for)",
            secret=True,
            app=True,
        ),
        Option("--cors-origins", to.words, (), "comma-separated origins whose web pages may use the HTTP server"),
        Option(
            "--allowed-hosts",
            to.words,
            (),
            "comma-separated names this server has, where it has a public one and no key",
        ),
        Option("--max-input", to.whole(1, 100000), 4096, "most characters of one HTTP request"),
        Option("--max-active", to.whole(1, 1024), None, "most texts spoken side by side (default 16; 64 with vllm)"),
        Option("--max-waiting", to.whole(0, 10000), 64, "most texts waiting for that; more are refused"),
        Option(
            "--zeroconf",
            str,
            None,
            "announce on the local network; by default as qwen3-tts-MACHINE-PORT",
            metavar="NAME",
            without_value="",
        ),
    ),
    "Speaking": (
        Option("--voice", str, "ryan", "voice when none is asked for; see the voices command", app=True),
        Option("--language", str, "auto", "language when none is asked for: a code, a name or auto", app=True),
        Option(
            "--voice-fallback",
            to.voice_fallback,
            "auto",
            "who asks for an unknown voice gets the default one: auto (over Wyoming), on (everywhere), off (an error)",
            app=True,
            metavar="MODE",
            without_value="on",
        ),
        Option(
            "--standby",
            to.one_of(*get_args(StandbyMode)),
            "auto",
            "English voice for while Qwen3 can't: auto, off, only",
            app=True,
        ),
        Option(
            "--clear-cache",
            to.boolean,
            True,
            "on or off: in the app, clear Home Assistant's speech cache once Qwen3 can speak where the standby did",
            app=True,
            metavar="ON",
        ),
        Option(
            "--text-streaming",
            to.one_of(*get_args(TextStreaming)),
            "sentence",
            "speak streamed text by sentence, token",
        ),
        Option(
            "--start",
            to.one_of(*get_args(StartMode)),
            "auto",
            "send sound when it will not stall any more, or asap",
            app=True,
        ),
        Option(
            "--max-hold",
            to.number(0, 60),
            MAX_HOLD_SECONDS,
            "most seconds that --start auto holds sound back",
            app=True,
        ),
        Option(
            "--text-timeout",
            to.number(1, 86400),
            TEXT_TIMEOUT_SECONDS,
            "seconds after which a text that neither goes on nor ends is an error",
        ),
        Option("--sentence-pause", to.number(0, 10), 0.2, "seconds of silence between pieces of text", app=True),
        Option("--temperature", float, None, "0 takes the likeliest code each time" + _BY_CHECKPOINT),
        Option("--top-k", int, None, "sample among so many codes" + _BY_CHECKPOINT),
        Option("--top-p", float, None, "sample among codes of that probability mass" + _BY_CHECKPOINT),
        Option("--repetition-penalty", float, None, "above 1 makes a code less likely each time" + _BY_CHECKPOINT),
        Option(
            "--seed", int, None, "the same seed and text give the same speech on the same machine (default: random)"
        ),
        Option("--max-frames", int, None, "most codec frames (80 ms each) of one piece of text"),
    ),
    "Models": (
        Option("--model", to.model, None, "1.7B, 0.6B, or auto: by device and memory", app=True, metavar="SIZE"),
        Option("--device", to.device, "auto", "auto, cpu, cuda or cuda:N", engine=True),
        Option("--dtype", to.one_of("auto", "float32", "bfloat16"), "auto", "auto, float32 or bfloat16", engine=True),
        Option(
            "--quantize",
            to.one_of("auto", "none", "int8", "int4"),
            "auto",
            "bits of the weights on a CPU: auto (int8), none (exact), int8 or int4",
            engine=True,
            app=True,
        ),
        Option(
            "--threads",
            to.whole(0, 1024),
            0,
            "threads of the engine on a CPU; 0 for as many as there are cores",
            engine=True,
        ),
        _switch(
            "--no-graphs", "launch a GPU's work piece by piece, not as CUDA graphs: several times slower", engine=True
        ),
        Option(
            "--preload",
            to.preload,
            ("custom_voice",),
            f"kinds to fetch and load at start: {', '.join(KINDS)} or none",
            app=True,
        ),
        _switch("--no-download", "never download checkpoints by itself"),
        _switch("--local-files-only", "never ask the hub for anything"),
        Option("--revision", str, "main", "branch, tag or commit of the checkpoints to download"),
        Option(
            "--idle-unload",
            to.number(0, 1000000000.0),
            0.0,
            "unload a checkpoint after so many seconds without use; 0 never",
            app=True,
        ),
        Option("--memory-budget", to.size, None, "most memory for checkpoints, such as 6G (default: what is free)"),
        Option("--models-dir", to.path, None, "folder of checkpoints (default DATA_DIR/models)"),
    ),
    "What is kept": (
        Option(
            "--data-dir", to.path, None, "folder for everything that is kept (default ~/.local/share/wyoming-qwen3)"
        ),
        Option(
            "--voices-dir",
            to.path,
            None,
            "folder whose clips, each with a text, become voices (default DATA_DIR/voices)",
        ),
        _switch("--history", "keep everything that is spoken, to be found and heard again over HTTP", app=True),
        Option(
            "--history-days",
            to.number(0, 36500),
            30.0,
            "days after which it is forgotten, unless marked; 0 never",
            app=True,
        ),
        Option(
            "--history-entries",
            to.whole(0, 10000000),
            10000,
            "most utterances that are kept; 0 for any number",
            app=True,
        ),
        Option("--history-size", to.size, "2G", "most disk space for them, such as 500M", app=True),
    ),
    "vLLM servers": (
        Option(
            "--backend",
            to.one_of(*get_args(Backend)),
            "native",
            "who makes the sound: native, or vllm servers",
            app=True,
        ),
        Option("--vllm-url", to.urls, (), "comma-separated addresses of vLLM-Omni servers of any kind", app=True),
        *(
            Option(
                f"--vllm-{name.lower()}-url",
                to.urls,
                (),
                f"the same for servers that are known to serve {kind}",
                app=True,
            )
            for kind, name in KIND_NAMES.items()
        ),
        Option("--vllm-api-key", str, None, "what these servers ask for as bearer token", secret=True, app=True),
        _switch(
            "--vllm-fallback", "beside --backend native: have the servers speak what it can't at the moment", app=True
        ),
    ),
    "Log": (
        Option(
            "--log-level",
            to.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
            "INFO",
            "DEBUG, INFO, WARNING or ERROR",
            engine=True,
            app=True,
        ),
        _switch("--debug", "the same as --log-level DEBUG"),
    ),
}

OPTIONS: tuple[Option, ...] = tuple(option for options in GROUPS.values() for option in options)
