"""The command line and the environment -> frozen settings, one part for each reader. Read by __main__ alone.

Every option `--some-name` is also read from `TTS_QWEN3_SOME_NAME`; the command line wins. What can't be understood
is an error at start, never a default.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

from wyoming_qwen3 import __version__
from wyoming_qwen3.core.checkpoints import KIND_NAMES, KINDS, Kind, Size
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.core.request import Backend, Sampling, StandbyMode, StartMode, TextStreaming, VoiceFallback
from wyoming_qwen3.core.speakers import Language, Speaker, find_language, find_voice
from wyoming_qwen3.speech.playback_buffer import MAX_HOLD_SECONDS
from wyoming_qwen3.speech.text_feed import TEXT_TIMEOUT_SECONDS

from . import option_types as to

_PREFIX = "TTS_QWEN3_"
_T = TypeVar("_T")

_BY_CHECKPOINT = " (default: as the checkpoint says)"

_MAX_ACTIVE: dict[Backend, int] = {"native": 16, "vllm": 64}


@dataclass(frozen=True)
class Vllm:
    """The vLLM-Omni servers that speak for this one."""

    urls: tuple[tuple[Kind | None, str], ...]
    """Each with the kind of checkpoint that it is said to serve; None where the server is to tell."""

    api_key: str | None = None


@dataclass(frozen=True)
class SupervisorAccess:
    """Where the Supervisor is that runs the server as an app, and who the app is."""

    url: str
    """Of its API, without a slash at the end."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """All options, as given or by default."""

    command: str
    """serve, say, download or voices."""

    uri: str
    http_host: str
    http_port: int | None
    """None serves no HTTP there."""

    ingress_port: int | None
    """None does not serve Home Assistant's ingress."""

    ingress_address: str
    api_key: str | None
    cors_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    voice_fallback: VoiceFallback
    max_input: int
    max_active: int
    max_waiting: int
    data_dir: Path
    voices_dir: Path
    """Where a person drops clips that become voices."""

    history: bool
    history_days: float
    history_entries: int
    history_size: int | None
    models_dir: Path
    model: Size | None
    """None chooses by the machine."""

    device: str
    dtype: str
    backend: Backend
    vllm: Vllm | None
    """Beside the native backend they speak what it can't now."""
    quantize: str
    threads: int
    """Of the engine on a CPU; 0 for as many as there are cores."""

    graphs: bool
    """Whether a GPU's steps are captured as CUDA graphs."""

    voice: Speaker
    language: Language | None
    standby: StandbyMode
    text_streaming: TextStreaming
    start: StartMode
    max_hold: float
    text_timeout: float
    sampling: Sampling
    sentence_pause: float
    preload: tuple[Kind, ...]
    download: bool
    local_files_only: bool
    revision: str
    idle_unload: float
    memory_budget: int | None
    supervisor: SupervisorAccess | None
    """None where the server is no app of Home Assistant's."""

    clear_cache: bool
    """Whether Home Assistant is asked, through the Supervisor, to forget what the standby voice spoke."""

    zeroconf: str | None
    """A name, "" for the machine's own, None for no announcement."""

    log_level: str

    told: Mapping[str, str | int | float | bool | None]
    """Every option by its name, as it was understood, for who asks a running server. A secret is whether there is one.

    None is what is left to the server or the checkpoint.
    """

    text: str = ""
    output: Path | None = None
    instruct: str | None = None
    show_text: bool = False
    kind: Kind = "custom_voice"


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from the command line and the environment.

    Prints one line and exits with 2 where something can't be understood, with 0 after --help and --version.
    """
    parser = _parser(environment)
    _refuse_unknown(parser, environment)
    given = parser.parse_args(arguments)
    try:
        return _settings(given, environment)
    except SpeechError as error:
        parser.error(str(error))


def _settings(given: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    data_dir = _data_dir(given)
    if given.ingress_port == given.http_port and not given.no_http:
        raise InvalidRequest("--ingress-port and --http-port must be two ports.")
    sampling = Sampling(
        given.temperature, given.top_k, given.top_p, given.repetition_penalty, given.seed, given.max_frames
    )
    return Settings(
        command=given.command or "serve",
        uri=given.uri,
        http_host=given.http_host,
        http_port=None if given.no_http or given.uri.startswith("stdio:") else given.http_port,
        ingress_port=None if given.uri.startswith("stdio:") else given.ingress_port,
        ingress_address=given.ingress_address,
        api_key=given.api_key or None,
        cors_origins=given.cors_origins,
        allowed_hosts=given.allowed_hosts,
        voice_fallback=given.voice_fallback,
        max_input=given.max_input,
        max_active=given.max_active or _MAX_ACTIVE[given.backend],
        max_waiting=given.max_waiting,
        data_dir=data_dir,
        voices_dir=given.voices_dir or data_dir / "voices",
        history=given.history,
        history_days=given.history_days,
        history_entries=given.history_entries,
        history_size=given.history_size,
        models_dir=given.models_dir or data_dir / "models",
        model=given.model,
        device=given.device,
        dtype=given.dtype,
        backend=given.backend,
        vllm=_vllm(given),
        quantize=given.quantize,
        threads=given.threads,
        graphs=not given.no_graphs,
        voice=find_voice(given.voice)[0],
        language=find_voice(given.voice)[1] or find_language(given.language),
        standby=given.standby,
        text_streaming=given.text_streaming,
        start=given.start,
        max_hold=given.max_hold,
        text_timeout=given.text_timeout,
        sampling=sampling,
        sentence_pause=given.sentence_pause,
        preload=given.preload,
        download=not (given.no_download or given.local_files_only),
        local_files_only=given.local_files_only,
        revision=given.revision,
        idle_unload=given.idle_unload,
        memory_budget=given.memory_budget,
        supervisor=_supervisor(environment),
        clear_cache=given.clear_cache,
        zeroconf=given.zeroconf,
        log_level="DEBUG" if given.debug else given.log_level,
        told=_told(given),
        **{name: getattr(given, name) for name in _COMMAND_OPTIONS if hasattr(given, name)},
    )


def _data_dir(given: argparse.Namespace) -> Path:
    """Raises InvalidRequest where there is none, for a command that needs one."""
    if given.data_dir is not None:
        folder: Path = given.data_dir
        return folder
    if given.command == "voices" or getattr(given, "show_text", False):
        return Path()
    raise InvalidRequest("There is no home folder here; say with --data-dir where everything that is kept should be.")


def _supervisor(environment: Mapping[str, str]) -> SupervisorAccess | None:
    """By the variables that the Supervisor sets for every app, and that bashio reads."""
    token = environment.get("SUPERVISOR_TOKEN")
    return SupervisorAccess(environment.get("SUPERVISOR_API") or "http://supervisor", token) if token else None


def _vllm(given: argparse.Namespace) -> Vllm | None:
    """The servers, if there are any. Raises InvalidRequest where the options don't go together."""
    by_kind: tuple[tuple[Kind | None, tuple[str, ...]], ...] = (
        (None, given.vllm_url),
        ("custom_voice", given.vllm_customvoice_url),
        ("voice_design", given.vllm_voicedesign_url),
        ("base", given.vllm_base_url),
    )
    urls = tuple((kind, url) for kind, some in by_kind for url in some)
    if given.vllm_fallback and given.backend == "vllm":
        raise InvalidRequest("--vllm-fallback goes with --backend native: with vllm the servers speak everything.")
    wanted = "--backend vllm" if given.backend == "vllm" else "--vllm-fallback" if given.vllm_fallback else None
    if wanted and not urls:
        raise InvalidRequest(f"{wanted} needs the address of a server: --vllm-url, or one for a kind.")
    if urls and not wanted:
        raise InvalidRequest("The vLLM servers are of no use without --backend vllm or --vllm-fallback.")
    if not urls:
        return None
    for option in ("temperature", "top_k", "top_p", "repetition_penalty"):
        if getattr(given, option) is not None:
            flag = option.replace("_", "-")
            raise InvalidRequest(f"--{flag} can't be had of vLLM servers; set it in their own configuration.")
    if given.backend == "vllm" and given.text_streaming == "token":
        raise InvalidRequest("--text-streaming token needs --backend native: vLLM servers take whole sentences.")
    return Vllm(urls, given.vllm_api_key or None)


