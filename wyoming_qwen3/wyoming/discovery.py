"""Announces the server on the local network by mDNS, so that Home Assistant discovers it."""

import ipaddress
import logging
import re
import socket
import uuid

import ifaddr
import zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

_LOGGER = logging.getLogger(__name__)

_SERVICE = "_wyoming._tcp.local."

_MAX_NAME_BYTES = 63
"""Most bytes of one label of a DNS name."""


class Announcement:
    """One mDNS service, announced from `start` to `stop`."""

    def __init__(self, name: str, host: str, port: int) -> None:
        """`host` is the address that the server is bound to; a wildcard announces all addresses of the machine."""
        self._name = name
        self._host = host
        self._port = port
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Announce the server; if the name is in use on the network, a number is appended.

        Errors are only logged, because the server works without the announcement.
        """
        try:
            self._zeroconf = AsyncZeroconf()
            info = AsyncServiceInfo(
                _SERVICE,
                f"{self._name}.{_SERVICE}",
                parsed_addresses=addresses(self._host),
                port=self._port,
                server=f"{uuid.getnode():012x}-{self._port}.local.",  # unique to this machine, whatever the name
            )
            await self._zeroconf.async_register_service(info, allow_name_change=True)
        except (OSError, zeroconf.Error) as error:
            _LOGGER.warning("The server can't be announced on the network as %r: %s", self._name, error or repr(error))
            return
        _LOGGER.info("Announced as %s on %s", info.name, ", ".join(info.parsed_addresses()))

    async def stop(self) -> None:
        """Withdraw the announcement."""
        if self._zeroconf is None:
            return
        await self._zeroconf.async_unregister_all_services()
        await self._zeroconf.async_close()


def default_name(program: str, machine: str, port: int) -> str:
    """Return a name that is unique to the machine and port, of at most 63 bytes.

    `machine` is a host name; only its first label is used.
    """
    ending = f"-{port}"
    label = re.sub(r"[^A-Za-z0-9-]+", "-", machine.partition(".")[0]) or "server"
    return f"{program}-{label}"[: _MAX_NAME_BYTES - len(ending)] + ending


def addresses(host: str) -> list[str]:
    """Return the addresses at which other machines reach a server bound to `host`, or local ones if there are none.

    For a wildcard these are the machine's IPv4 addresses; for "::" without any, its IPv6 addresses. Raises OSError if a
    name has no address.
    """
    if host not in ("", "0.0.0.0", "::"):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))
    ips = [ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    four = [str(ip.ip) for ip in ips if ip.is_IPv4]
    six = [ip.ip[0] for ip in ips if ip.is_IPv6] if host == "::" else []
    elsewhere = [ip for ip in four if not ip.startswith("127.")]
    return elsewhere or [ip for ip in six if not ipaddress.ip_address(ip).is_link_local and ip != "::1"] or four or six
