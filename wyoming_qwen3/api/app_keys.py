"""What handlers find in the application: the services and the HTTP server's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from wyoming_qwen3.speech.shared import Services
from wyoming_qwen3.voices.resolver import VoiceResolver

from .access import Access


@dataclass(frozen=True)
class Config:
    """Settings of the HTTP server."""

    resolver: VoiceResolver
    standby_only: bool = False
    """Whether the standby voice is the only voice."""

    http_standby: Literal["auto", "off"] = "auto"
    """Whether the standby voice speaks for clients that named no model of ours, while Qwen3 is not ready."""

    strict: bool = False
    """Whether instructions that can't be followed are an error, if the request does not say."""

    max_input: int = 4096
    """Maximum number of characters in one request."""

    access: Access = field(default_factory=Access)
    options: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    """The server's options by name; of a secret only whether it is set."""


SERVICES = web.AppKey("services", Services)
CONFIG = web.AppKey("config", Config)
