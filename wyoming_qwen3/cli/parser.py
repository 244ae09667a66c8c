"""The command line: commands, their options and their help. Returns only what was given, without defaults."""

import argparse
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from wyoming_qwen3 import __version__
from wyoming_qwen3.core.checkpoints import KINDS

from . import option_types as to
from .near_misses import unknown_command, unknown_option
from .option_table import GROUPS, OPTIONS, Option

PROGRAM = "wyoming-qwen3"

_COMMANDS: Mapping[str, str] = {
    "serve": "serve Wyoming and HTTP (the default command)",
    "say": "speak a text: play it, or write it to a file",
    "voices": "list the voices, and who sounds best in which language",
    "download": "download a checkpoint before it is needed",
}

_ARGUMENTS: Mapping[str, str] = {"say": " TEXT"}

_MAIN = (
    *("--uri", "--http-port", "--api-key", "--voice", "--language", "--model", "--device", "--quantize"),
    *("--data-dir", "--history", "--log-level"),
)
"""Options of the server that the program's own help shows."""

_LOG = ("--log-level", "--debug")
_ENGINE = ("--model", "--device", "--dtype", "--quantize", "--codec", "--threads", "--no-graphs", "--memory-budget")
_SAMPLING = ("--temperature", "--top-k", "--top-p", "--repetition-penalty", "--seed", "--max-frames")
_SPEAKING = ("--voice", "--language", "--style", "--speed", "--alias", "--standby", "--strict", "--sentence-pause")
_READING = ("--text-streaming", "--text-timeout", "--start", "--max-hold", "--normalize", "--dictionary")
_FOLDERS = ("--data-dir", "--models-dir")
_VLLM = tuple(option.flag for option in GROUPS["vLLM servers"])

_MEANINGFUL: Mapping[str, tuple[str, ...]] = {
    "serve": tuple(option.flag for option in OPTIONS),
    "say": (
        *(*_SPEAKING, *_READING, *_SAMPLING, *_ENGINE, *_FOLDERS, *_VLLM, *_LOG),
        *("--api-key", "--revision", "--local-files-only"),
    ),
    "voices": ("--data-dir", "--api-key", *_LOG),
    "download": ("--model", "--device", "--revision", "--hf-endpoint", "--hf-token", "--proxy", *_FOLDERS, *_LOG),
}
"""Options of the server that mean something to each command."""

_HELP: Mapping[str, Mapping[str, str]] = {
    "say": {
        "--api-key": "key of the server at --server",
        "--voice": "a speaker or a kept voice, alone or with a language, as in ryan-de (default: the data folder's)",
        "--language": "language of the text: a code, a name or auto (default auto)",
    },
    "voices": {"--api-key": "key of the server at --server"},
}
"""Help of options that mean something slightly different to a command."""

_OWN: Mapping[str, tuple[str, ...]] = {
    "say": ("-f", "--file", "-o", "--output", "--server", "--instruct", "--show-text"),
    "voices": ("--server",),
    "download": ("--kind", "-y", "--yes"),
}
"""Options that only one or two commands have."""


