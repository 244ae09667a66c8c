"""Declares each command-line option once: flag, type, default, help, group, and whether engine and app have it too.

The parser, the environment variables, the engine process' arguments and the options in `/health` are derived from this
table. Tests compare the app's options and the documentation with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from wyoming_qwen3.core.checkpoints import KIND_NAMES, KINDS
from wyoming_qwen3.core.request import (
    MAX_SPEED,
    MIN_SPEED,
    RANGES,
    WHOLE_RANGES,
    BackendName,
    Normalization,
    StandbyMode,
    StartMode,
    TextStreaming,
)
from wyoming_qwen3.speech.playback_buffer import MAX_HOLD_SECONDS
from wyoming_qwen3.speech.text_feed import TEXT_TIMEOUT_SECONDS

from . import option_types as to

PREFIX = "TTS_QWEN3_"

_BY_CHECKPOINT = " (default: the checkpoint's)"


@dataclass(frozen=True)
class Option:
    """One option. `convert` turns text into a value or raises ArgumentTypeError; it is None for a switch."""

    flag: str
    convert: Callable[[str], Any] | None
    default: Any
    help: str
    metavar: str | None = None
    without_value: str | None = None
    """Value of the flag without a value; None if it needs one."""

    secret: bool = False
    """Whether `/health` shows only whether it is set."""

    engine: bool = False
    """Whether the engine process has the same flag."""

    app: bool = False
    """Whether the Home Assistant app has it."""

    @property
    def name(self) -> str:
        """Name of the attribute with its value, and of the app's option."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """Environment variable that is read if the flag is not given."""
        return PREFIX + self.name.upper()


def _switch(flag: str, help_text: str, **more: Any) -> Option:
    return Option(flag, None, default=False, help=help_text, **more)


