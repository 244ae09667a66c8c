"""What a client may send that is no, or hardly a, Wyoming conversation; the same for the same random generator."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

KNOWN = (
    *("describe", "ping", "pong", "error", "info", "synthesize", "synthesize-start", "synthesize-chunk"),
    *("synthesize-stop", "synthesize-stopped", "audio-start", "audio-chunk", "audio-stop", "transcribe", "transcript"),
    *("detect", "detection", "voice-started", "recognize", "intent", "run-pipeline", "run-satellite", "played", ""),
)
"""Types of events that Wyoming has."""

FIELDS = ("text", "voice", "text_format", "context", "name", "language", "rate", "width", "channels", "timestamp")

LENGTHS: tuple[Any, ...] = (
    *(-1, -(10**30), 0, 1, 7, 300, 65_535, 262_145, 2**31, 2**63, 10**400, 0.0, 1.5, -0.5, 1e308, float("nan")),
    *(float("inf"), True, False, None, "5", "", [], {}, [5], {"length": 5}),
)

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 1.5, float("nan"), "", "\0", "\ud83d", "x" * 3_000, "nobody", "line\nline\r\u2028"),
    *([], {}, [[]], {"name": 5}, {"name": "\udc00"}, {"name": "ryan", "speaker": []}, {"language": "xx"}),
    *({"name": None}, {"speaker": "x"}, [None], {"": ""}, {"name": "x" * 3_000}, "html", "ssml", "Hi."),
)


@dataclass(frozen=True)
class Attack:
    """What one connection sends, and how it ends."""

    name: str
    pieces: tuple[bytes, ...]
    """Sent one after the other, with a pause between two."""

    leaves: bool
    """Whether the client leaves at once, without reading; otherwise it says that it has said all, and reads on."""


def attack(random: Random) -> Attack:
    """One of all kinds, those that cost much more seldom."""
    (make,) = random.choices(tuple(_KINDS), tuple(_KINDS.values()))
    pieces = make(random)
    return Attack(make.__name__.strip("_"), tuple(pieces), random.random() < 0.2)


def event(kind: Any, data: Any = None, payload: bytes = b"", **header: Any) -> bytes:
    """An event as the library writes it; `header` replaces what would be right."""
    body = b"" if data is None else json.dumps(data).encode()
    lengths = {"data_length": len(body)} if body else {}
    lengths |= {"payload_length": len(payload)} if payload else {}
    return json.dumps({"type": kind} | lengths | header).encode() + b"\n" + body + payload


def _conversation() -> bytes:
    """What an honest client sends."""
    voice = {"voice": {"name": "ryan-en"}}
    asked = event("describe") + event("ping", {"text": "there?"}) + event("synthesize-start", voice)
    said = event("synthesize-chunk", {"text": "Hi. "}) + event("synthesize", {"text": "Hi. "} | voice)
    return asked + said + event("synthesize-stop")


def _nothing(random: Random) -> list[bytes]:
    return []


def _random_bytes(random: Random) -> list[bytes]:
    return [random.randbytes(random.randrange(1, 3_000))]


def _random_lines(random: Random) -> list[bytes]:
    return [random.randbytes(random.randrange(1, 40)) + b"\n" for _ in range(random.randrange(1, 5))]


def _length_lies(random: Random) -> list[bytes]:
    header = {random.choice(("data_length", "payload_length")): random.choice(LENGTHS) for _ in range(2)}
    return [event(random.choice(KNOWN), random.choice((None, {"text": "Hi."})), **header), random.randbytes(300)]


def _wrong_types(random: Random) -> list[bytes]:
    data = {name: random.choice(VALUES) for name in random.sample(FIELDS, 3)}
    return [event(random.choice(KNOWN), data)]


def _wrong_header(random: Random) -> list[bytes]:
    header = {name: random.choice(VALUES) for name in ("type", "data", "version", "x") if random.random() < 0.5}
    return [json.dumps(header).encode() + b"\n"]


def _no_object(random: Random) -> list[bytes]:
    return [json.dumps(random.choice(VALUES)).encode() + b"\n", event("describe", random.choice(VALUES))]


def _deep(random: Random) -> list[bytes]:
    opening = random.choice((b"[", b'{"a":', b'[{"a":'))
    nested = opening * random.choice((50, 900, 1_100, 5_000, 10_000))
    return random.choice(([nested + b"\n"], [event("synthesize", None, data_length=len(nested)), nested]))


def _dense(random: Random) -> list[bytes]:
    body = b'{"text":[' + b"[]," * 80_000 + b"0]}"
    return [event("synthesize", None, data_length=len(body)), body]


def _cut(random: Random) -> list[bytes]:
    whole = _conversation()
    return [whole[: random.randrange(len(whole))]]


def _flipped(random: Random) -> list[bytes]:
    whole = bytearray(_conversation())
    for _ in range(random.randrange(1, 8)):
        whole[random.randrange(len(whole))] = random.randrange(256)
    return [bytes(whole)]


def _many_events(random: Random) -> list[bytes]:
    kind, data = random.choice((("ping", {"text": "?"}), ("describe", None), ("transcribe", {}), ("detect", None)))
    return [event(kind, data) * random.randrange(50, 300)]


def _long_line(random: Random) -> list[bytes]:
    return [random.choice((b"x", b" ", b'{"', b"\xff")) * (1 << 20)]


def _huge_header(random: Random) -> list[bytes]:
    fields: dict[str, Any] = {f"field {number}": "x" * 100 for number in range(random.randrange(300, 900))}
    return [event("describe", **fields)]


def _payload(random: Random) -> list[bytes]:
    return [event("audio-chunk", {"rate": 16_000}, random.randbytes(random.randrange(1, 200_000))) + event("ping")]


def _dribbled(random: Random) -> list[bytes]:
    whole = event("describe")
    return [whole[place : place + 3] for place in range(0, random.randrange(3, len(whole)), 3)]


def _long_text(random: Random) -> list[bytes]:
    return [event("synthesize-start"), *[event("synthesize-chunk", {"text": "x" * 15_000})] * 3]


_KINDS: dict[Callable[[Random], list[bytes]], float] = {
    _nothing: 10,
    _random_bytes: 10,
    _random_lines: 10,
    _length_lies: 20,
    _wrong_types: 20,
    _wrong_header: 10,
    _no_object: 10,
    _deep: 6,
    _dense: 0.3,
    _cut: 10,
    _flipped: 10,
    _many_events: 1,
    _long_line: 0.3,
    _huge_header: 2,
    _payload: 2,
    _dribbled: 3,
    _long_text: 0.5,
}
"""By how much of all there is to be of each."""
