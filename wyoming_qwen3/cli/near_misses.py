"""What a person meant by an option or a command that does not exist: pure functions over names."""

import difflib
from collections.abc import Collection, Mapping

_ELSEWHERE: Mapping[str, str] = {
    "address": "use --uri tcp://ADDRESS:10200 for Wyoming, or --http-host ADDRESS for HTTP",
    "api-port": "use --http-port PORT",
    "api-token": "use --api-key KEY",
    "auth-token": "use --api-key KEY",
    "bind": "use --uri tcp://ADDRESS:10200 for Wyoming, or --http-host ADDRESS for HTTP",
    "cache-dir": "use --models-dir DIR for checkpoints, or --data-dir DIR for everything",
    "compute-type": "use --quantize for 8-bit weights, or --dtype on a GPU",
    "config": "every option is a flag or an environment variable TTS_QWEN3_...",
    "cpu": "use --device cpu",
    "cpu-threads": "use --threads N",
    "cuda": "use --device cuda",
    "device-index": "use --device cuda:N",
    "download-dir": "use --models-dir DIR for checkpoints, or --data-dir DIR for everything",
    "format": "the ending of the file chooses the format: say -o FILE.mp3",
    "gpu": "use --device cuda",
    "host": "use --uri tcp://HOST:10200 for Wyoming, or --http-host HOST for HTTP",
    "input": "use say -f FILE",
    "input-file": "use say -f FILE",
    "instruction": "use say --instruct TEXT",
    "instructions": "use say --instruct TEXT",
    "lang": "use --language",
    "length-scale": "use --speed, above 1 for faster speech",
    "listen": "use --uri tcp://ADDRESS:10200 for Wyoming, or --http-host ADDRESS for HTTP",
    "model-dir": "use --models-dir DIR",
    "no-streaming": "audio is always sent while it is generated",
    "offline": "use --local-files-only",
    "out": "use say -o FILE",
    "output-dir": "use say -o FILE",
    "output-file": "use say -o FILE",
    "piper": "there is no Piper program here, so leave it out",
    "port": "use --uri tcp://0.0.0.0:PORT for Wyoming, or --http-port PORT for HTTP",
    "prompt": "use say --instruct TEXT",
    "quiet": "use --log-level ERROR",
    "sentence-silence": "use --sentence-pause SECONDS",
    "speaker": "use --voice NAME",
    "streaming": "audio is always sent while it is generated",
    "text": "the text needs no option: say TEXT",
    "text-file": "use say -f FILE",
    "token": "use --api-key KEY for clients, or --hf-token TOKEN for downloads",
    "url": "use --uri to serve Wyoming at an address, or --server URL to speak through a server",
    "verbose": "use --debug",
    "voice-dir": "use --voices-dir DIR",
    "wyoming-port": "use --uri tcp://0.0.0.0:PORT",
}
"""Options of similar programs, without dashes -> what to do instead, as part of a sentence."""

_COMMANDS_ELSEWHERE: Mapping[str, str] = {
    "fetch": "download",
    "generate": "say",
    "help": "--help",
    "list": "voices",
    "pull": "download",
    "read": "say",
    "run": "serve",
    "server": "serve",
    "speak": "say",
    "speakers": "voices",
    "start": "serve",
    "synthesize": "say",
    "tts": "say",
    "version": "--version",
}


def unknown_option(given: str, command: str, own: Collection[str], others: Mapping[str, str]) -> str:
    """Return a sentence on an option that `command` does not have, with the option that was probably meant.

    `own` are the command's options; `others` are those of other commands, each with its command.
    """
    written = given.partition("=")[0]
    flag = written if len(written) == 2 else "--" + written.lstrip("-").replace("_", "-")
    start = f"There is no option {written}"
    if flag in others:
        return f"The command {command} has no option {flag}; {others[flag]} has it."
    if flag in own:
        return f"{start}; did you mean {flag}?"
    if (instead := _ELSEWHERE.get(flag.removeprefix("--"))) is not None:
        return f"{start}; {instead}."
    if near := nearest(flag, [*own, *others]):
        return f"{start}; did you mean {near}?"
    return f"{start}; wyoming-qwen3 {command} --help lists all."


def unknown_command(given: str, commands: Collection[str]) -> str:
    """Return a sentence on a command that does not exist, with the one that was probably meant."""
    meant = _COMMANDS_ELSEWHERE.get(given.lower()) or nearest(given.lower(), commands)
    if meant:
        return f"There is no command {given!r}; did you mean {meant}?"
    return f"There is no command {given!r}; choose one of {', '.join(commands)}. To speak a text: say {given!r}."


def nearest(name: str, known: Collection[str], prefix: str = "") -> str:
    """Return the known names that are most similar to `name`, as "a" or "a or b"; "" if none is.

    All begin with `prefix`, which is not compared.
    """
    own = name.removeprefix(prefix)
    near = difflib.get_close_matches(own, [one.removeprefix(prefix) for one in known], n=3, cutoff=0.7)
    return " or ".join(prefix + one for one in near if _likeness(own, one) > _likeness(own, near[0]) - 0.1)


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, other, one).ratio()