# The keys are the headings in --help.
GROUPS: Mapping[str, tuple[Option, ...]] = {
    "Serving": (
        Option("--uri", to.uri, "tcp://0.0.0.0:10200", "address to serve at: tcp://HOST:PORT, unix://PATH or stdio://"),
        Option("--http-host", to.host, "0.0.0.0", "address of the HTTP server"),
        Option("--http-port", to.whole(1, 65535), 8880, "port of the HTTP server"),
        _switch("--no-http", "serve HTTP only at --ingress-port; with stdio:// there is never any"),
        Option("--ingress-port", to.whole(1, 65535), None, "port for Home Assistant's sidebar, without a key"),
        Option("--ingress-address", to.address, "172.30.32.2", "the only address that may use it"),
        Option(
            "--api-key",
            str,
            None,
            "bearer token that HTTP clients must send (default: none needed)",
            secret=True,
            app=True,
        ),
        _switch("--key-in-url", "accept the API key in the URL of GET /v1/audio/speech too, where others may see it"),
        Option("--cors-origins", to.words, (), "comma-separated origins whose web pages may use the HTTP server"),
        Option(
            "--allowed-hosts",
            to.words,
            (),
            "comma-separated public names of this server, needed if it has no key",
        ),
        Option("--max-input", to.whole(1, 100000), 4096, "most characters of one HTTP request"),
        Option(
            "--max-active", to.whole(1, 1024), None, "most texts spoken at the same time (default 16; 64 with vllm)"
        ),
        Option("--max-waiting", to.whole(0, 10000), 64, "most texts that wait for that; more are refused"),
        Option(
            "--zeroconf",
            str,
            None,
            "announce the server on the local network, by default as qwen3-tts-MACHINE-PORT",
            metavar="NAME",
            without_value="",
        ),
    ),
    "Speaking": (
        Option("--voice", str, "ryan", "voice for requests without one; see the voices command", app=True),
        Option("--style", str, None, "how the default voice speaks, in words, such as calmly (1.7B only)", app=True),
        Option("--language", str, "auto", "language for requests without one: a code, a name or auto", app=True),
        Option("--speed", to.number(MIN_SPEED, MAX_SPEED), 1.0, "speed of speech for requests without one", app=True),
        Option(
            "--voice-fallback",
            to.voice_fallback,
            "auto",
            "use the default voice for unknown ones: auto (over Wyoming), on (everywhere), off (an error)",
            app=True,
            metavar="MODE",
            without_value="on",
        ),
        Option(
            "--alias",
            to.aliases,
            (),
            "comma-separated names for voices, such as nova=Anna; a name may be one of OpenAI's",
            app=True,
            metavar="NAME=VOICE,...",
        ),
        Option(
            "--standby",
            to.one_of(*get_args(StandbyMode)),
            "auto",
            "English voice that speaks while Qwen3 can't: auto, off, or only this voice",
            app=True,
        ),
        Option(
            "--http-standby",
            to.one_of("auto", "off"),
            "auto",
            "over HTTP the standby voice speaks for clients that name no model of ours, while Qwen3 is not ready: "
            "auto, off",
            app=True,
        ),
        _switch("--strict", "instructions that can't be followed are an error instead of being left out"),
        Option(
            "--clear-cache",
            to.boolean,
            True,
            "on or off: in the app, clear Home Assistant's speech cache once Qwen3 is ready if the standby voice spoke",
            app=True,
            metavar="ON",
        ),
        Option(
            "--text-streaming",
            to.one_of(*get_args(TextStreaming)),
            "sentence",
            "how streamed text is read: by sentence, or by token",
        ),
        Option(
            "--start",
            to.one_of(*get_args(StartMode)),
            "auto",
            "send audio when playback will not stall (auto), or asap",
            app=True,
        ),
        Option(
            "--max-hold",
            to.number(0, 60),
            MAX_HOLD_SECONDS,
            "most seconds that --start auto holds audio back",
            app=True,
        ),
        Option(
            "--text-timeout",
            to.number(1, 86400),
            TEXT_TIMEOUT_SECONDS,
            "a streamed text fails if neither more text nor its end arrives for this many seconds",
        ),
        Option(
            "--normalize",
            to.one_of(*get_args(Normalization)),
            "auto",
            "write out units, signs, money, dates and times (units), numbers too (all), or what each language needs "
            "(auto); off: nothing",
            app=True,
        ),
        Option("--sentence-pause", to.number(0, 10), 0.2, "seconds of silence between the pieces of a text", app=True),
        Option(
            "--temperature",
            to.number(*RANGES["temperature"]),
            None,
            "sampling temperature; 0 always takes the likeliest code" + _BY_CHECKPOINT,
        ),
        Option("--top-k", to.whole(*WHOLE_RANGES["top_k"]), None, "sample among this many codes" + _BY_CHECKPOINT),
        Option(
            "--top-p",
            to.number(*RANGES["top_p"]),
            None,
            "sample among the codes with this probability mass" + _BY_CHECKPOINT,
        ),
        Option(
            "--repetition-penalty",
            to.number(*RANGES["repetition_penalty"]),
            None,
            "above 1 makes a code less likely each time it is used" + _BY_CHECKPOINT,
        ),
        Option(
            "--seed",
            to.whole(*WHOLE_RANGES["seed"]),
            None,
            "the same seed and text give the same speech on the same machine (default: random)",
        ),
        Option(
            "--max-frames",
            to.whole(*WHOLE_RANGES["max_frames"]),
            None,
            "most codec frames (80 ms each) of one piece of text",
        ),
    ),
    "Models": (
        Option(
            "--model",
            to.model,
            None,
            "1.7B, 0.6B, or auto, which chooses by device, memory and speed",
            app=True,
            metavar="SIZE",
        ),
        Option(
            "--device",
            to.device,
            "auto",
            "auto, cpu, cuda, cuda:N, or another device of PyTorch, such as mps (untried)",
            engine=True,
        ),
        Option("--dtype", to.one_of("auto", "float32", "bfloat16"), "auto", "auto, float32 or bfloat16", engine=True),
        Option(
            "--quantize",
            to.one_of("auto", "none", "int8", "int4"),
            "auto",
            "weights: none (exact), int8, int4 (CPU), or auto: on a CPU int8 if that keeps up with real time, on a GPU "
            "int8 where a larger model fits only so",
            engine=True,
            app=True,
        ),
        Option(
            "--codec",
            to.one_of("int16", "int8", "float32"),
            "int16",
            "weights of the codec on a CPU: int16, int8 (faster, with noise 35 dB below the speech) or float32",
            engine=True,
            app=True,
        ),
        Option(
            "--threads",
            to.whole(0, 1024),
            0,
            "threads of the engine on a CPU; 0 uses one per core, within the quota of the container",
            engine=True,
        ),
        _switch("--no-graphs", "run a GPU without CUDA graphs and fused kernels, several times slower", engine=True),
        Option(
            "--preload",
            to.preload,
            ("custom_voice",),
            f"kinds to download and load at start: {', '.join(KINDS)} or none",
            app=True,
        ),
        _switch("--no-download", "never download checkpoints automatically"),
        _switch("--local-files-only", "never contact the hub"),
        Option("--revision", str, "main", "branch, tag or commit of the checkpoints to download"),
        Option("--hf-endpoint", to.hub, None, "mirror of huggingface.co (default HF_ENDPOINT)", app=True),
        Option("--hf-token", str, None, "access token for it (default HF_TOKEN)", secret=True, app=True),
        Option(
            "--proxy",
            str,
            None,
            "HTTP or SOCKS proxy for downloads (default HTTPS_PROXY)",
            secret=True,
            app=True,
        ),
        Option(
            "--idle-unload",
            to.number(0, 1000000000.0),
            0.0,
            "unload a checkpoint after this many seconds without use; 0 never",
            app=True,
        ),
        Option("--memory-budget", to.size, None, "most memory for checkpoints, such as 6G (default: what is free)"),
        Option("--models-dir", to.path, None, "folder of checkpoints (default DATA_DIR/models)", engine=True),
    ),
    "Storage": (
        Option("--data-dir", to.path, None, "folder for all stored data (default ~/.local/share/wyoming-qwen3)"),
        Option(
            "--voices-dir",
            to.path,
            None,
            "folder whose clips, each with a text file, become voices (default DATA_DIR/voices)",
        ),
        Option(
            "--dictionary",
            to.path,
            None,
            "CSV file of pronunciations that is only read, besides DATA_DIR/dictionary.csv",
            metavar="FILE",
        ),
        _switch("--history", "store everything that is spoken, to find and play it again over HTTP", app=True),
        Option(
            "--history-days",
            to.number(0, 36500),
            30.0,
            "days after which it is deleted, except favorites; 0 never",
            app=True,
        ),
        Option(
            "--history-entries",
            to.whole(0, 10000000),
            10000,
            "most utterances that are stored; 0 for no limit",
            app=True,
        ),
        Option("--history-size", to.size, "2G", "most disk space for the history, such as 500M", app=True),
    ),
    "vLLM servers": (
        Option(
            "--backend",
            to.one_of(*get_args(BackendName)),
            "native",
            "what generates the audio: native, or vllm servers",
            app=True,
        ),
        Option("--vllm-url", to.urls, (), "comma-separated addresses of vLLM-Omni servers of any kind", app=True),
        *(
            Option(
                f"--vllm-{name.lower()}-url",
                to.urls,
                (),
                f"the same for servers that serve {kind}",
                app=True,
            )
            for kind, name in KIND_NAMES.items()
        ),
        Option("--vllm-api-key", str, None, "bearer token for these servers", secret=True, app=True),
        _switch("--vllm-fallback", "with --backend native: the servers speak what it can't at the moment", app=True),
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
