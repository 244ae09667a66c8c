"""Converters for option values: text -> value. They raise argparse.ArgumentTypeError, which says what is accepted."""

import argparse
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

from wyoming_qwen3.core.checkpoints import KINDS, SIZES, Kind, Size

AUDIO_ENDINGS = {".wav": "wav", ".mp3": "mp3", ".flac": "flac", ".opus": "opus", ".ogg": "opus", ".aac": "aac"}
"""The endings of the files that can be written, each with its format."""

_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def path(text: str) -> Path:
    """Return the path of a file or folder; ~ is the user's home."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{text!r} can't be resolved: the home folder is unknown") from None


def audio_file(text: str) -> Path:
    """Return the path of a file to write, whose ending is one of `AUDIO_ENDINGS` in any case."""
    file = path(text)
    if file.suffix.lower() not in AUDIO_ENDINGS:
        raise argparse.ArgumentTypeError(f"{text!r} does not end with one of {', '.join(AUDIO_ENDINGS)}")
    return file


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a converter for one of these words; case is ignored."""

    def convert(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")

    return convert


def voice_fallback(text: str) -> str:
    """Return auto, on or off; also accept true, 0 and so on, since the option used to be a switch."""
    if text.lower() == "auto":
        return "auto"
    try:
        return "on" if boolean(text) else "off"
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of auto, on, off") from None


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a converter for a number from `low` to `high`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number between {low:g} and {high:g}")
        return value

    return convert


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a converter for a whole number from `low` to `high`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number between {low} and {high}")
        return int(text)

    return convert


def host(text: str) -> str:
    """Return a host name or IP address, without the brackets that an IPv6 address may have."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def address(text: str) -> str:
    """Return an IP address."""
    try:
        return str(ipaddress.ip_address(host(text)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None


def words(text: str) -> tuple[str, ...]:
    """Return the non-empty items of a comma-separated list."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def aliases(text: str) -> tuple[str, ...]:
    """Return the items of a comma-separated list of NAME=VOICE."""
    found = tuple("=".join(part.strip() for part in item.partition("=")[::2]) for item in words(text))
    for item in found:
        name, _, voice = item.partition("=")
        if not name or not voice:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of NAME=VOICE, such as nova=Anna")
    return found


def boolean(text: str) -> bool:
    """Accept 1, true, yes or on; 0, false, no or off."""
    value = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in value:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of on, off, true, false, yes, no, 1, 0")
    return value[text.lower()]


def model(text: str) -> Size | None:
    """Return a checkpoint size; None for auto."""
    for size in SIZES:
        if text.lower() == size.lower():
            return size
    if text.lower() == "auto":
        return None
    raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(SIZES)}, auto")


def device(text: str) -> str:
    """Accept auto, cpu, cuda, cuda:N, and names of this form for other devices, which the engine looks for."""
    if not re.fullmatch(r"auto|cpu|[a-z]+(:\d+)?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not auto, cpu, cuda, cuda:N or the name of another device of PyTorch, such as mps or xpu:0"
        )
    return text


def preload(text: str) -> tuple[Kind, ...]:
    """Return kinds of checkpoints in the order in which they are loaded."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    kinds = tuple(kind for kind in KINDS if kind in names)
    if len(kinds) != len(names) or not names:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(KINDS)}, nor none")
    return kinds


def size(text: str) -> int:
    """Return the bytes of a number with K, M, G or T."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not match or not (value := int(float(match[1]) * _BYTES[match[2].upper()])):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 6G or 1500M")
    return value


def urls(text: str) -> tuple[str, ...]:
    """Return the server addresses in a comma-separated list."""
    return tuple(url(one) for one in words(text))


def url(text: str) -> str:
    """Return the root URL of a server."""
    parsed = urlparse(text)
    try:
        fits = parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0
    except ValueError:
        fits = False
    if not fits or parsed.query or parsed.fragment or parsed.username is not None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as http://gpu:8091{_brackets(text, 8091)}")
    return text.rstrip("/").removesuffix("/v1")


def hub(text: str) -> str:
    """Return the address of a mirror of huggingface.co."""
    try:
        return url(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as https://hf-mirror.com") from None


def http_server(text: str) -> str:
    """Return the root URL of a server of ours."""
    if text.startswith("tcp://"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is for Wyoming; give the HTTP address, such as http://localhost:8880"
        )
    try:
        return url(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as http://localhost:8880") from None


def uri(text: str) -> str:
    """Accept an address to serve Wyoming at."""
    parsed = urlparse(text)
    try:
        fits = (
            (parsed.scheme == "tcp" and parsed.hostname is not None and parsed.port is not None)
            or (parsed.scheme == "unix" and bool(parsed.path))
            or parsed.scheme == "stdio"
        )
    except ValueError:
        fits = False
    if not fits:
        accepted = f"tcp://HOST:PORT, unix://PATH, stdio://{_brackets(text, 10200)}"
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {accepted}")
    return text


def _brackets(text: str, port: int) -> str:
    """Return a hint to add to the error if a URL has an IPv6 address without brackets, else ""."""
    scheme, _, rest = text.partition("://")
    if rest.count(":") < 2 or "[" in rest:
        return ""
    return f"; write an IPv6 address in brackets, as in {scheme}://[::1]:{port}"
