"""Announce the server on the local network, so that Home Assistant finds it by itself."""

import ipaddress
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
    """The addresses that a server bound to `host` is reached at from elsewhere, where it has any.

    Of a wildcard these are the machine's IPv4 addresses, or where a machine has none, those of IPv6. Raises OSError
    for a name that has no address.
    """
    if host not in ("", "0.0.0.0", "::"):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))
    ips = [ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    four = [str(ip.ip) for ip in ips if ip.is_IPv4]
    six = [ip.ip[0] for ip in ips if ip.is_IPv6] if host == "::" else []
    elsewhere = [ip for ip in four if not ip.startswith("127.")]
    return elsewhere or [ip for ip in six if not ipaddress.ip_address(ip).is_link_local and ip != "::1"] or four or six
