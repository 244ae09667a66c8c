"""What options accept: text -> value, or argparse.ArgumentTypeError saying what would be accepted."""

import argparse
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

from wyoming_qwen3.core.checkpoints import KINDS, SIZES, Kind, Size

_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def path(text: str) -> Path:
    """A folder; ~ is the home of who runs this."""
    if not text:
        raise argparse.ArgumentTypeError("a folder is expected, not nothing")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(f"{text!r} can't be understood: the home folder is not known") from None


def one_of(*choices: str) -> Callable[[str], str]:
    """One of these words, in any case."""

    def convert(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}")

    return convert


def voice_fallback(text: str) -> str:
    """auto, on or off; what a switch takes is on or off, for it was one."""
    if text.lower() == "auto":
        return "auto"
    try:
        return "on" if boolean(text) else "off"
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of auto, on, off") from None


def number(low: float, high: float) -> Callable[[str], float]:
    """A number from `low` to `high`."""

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
    """A whole number from `low` to `high`."""

    def convert(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number between {low} and {high}")
        return int(text)

    return convert


def host(text: str) -> str:
    """A name or an IP address; one of IPv6 may stand in brackets, as it does in a URL."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def address(text: str) -> str:
    """An IP address."""
    try:
        return str(ipaddress.ip_address(host(text)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None


def words(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def boolean(text: str) -> bool:
    """1, true, yes or on; 0, false, no or off."""
    value = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in value:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return value[text.lower()]


def model(text: str) -> Size | None:
    """A size; None for auto."""
    for size in SIZES:
        if text.lower() == size.lower():
            return size
    if text.lower() == "auto":
        return None
    raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(SIZES)}, auto")


def device(text: str) -> str:
    """auto, cpu, cuda or cuda:N."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not one of auto, cpu, cuda, cuda:N")
    return text


def preload(text: str) -> tuple[Kind, ...]:
    """Kinds of checkpoints, in the order in which they are loaded."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    kinds = tuple(kind for kind in KINDS if kind in names)
    if len(kinds) != len(names) or not names:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of {', '.join(KINDS)}, nor none")
    return kinds


def size(text: str) -> int:
    """Bytes, of a number with K, M, G or T."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not match or not (value := int(float(match[1]) * _BYTES[match[2].upper()])):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 6G or 1500M")
    return value


def urls(text: str) -> tuple[str, ...]:
    """Addresses of servers."""
    return tuple(url(one) for one in words(text))


def url(text: str) -> str:
    """The address of a server, without what follows its root."""
    parsed = urlparse(text)
    try:
        fits = parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0
    except ValueError:
        fits = False
    if not fits or parsed.query or parsed.fragment or parsed.username is not None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as http://gpu:8091{_brackets(text, 8091)}")
    return text.rstrip("/").removesuffix("/v1")


def uri(text: str) -> str:
    """Where Wyoming is served."""
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
        raise argparse.ArgumentTypeError(f"{text!r} is none of {accepted}")
    return text


def _brackets(text: str, port: int) -> str:
    """What to add about a URL whose host is an IPv6 address without brackets."""
    scheme, _, rest = text.partition("://")
    if rest.count(":") < 2 or "[" in rest:
        return ""
    return f"; an IPv6 address stands in brackets, as in {scheme}://[::1]:{port}"