_COMMAND_OPTIONS = ("text", "output", "instruct", "show_text", "kind")

_SECRETS = frozenset({"api_key", "vllm_api_key"})


def _told(given: argparse.Namespace) -> Mapping[str, str | int | float | bool | None]:
    told: dict[str, str | int | float | bool | None] = {}
    for name, value in vars(given).items():
        if name in _SECRETS:
            told[name] = bool(value)
        elif isinstance(value, tuple):
            told[name] = ",".join(value)
        elif name not in (*_COMMAND_OPTIONS, "command"):
            told[name] = value if isinstance(value, str | int | float | None) else str(value)
    return told


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"wyoming-qwen3: {message}\n")


def _parser(environment: Mapping[str, str]) -> _Parser:
    options = _Parser(add_help=False)
    _add_options(options, environment)
    parser = _Parser(prog="wyoming-qwen3", description=__doc__ and "Qwen3-TTS for Home Assistant.", parents=[options])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="serve | say | download | voices")

    # Given before or after the command: a command's copy of an option must not reset what came before it.
    again = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_options(again, {})
    for action in again._actions:
        action.default = argparse.SUPPRESS

    commands.add_parser("serve", help="serve the Wyoming protocol (the default)", parents=[again])
    say = commands.add_parser("say", help="speak a text to a file or to the loudspeaker", parents=[again])
    say.add_argument("text", help="what to say; - reads standard input")
    say.add_argument("-o", "--output", type=Path, metavar="FILE.wav", help="write a WAV file instead of playing")
    say.add_argument("--instruct", help="how to say it, in words (1.7B only)")
    say.add_argument("--show-text", action="store_true", help="only print the pieces as they would be spoken")
    fetch = commands.add_parser("download", help="download a checkpoint", parents=[again])
    fetch.add_argument("--kind", choices=KINDS, default="custom_voice", help="what it can do (default %(default)s)")
    commands.add_parser("voices", help="list the voices", parents=[again])
    return parser


