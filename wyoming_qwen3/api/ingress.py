"""Home Assistant's ingress: a port at which Home Assistant forwards the requests of its users' browsers.

Home Assistant has authenticated its users, so no API key is needed there. It forwards their Host header, whatever name
they use: https://developers.home-assistant.io/docs/apps/presentation#ingress . Pages do not need `X-Ingress-Path`,
since all their URLs are relative.
"""

from dataclasses import dataclass

from aiohttp import web

from .errors import HttpError


@dataclass(frozen=True)
class Ingress:
    """The ingress port, and the only address that may use it."""

    port: int
    address: str
    """Address of the socket's other end, as `ipaddress` writes it; headers that claim another are ignored."""

    def took(self, request: web.BaseRequest) -> bool:
        """Return whether a request came in at this port."""
        return request.transport is not None and request.transport.get_extra_info("sockname")[1] == self.port

    def check(self, request: web.BaseRequest) -> None:
        """Raise HttpError 403 `address_not_allowed` for a request from another address."""
        if request.transport is None or request.transport.get_extra_info("peername")[0] != self.address:
            raise HttpError(403, "address_not_allowed", "This port answers only Home Assistant's ingress.")
