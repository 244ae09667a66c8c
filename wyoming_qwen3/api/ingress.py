"""Home Assistant's ingress: a port at which Home Assistant passes on what the browsers of its users ask.

It has asked them who they are, so no key is needed there, and it passes their own Host on, whatever name they know it
by: https://developers.home-assistant.io/docs/apps/presentation#ingress . Pages need nothing of `X-Ingress-Path`, since
all their URLs are relative.
"""

from dataclasses import dataclass

from aiohttp import web

from .errors import HttpError


@dataclass(frozen=True)
class Ingress:
    """The port, and who alone may ask there."""

    port: int
    address: str
    """Of the socket's other end, as `ipaddress` writes it; what headers say of it counts for nothing."""

    def took(self, request: web.BaseRequest) -> bool:
        """Whether a request came in at this port."""
        return request.transport is not None and request.transport.get_extra_info("sockname")[1] == self.port

    def check(self, request: web.BaseRequest) -> None:
        """Raise HttpError 403 `address_not_allowed` for a request of anybody else."""
        if request.transport is None or request.transport.get_extra_info("peername")[0] != self.address:
            raise HttpError(403, "address_not_allowed", "This port answers Home Assistant's ingress alone.")
