"""Turns the command line and the environment into frozen settings. Only __main__ calls it.

Every option `--some-name` is also read from `TTS_QWEN3_SOME_NAME`; the command line takes precedence. An invalid value
is an error at start, never replaced by a default.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn

from wyoming_qwen3 import __version__
from wyoming_qwen3.core.checkpoints import KINDS, Kind, Size
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.core.request import (
    Backend,
    Normalization,
    Sampling,
    StandbyMode,
    StartMode,
    TextStreaming,
    VoiceFallback,
)
from wyoming_qwen3.core.speakers import Language, Speaker, find_language, find_voice

from . import option_types as to
from .option_table import GROUPS, OPTIONS, PREFIX, Option

_MAX_ACTIVE: dict[Backend, int] = {"native": 16, "vllm": 64}


@dataclass(frozen=True)
class Vllm:
    """The vLLM-Omni servers to use."""

    urls: tuple[tuple[Kind | None, str], ...]
    """(kind, URL) of each server. The kind is the one that the user gave; None if the server reports it."""

    api_key: str | None = None


@dataclass(frozen=True)
class SupervisorAccess:
    """Access to the Supervisor that runs the server as an app."""

    url: str
    """URL of its API, without a slash at the end."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """All options, as given or by default."""

    command: str
    """serve, say, download or voices."""

    uri: str
    http_host: str
    http_port: int | None
    """None serves no HTTP at `http_host`."""

    ingress_port: int | None
    """None serves no ingress."""

    ingress_address: str
    api_key: str | None
    key_in_url: bool
    cors_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    voice_fallback: VoiceFallback
    alias: tuple[str, ...]
    """Further names for voices, each as NAME=VOICE."""

    max_input: int
    max_active: int
    max_waiting: int
    data_dir: Path
    voices_dir: Path
    """Folder where a person puts clips that become voices."""

    dictionary: Path | None
    """File of pronunciations that is only read, besides the one in the data folder."""

    history: bool
    history_days: float
    history_entries: int
    history_size: int | None
    models_dir: Path
    model: Size | None
    """None chooses by device and memory."""

    device: str
    backend: Backend
    vllm: Vllm | None
    """The servers; with the native backend they speak what it can't speak now. None if there are none."""

    engine_arguments: tuple[str, ...]
    """Command-line arguments of the engine processes."""

    voice: Speaker
    language: Language | None
    style: str | None
    speed: float
    standby: StandbyMode
    http_standby: Literal["auto", "off"]
    strict: bool
    text_streaming: TextStreaming
    start: StartMode
    max_hold: float
    text_timeout: float
    sampling: Sampling
    normalize: Normalization
    sentence_pause: float
    preload: tuple[Kind, ...]
    download: bool
    local_files_only: bool
    revision: str
    hf_endpoint: str | None
    hf_token: str | None
    proxy: str | None
    idle_unload: float
    memory_budget: int | None
    supervisor: SupervisorAccess | None
    """None if the server is not a Home Assistant app."""

    clear_cache: bool
    """Whether the app clears Home Assistant's speech cache after the standby voice has spoken."""

    zeroconf: str | None
    """The name to announce; "" for one made from the machine's, None for no announcement."""

    log_level: str

    told: Mapping[str, str | int | float | bool | None]
    """All options by name, for `/health`. A secret is shown as whether it is set.

    None means that the server or the checkpoint decides.
    """

    text: str = ""
    output: Path | None = None
    instruct: str | None = None
    show_text: bool = False
    kind: Kind = "custom_voice"


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings from the command line and the environment.

    Prints one line and exits with 2 for invalid input, exits with 0 after --help and --version.
    """
    parser = _parser(environment)
    _refuse_unknown(parser, environment)
    given = parser.parse_args(arguments)
    given.data_dir = given.data_dir or _default_data_dir(environment)
    try:
        return _settings(given, environment)
    except SpeechError as error:
        parser.error(str(error))


def _settings(given: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Return settings: options that are fields of the same name, and the fields that are derived from options."""
    if given.ingress_port == given.http_port and not given.no_http:
        raise InvalidRequest("--ingress-port and --http-port must be different ports.")
    data_dir = _data_dir(given)
    stdio = given.uri.startswith("stdio:")
    level = "DEBUG" if given.debug else given.log_level
    voice, own_language = find_voice(given.voice)
    same = {one.name: getattr(given, one.name) for one in fields(Settings) if hasattr(given, one.name)}
    derived = {
        "command": given.command or "serve",
        "http_port": None if given.no_http or stdio else given.http_port,
        "ingress_port": None if stdio else given.ingress_port,
        "api_key": given.api_key or None,
        "max_active": given.max_active or _MAX_ACTIVE[given.backend],
        "data_dir": data_dir,
        "voices_dir": given.voices_dir or data_dir / "voices",
        "models_dir": given.models_dir or data_dir / "models",
        "vllm": _vllm(given),
        "voice": voice,
        "language": own_language or find_language(given.language),
        "sampling": Sampling(
            given.temperature, given.top_k, given.top_p, given.repetition_penalty, given.seed, given.max_frames
        ),
        "download": not (given.no_download or given.local_files_only),
        "supervisor": _supervisor(environment),
        "log_level": level,
        "engine_arguments": _engine_arguments({**vars(given), "log_level": level}),
        "told": _option_values(vars(given)),
    }
    return Settings(**(same | derived))


