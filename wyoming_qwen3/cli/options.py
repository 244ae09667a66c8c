"""Turns the command line and the environment into frozen settings. Only __main__ calls it.

Every option `--some-name` is also read from `TTS_QWEN3_SOME_NAME`; the command line takes precedence. An invalid value
is an error at start, never replaced by a default.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from wyoming_qwen3.core.checkpoints import Kind, Size
from wyoming_qwen3.core.errors import InvalidRequest, SpeechError
from wyoming_qwen3.core.request import (
    BackendName,
    Normalization,
    Sampling,
    StandbyMode,
    StartMode,
    TextStreaming,
    VoiceFallback,
)
from wyoming_qwen3.core.speakers import Language, Speaker, find_language, find_voice

from . import option_types as to
from .near_misses import nearest
from .option_table import OPTIONS, PREFIX, Option
from .parser import fail, read

_DEFAULT_VOICE = next(option.default for option in OPTIONS if option.name == "voice")

_NOWHERE = Path("/dev/null")
"""The data folder of commands that need none, if there is no home folder: nothing can be in it."""

_MAX_ACTIVE: dict[BackendName, int] = {"native": 16, "vllm": 64}


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
    backend: BackendName
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

    shown_options: Mapping[str, str | int | float | bool | None]
    """All options by name, for `/health`. A secret is shown as whether it is set.

    None means that the server or the checkpoint decides.
    """

    chosen: frozenset[str] = frozenset()
    """Names of the options that were given, on the command line or in the environment."""

    text: str | None = None
    """What `say` speaks; None if it is in `file` or comes from standard input. "-" is standard input, too."""

    file: Path | None = None
    output: Path | None = None
    """None plays the speech."""

    server: str | None = None
    """Root URL of the server that speaks, or whose voices are listed; None for this machine."""

    voice_name: str | None = None
    """The voice that `say` was asked for, which may be a kept one; None for the default voice."""

    instruct: str | None = None
    show_text: bool = False
    kind: Kind = "custom_voice"
    yes: bool = False
    """Whether `download` may fetch another size than it was asked for."""


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings from the command line and the environment.

    Prints one line and exits with 2 for invalid input, exits with 0 after --help and --version.
    """
    chosen = _from_environment(environment) | read(arguments)
    given = argparse.Namespace(**({option.name: _default(option) for option in OPTIONS} | chosen))
    given.data_dir = given.data_dir or _default_data_dir(environment)
    try:
        return _settings(given, environment, frozenset(chosen))
    except SpeechError as error:
        fail(str(error))


def _default(option: Option) -> Any:
    """Return an option's default as its converter gives it."""
    return option.convert(option.default) if option.convert and isinstance(option.default, str) else option.default


def _settings(given: argparse.Namespace, environment: Mapping[str, str], chosen: frozenset[str]) -> Settings:
    """Return settings: options that are fields of the same name, and the fields that are derived from options.

    `chosen` are the names of the options that were given.
    """
    if given.ingress_port == given.http_port and not given.no_http:
        raise InvalidRequest("--ingress-port and --http-port must be different ports.")
    data_dir = _data_dir(given)
    stdio = given.uri.startswith("stdio:")
    level = "DEBUG" if given.debug else given.log_level
    named = given.voice if given.command == "say" and "voice" in chosen else None  # it may be a kept voice
    voice, own_language = find_voice(_DEFAULT_VOICE if named else given.voice)
    same = {one.name: getattr(given, one.name) for one in fields(Settings) if hasattr(given, one.name)}
    models_dir = given.models_dir or data_dir / "models"
    derived = {
        "chosen": chosen,
        "voice_name": named,
        "http_port": None if given.no_http or stdio else given.http_port,
        "ingress_port": None if stdio else given.ingress_port,
        "api_key": given.api_key or None,
        "max_active": given.max_active or _MAX_ACTIVE[given.backend],
        "data_dir": data_dir,
        "voices_dir": given.voices_dir or data_dir / "voices",
        "models_dir": models_dir,
        "vllm": _vllm(given),
        "voice": voice,
        "language": own_language or find_language(given.language),
        "sampling": Sampling(
            given.temperature, given.top_k, given.top_p, given.repetition_penalty, given.seed, given.max_frames
        ),
        "download": not (given.no_download or given.local_files_only),
        "supervisor": _supervisor(environment),
        "log_level": level,
        "engine_arguments": _engine_arguments({**vars(given), "log_level": level, "models_dir": models_dir}),
        "shown_options": _option_values(vars(given)),
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
    if given.command == "voices" or hasattr(given, "show_text") or hasattr(given, "server"):
        return _NOWHERE
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


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the options whose variables are set. Fails for a wrong value, and for a variable without an option."""
    options = {option.variable: option for option in OPTIONS}
    found: dict[str, Any] = {}
    for variable, value in environment.items():
        if variable in options:
            found[options[variable].name] = _read_variable(options[variable], value)
        elif variable.startswith(PREFIX):
            near = nearest(variable, options, PREFIX)
            fail(
                f"there is no option for the environment variable {variable}"
                + (f"; did you mean {near}?" if near else "")
            )
    return found


def _read_variable(option: Option, value: str) -> Any:
    try:
        return (option.convert or to.boolean)(value)
    except (ValueError, argparse.ArgumentTypeError) as error:
        detail = error if isinstance(error, argparse.ArgumentTypeError) else f"invalid value: {value!r}"
        fail(f"environment variable {option.variable}: {detail}")


def _default_data_dir(environment: Mapping[str, str]) -> Path | None:
    """Return the default data folder; None if there is no home: a user without an account, and no HOME."""
    if base := environment.get("XDG_DATA_HOME"):
        return Path(base) / "wyoming-qwen3"
    try:
        return Path.home() / ".local" / "share" / "wyoming-qwen3"
    except RuntimeError:
        return None
