"""How a part of a text is spoken where the text itself directs it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Delivery:
    """What the text directs, from where it does until it directs something else. None leaves it to the request."""

    voice: str | None = None
    """Name of a voice, as a client would send it."""

    language: str | None = None
    """Name or code of a language, as a client would send it."""

    style: str | None = None
    """Instruction in words."""

    speed: float = 1.0
    """Factor for the speed of the request."""

    gain: float = 0.0
    """Change of the level, in dB."""

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that leave nothing to the request, by name."""
        return {name: value for name, value in asdict(self).items() if value != getattr(DEFAULT_DELIVERY, name)}


DEFAULT_DELIVERY = Delivery()
"""The delivery of a text without voice tags."""