def _engine_arguments(values: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for option in OPTIONS:
        if option.engine and option.convert:
            found += [option.flag, str(values[option.name])]
        elif option.engine and values[option.name]:
            found.append(option.flag)
    return tuple(found)


def _option_values(values: Mapping[str, Any]) -> Mapping[str, str | int | float | bool | None]:
    return {option.name: _option_value(values[option.name], secret=option.secret) for option in OPTIONS}


def _option_value(value: Any, *, secret: bool) -> str | int | float | bool | None:
    if secret:
        return bool(value)
    if isinstance(value, tuple):
        return ",".join(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def _data_dir(given: argparse.Namespace) -> Path:
    """Return the data folder. Raises InvalidRequest if there is none and the command needs one."""
    if given.data_dir is not None:
        folder: Path = given.data_dir
        return folder
    if given.command == "voices" or getattr(given, "show_text", False):
        return Path()
    raise InvalidRequest("There is no home folder; set the folder for all stored data with --data-dir.")


def _supervisor(environment: Mapping[str, str]) -> SupervisorAccess | None:
    """Read the variables that the Supervisor sets for every app, and that bashio reads."""
    token = environment.get("SUPERVISOR_TOKEN")
    return SupervisorAccess(environment.get("SUPERVISOR_API") or "http://supervisor", token) if token else None


def _vllm(given: argparse.Namespace) -> Vllm | None:
    """Return the servers, None if there are none. Raises InvalidRequest if options contradict each other."""
    by_kind: tuple[tuple[Kind | None, tuple[str, ...]], ...] = (
        (None, given.vllm_url),
        ("custom_voice", given.vllm_customvoice_url),
        ("voice_design", given.vllm_voicedesign_url),
        ("base", given.vllm_base_url),
    )
    urls = tuple((kind, url) for kind, some in by_kind for url in some)
    if given.vllm_fallback and given.backend == "vllm":
        raise InvalidRequest("--vllm-fallback needs --backend native: with vllm the servers speak everything.")
    wanted = "--backend vllm" if given.backend == "vllm" else "--vllm-fallback" if given.vllm_fallback else None
    if wanted and not urls:
        raise InvalidRequest(f"{wanted} needs the address of a server: --vllm-url, or the option for one kind.")
    if urls and not wanted:
        raise InvalidRequest("The vLLM servers are not used without --backend vllm or --vllm-fallback.")
    if not urls:
        return None
    for option in ("temperature", "top_k", "top_p", "repetition_penalty"):
        if getattr(given, option) is not None:
            flag = option.replace("_", "-")
            raise InvalidRequest(f"vLLM servers do not support --{flag}; set it in their own configuration.")
    if given.backend == "vllm" and given.text_streaming == "token":
        raise InvalidRequest("--text-streaming token needs --backend native: vLLM servers take whole sentences.")
    return Vllm(urls, given.vllm_api_key or None)


class _Parser(argparse.ArgumentParser):
    """Prints errors as one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"wyoming-qwen3: {message}\n")


def _parser(environment: Mapping[str, str]) -> _Parser:
    options = _Parser(add_help=False)
    _add_options(options, environment)
    usage = "%(prog)s [OPTIONS] [serve | say | download | voices]"
    parser = _Parser(prog="wyoming-qwen3", usage=usage, description="Qwen3-TTS for Home Assistant.", parents=[options])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="serve | say | download | voices")

    # Options may stand before or after the command: a command's copy must not reset the value given before it.
    again = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_options(again, {})
    for action in again._actions:
        action.default = argparse.SUPPRESS

    def command(name: str, text: str, shown: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, parents=[again], usage=f"wyoming-qwen3 {name} [OPTIONS] {shown}")

    command("serve", "serve the Wyoming protocol (the default)")
    say = command("say", "speak a text to a file or to the loudspeaker", "TEXT")
    say.add_argument("text", help="text to speak; - reads standard input")
    say.add_argument("-o", "--output", type=Path, metavar="FILE.wav", help="write a WAV file instead of playing")
    say.add_argument("--instruct", help="how to speak, in words (1.7B only)")
    say.add_argument("--show-text", action="store_true", help="only print the pieces as they would be spoken")
    fetch = command("download", "download a checkpoint")
    fetch.add_argument("--kind", choices=KINDS, default="custom_voice", help="kind of checkpoint (default %(default)s)")
    command("voices", "list the voices")
    return parser


def _add_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            value = _from_environment(parser, option, environment)
            if option.convert is None:
                group.add_argument(option.flag, action="store_true", default=value, help=option.help)
                continue
            more: dict[str, Any] = {"metavar": option.metavar}
            if option.without_value is not None:
                more |= {"nargs": "?", "const": option.without_value}
            text = option.help + _shown(option.default)
            group.add_argument(option.flag, type=option.convert, default=value, help=text, **more)


def _from_environment(parser: argparse.ArgumentParser, option: Option, environment: Mapping[str, str]) -> Any:
    """Return the option's default: the value of its variable if that is set."""
    value = environment.get(option.variable)
    if value is None:
        return option.default
    try:
        return (option.convert or to.boolean)(value)
    except (ValueError, argparse.ArgumentTypeError) as error:
        detail = error if isinstance(error, argparse.ArgumentTypeError) else f"invalid value: {value!r}"
        parser.error(f"environment variable {option.variable}: {detail}")


def _refuse_unknown(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    known = {option.variable for option in OPTIONS}
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            parser.error(f"there is no option for the environment variable {name}")


def _shown(default: Any) -> str:
    """Return the default as shown in the help."""
    if default in (None, "", ()):
        return ""
    said = "on" if default is True else ",".join(default) if isinstance(default, tuple) else str(default)
    return f" (default {said})"


def _default_data_dir(environment: Mapping[str, str]) -> Path | None:
    """Return the default data folder; None if there is no home: a user without an account, and no HOME."""
    if base := environment.get("XDG_DATA_HOME"):
        return Path(base) / "wyoming-qwen3"
    try:
        return Path.home() / ".local" / "share" / "wyoming-qwen3"
    except RuntimeError:
        return None