def read(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the command ("serve" by default) and the options that were given, by name; words of `say` as `text`.

    Prints a line and exits with 2 for what is not understood; prints the help or version and exits with 0 if asked to.
    """
    parser = _Parser(prog=PROGRAM, usage=f"{PROGRAM} [COMMAND] [OPTIONS]", add_help=False, **_FORMAT)
    parser.description = "Qwen3-TTS as a server for Home Assistant and for programs that use OpenAI's speech API."
    parser.epilog = (
        "All options: wyoming-qwen3 serve --help. Those of a command: wyoming-qwen3 say --help. "
        "Each option of serve can be set in the environment: --http-port 80 is TTS_QWEN3_HTTP_PORT=80."
    )
    commands = parser.add_subparsers(dest="command", title="Commands", metavar="", prog=PROGRAM)
    for name, summary in _COMMANDS.items():
        _add_command(commands, name, summary)
    flags = _MEANINGFUL["serve"]
    _add_options(parser, flags, {flag: argparse.SUPPRESS for flag in flags if flag not in _MAIN})
    about = parser.add_argument_group("Help")
    _add_help(about)
    about.add_argument("--version", action="version", version=__version__, help="show the version and exit")
    _refuse_unknown(parser, arguments)
    namespace, words = parser.parse_known_args(arguments)
    given = vars(namespace)
    given["command"] = given["command"] or "serve"
    words = [word for word in words if word != "--"]
    if words and given["command"] != "say":
        parser.error(f"The command {given['command']} takes no {words[0]!r}.")
    return given | ({"text": " ".join(words)} if words else {})


def fail(message: str) -> NoReturn:
    """Print one line about a wrong command line or environment, and exit with 2."""
    _Parser(prog=PROGRAM).error(message)


class _Formatter(argparse.HelpFormatter):
    """Aligns all options in one column, and shows the value's name once."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=min(shutil.get_terminal_size((100, 24)).columns, 110))

    def _format_action(self, action: argparse.Action) -> str:
        shown = super()._format_action(action)
        if isinstance(action, argparse._SubParsersAction):  # without a line and a level for the commands as a whole
            return re.sub(r"^  ", "", re.sub(r"^ *\n", "", shown), flags=re.MULTILINE)
        return shown


_FORMAT: dict[str, Any] = {"formatter_class": _Formatter, "argument_default": argparse.SUPPRESS}


class _Parser(argparse.ArgumentParser):
    """Prints errors as one line."""

    def error(self, message: str) -> NoReturn:
        if found := re.match(r"argument : invalid choice: '(.*?)' \(choose from", message):
            message = unknown_command(found[1], tuple(_COMMANDS))
        self.exit(2, f"{PROGRAM}: {message}\n")


def _add_command(commands: "argparse._SubParsersAction[_Parser]", name: str, summary: str) -> None:
    usage = f"{PROGRAM} {name} [OPTIONS]{_ARGUMENTS.get(name, '')}"
    description = f"{summary[0].upper()}{summary[1:]}."
    parser = commands.add_parser(name, help=summary, usage=usage, description=description, add_help=False, **_FORMAT)
    own = parser.add_argument_group(f"Options of {name}")
    match name:
        case "say":
            _add_say(own)
        case "voices":
            own.add_argument("--server", type=to.http_server, metavar="URL", help="list those of a running server")
        case "download":
            kinds = f"kind of checkpoint: {', '.join(KINDS)} (default {KINDS[0]})"
            own.add_argument("--kind", type=to.one_of(*KINDS), metavar="KIND", help=kinds)
            own.add_argument("-y", "--yes", action="store_true", help="download another size if the kind has only that")
    _add_help(own)
    _add_options(parser, _MEANINGFUL[name], _HELP.get(name, {}))


def _add_say(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-f", "--file", type=to.path, help="speak the text in a file; - reads standard input")
    endings = ", ".join(to.AUDIO_ENDINGS)
    group.add_argument("-o", "--output", type=to.audio_file, metavar="FILE", help=f"write a file: {endings}")
    group.add_argument(
        "--server",
        type=to.http_server,
        metavar="URL",
        help="speak through a running server, such as http://localhost:8880",
    )
    group.add_argument("--instruct", metavar="TEXT", help="how to speak, in words (1.7B only)")
    group.add_argument("--show-text", action="store_true", help="only print the pieces as they would be spoken")


def _add_help(group: argparse._ActionsContainer) -> None:
    group.add_argument("-h", "--help", action="help", help="show this help and exit")


def _add_options(parser: argparse.ArgumentParser, flags: Sequence[str], helps: Mapping[str, str]) -> None:
    """Add these options in their groups. `helps` are texts that replace an option's own."""
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            if option.flag in flags:
                _add_option(group, option, helps.get(option.flag) or option.help + _told(option))


def _add_option(group: argparse._ArgumentGroup, option: Option, text: str) -> None:
    if option.convert is None:
        group.add_argument(option.flag, action="store_true", help=text)
        return
    more: dict[str, Any] = {"metavar": option.metavar or option.flag.rpartition("-")[2].upper()}
    if option.without_value is not None:
        more |= {"nargs": "?", "const": option.without_value}
    group.add_argument(option.flag, type=option.convert, help=text, **more)


def _told(option: Option) -> str:
    """Return the default as the end of an option's help; "" if the help has it or there is none."""
    default = option.default
    if default in (None, "", (), False) or "(default" in option.help:
        return " (default auto)" if default is None and "auto" in option.help else ""
    said = "on" if default is True else ",".join(default) if isinstance(default, tuple) else _value(default)
    return f" (default {said})"


def _value(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def _refuse_unknown(parser: _Parser, arguments: Sequence[str]) -> None:
    """Fail for the first option that does not exist, before argparse takes its value for a command."""
    place = next((place for place, one in enumerate(arguments) if one in _COMMANDS), len(arguments))
    command = arguments[place] if place < len(arguments) else "serve"
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = ("-h", "--help", *_OWN.get(command, ()), *_MEANINGFUL[command])
    for number, one in enumerate(arguments[:end]):
        before = ("-h", "--help", "--version", *_MEANINGFUL["serve"])
        if not _is_option(one) or _known(one, before if number < place else own):
            continue
        if _known(one, own):
            parser.error(f"The option {one} belongs to {command}; write it after that word.")
        parser.error(unknown_option(one, command, own, _others(own)))


def _is_option(argument: str) -> bool:
    """Return whether an argument is an option: a text that starts with a dash and has spaces, or a number, is not."""
    return len(argument) > 1 and argument[0] == "-" and " " not in argument and not re.match(r"-\.?\d", argument)


def _known(argument: str, own: Sequence[str]) -> bool:
    """Return whether an argument is one of these options, or the beginning of one; a value may follow a short one."""
    if not argument.startswith("--"):
        return argument in own or (argument[:2] in own and argument[:2] in _SHORT_WITH_VALUE)
    return any(option.startswith(argument.partition("=")[0]) for option in own)


_SHORT_WITH_VALUE = ("-f", "-o")


def _others(own: Sequence[str]) -> dict[str, str]:
    """Return the options of all commands that are not among `own`, each with the first command that has it."""
    found: dict[str, str] = {}
    for command in _COMMANDS:
        for flag in (*_MEANINGFUL[command], *_OWN.get(command, ())):
            if flag not in own:
                found.setdefault(flag, command)
    return found
