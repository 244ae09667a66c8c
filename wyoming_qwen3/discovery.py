"""Announce the server on the local network, so that Home Assistant finds it by itself."""

import logging
import socket
import uuid

import ifaddr
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

_LOGGER = logging.getLogger(__name__)

_SERVICE = "_wyoming._tcp.local."


class Announcement:
    """One mDNS service for as long as the server runs."""

    def __init__(self, name: str | None, host: str, port: int) -> None:
        """`host` is the address the server is bound to; a wildcard announces all of the machine's addresses."""
        label = name or f"{uuid.getnode():012x}"
        self._info = AsyncServiceInfo(
            _SERVICE, f"{label}.{_SERVICE}", parsed_addresses=addresses(host), port=port, server=f"{label}.local."
        )
        self._zeroconf = AsyncZeroconf()

    async def start(self) -> None:
        """Begin to answer."""
        await self._zeroconf.async_register_service(self._info)
        _LOGGER.info("Announced as %s on %s", self._info.name, ", ".join(self._info.parsed_addresses()))

    async def stop(self) -> None:
        """Say goodbye."""
        await self._zeroconf.async_unregister_service(self._info)
        await self._zeroconf.async_close()


def addresses(host: str) -> list[str]:
    """The IPv4 addresses that a server bound to `host` is reached at from elsewhere, where it has any."""
    if host not in ("", "0.0.0.0", "::"):
        return [socket.gethostbyname(host)]
    found = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return [ip for ip in found if not ip.startswith("127.")] or found