class _Options:
    """Adds options to a parser, each with its environment variable."""

    def __init__(self, parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
        self._parser = parser
        self._environment = environment

    def option(self, flag: str, kind: Callable[[str], Any], default: Any, text: str, **more: Any) -> None:
        value = self._value(flag, kind, default)
        shown = "" if default in (None, "", False, ()) else f" (default {_shown(default)})"
        self._parser.add_argument(flag, type=kind, default=value, help=text + shown, **more)

    def switch(self, flag: str, text: str) -> None:
        on = self._value(flag, to.boolean, default=False)
        self._parser.add_argument(flag, action="store_true", default=on, help=text)

    def _value(self, flag: str, kind: Callable[[str], Any], default: Any) -> Any:
        variable = _variable(flag)
        if variable not in self._environment:
            return default
        return _from_environment(self._parser, variable, self._environment[variable], kind)


def _add_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    options = _Options(parser, environment)
    _add_serving(options, environment)
    _add_backend(options)
    _add_models(options)
    _add_speaking(options)


def _add_serving(options: _Options, environment: Mapping[str, str]) -> None:
    options.option("--uri", to.uri, "tcp://0.0.0.0:10200", "where to serve: tcp://HOST:PORT, unix://PATH or stdio://")
    options.option("--http-host", to.host, "0.0.0.0", "address of the HTTP server")
    options.option("--http-port", to.whole(1, 65535), 8880, "port of the HTTP server")
    options.switch("--no-http", "serve no HTTP but at --ingress-port; beside stdio:// there is none at all")
    options.option(
        "--ingress-port", to.whole(1, 65535), None, "port at which Home Assistant asks for its users, keyless"
    )
    options.option("--ingress-address", to.address, "172.30.32.2", "the address from which it does, and none else may")
    options.option("--api-key", str, None, "what HTTP clients must send as bearer token (default: none asked for)")
    options.option("--cors-origins", to.words, (), "comma-separated origins whose web pages may use the HTTP server")
    options.option(
        "--allowed-hosts", to.words, (), "comma-separated names this server has, where it has a public one and no key"
    )
    options.option("--max-input", to.whole(1, 100_000), 4096, "most characters of one HTTP request")
    options.option("--max-active", to.whole(1, 1024), None, "most texts spoken side by side (default 16; 64 with vllm)")
    options.option("--max-waiting", to.whole(0, 10_000), 64, "most texts waiting for that; more are refused")
    options.option("--data-dir", to.path, _default_data_dir(environment), "folder for everything that is kept")
    options.option(
        "--voices-dir", to.path, None, "folder whose clips, each with a text, become voices (default DATA_DIR/voices)"
    )
    options.switch("--history", "keep everything that is spoken, to be found and heard again over HTTP")
    options.option(
        "--history-days", to.number(0, 36_500), 30.0, "days after which it is forgotten, unless marked; 0 never"
    )
    options.option(
        "--history-entries", to.whole(0, 10_000_000), 10_000, "most utterances that are kept; 0 for any number"
    )
    options.option("--history-size", to.size, "2G", "most disk space for them, such as 500M")
    options.option("--models-dir", to.path, None, "folder of checkpoints (default DATA_DIR/models)")
    options.option(
        "--clear-cache",
        to.boolean,
        True,
        "on or off: in the app, clear Home Assistant's speech cache when Qwen3 can speak after the standby voice did",
        metavar="ON",
    )
    options.option(
        "--zeroconf",
        str,
        None,
        "announce on the local network; by default as qwen3-tts-MACHINE-PORT",
        nargs="?",
        const="",
        metavar="NAME",
    )
    options.option(
        "--log-level", to.one_of("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", "DEBUG, INFO, WARNING or ERROR"
    )
    options.switch("--debug", "the same as --log-level DEBUG")


def _add_backend(options: _Options) -> None:
    options.option("--backend", to.one_of(*get_args(Backend)), "native", "who makes the sound: native, or vllm servers")
    options.option("--vllm-url", to.urls, (), "comma-separated addresses of vLLM-Omni servers of any kind")
    for kind, name in KIND_NAMES.items():
        flag = f"--vllm-{name.lower()}-url"
        options.option(flag, to.urls, (), f"the same for servers that are known to serve {kind}")
    options.option("--vllm-api-key", str, None, "what these servers ask for as bearer token")
    options.switch("--vllm-fallback", "beside --backend native: have the servers speak what it can't at the moment")


def _add_models(options: _Options) -> None:
    options.option("--model", to.model, None, "1.7B, 0.6B, or auto: by device and memory", metavar="SIZE")
    options.option("--device", to.device, "auto", "auto, cpu, cuda or cuda:N")
    options.option("--dtype", to.one_of("auto", "float32", "bfloat16"), "auto", "auto, float32 or bfloat16")
    options.option(
        "--quantize",
        to.one_of("auto", "none", "int8", "int4"),
        "auto",
        "bits of the weights on a CPU: auto (int8), none (exact), int8 or int4",
    )
    options.option(
        "--threads", to.whole(0, 1024), 0, "threads of the engine on a CPU; 0 for as many as there are cores"
    )
    options.switch("--no-graphs", "launch a GPU's work piece by piece, not as CUDA graphs: several times slower")
    options.option(
        "--preload", to.preload, ("custom_voice",), f"kinds to fetch and load at start: {', '.join(KINDS)} or none"
    )
    options.switch("--no-download", "never download checkpoints by itself")
    options.switch("--local-files-only", "never ask the hub for anything")
    options.option("--revision", str, "main", "branch, tag or commit of the checkpoints to download")
    options.option(
        "--idle-unload", to.number(0, 1e9), 0.0, "unload a checkpoint after so many seconds without use; 0 never"
    )
    options.option("--memory-budget", to.size, None, "most memory for checkpoints, such as 6G (default: what is free)")


def _add_speaking(options: _Options) -> None:
    options.option(
        "--voice-fallback",
        to.voice_fallback,
        "auto",
        "who asks for an unknown voice gets the default one: auto (over Wyoming), on (everywhere), off (an error)",
        nargs="?",
        const="on",
        metavar="MODE",
    )
    options.option("--voice", str, "ryan", "voice when none is asked for; see the voices command")
    options.option("--language", str, "auto", "language when none is asked for: a code, a name or auto")
    options.option(
        "--standby", to.one_of(*get_args(StandbyMode)), "auto", "English voice for while Qwen3 can't: auto, off, only"
    )
    options.option(
        "--text-streaming", to.one_of(*get_args(TextStreaming)), "sentence", "speak streamed text by sentence, token"
    )
    options.option(
        "--start",
        to.one_of(*get_args(StartMode)),
        "auto",
        "send sound when it will not stall any more, or asap",
    )
    options.option("--max-hold", to.number(0, 60), MAX_HOLD_SECONDS, "most seconds that --start auto holds sound back")
    options.option(
        "--text-timeout",
        to.number(1, 86_400),
        TEXT_TIMEOUT_SECONDS,
        "seconds after which a text that neither goes on nor ends is an error",
    )
    options.option("--temperature", float, None, "0 takes the likeliest code each time" + _BY_CHECKPOINT)
    options.option("--top-k", int, None, "sample among so many codes" + _BY_CHECKPOINT)
    options.option("--top-p", float, None, "sample among codes of that probability mass" + _BY_CHECKPOINT)
    options.option("--repetition-penalty", float, None, "above 1 makes a code less likely each time" + _BY_CHECKPOINT)
    options.option(
        "--seed", int, None, "the same seed and text give the same speech on the same machine (default: random)"
    )
    options.option("--max-frames", int, None, "most codec frames (80 ms each) of one piece of text")
    options.option("--sentence-pause", to.number(0, 10), 0.2, "seconds of silence between pieces of text")


def _refuse_unknown(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    known = {_variable(flag) for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    for name in environment:
        if name.startswith(_PREFIX) and name not in known:
            parser.error(f"there is no option for the environment variable {name}")


def _variable(flag: str) -> str:
    return _PREFIX + flag.removeprefix("--").replace("-", "_").upper()


def _from_environment(parser: argparse.ArgumentParser, variable: str, value: str, convert: Callable[[str], _T]) -> _T:
    try:
        return convert(value)
    except (ValueError, argparse.ArgumentTypeError) as error:
        detail = error if isinstance(error, argparse.ArgumentTypeError) else f"invalid value: {value!r}"
        parser.error(f"environment variable {variable}: {detail}")


def _shown(default: Any) -> str:
    if default is True:
        return "on"
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _default_data_dir(environment: Mapping[str, str]) -> Path | None:
    """None where nobody knows a home: a user without an account, and no HOME."""
    if base := environment.get("XDG_DATA_HOME"):
        return Path(base) / "wyoming-qwen3"
    try:
        return Path.home() / ".local" / "share" / "wyoming-qwen3"
    except RuntimeError:
        return None
