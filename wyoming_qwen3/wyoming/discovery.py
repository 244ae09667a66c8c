"""Announce the server on the local network, so that Home Assistant finds it by itself."""

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
"""Of one label of a DNS name."""


class Announcement:
    """One mDNS service for as long as the server runs."""

    def __init__(self, name: str, host: str, port: int) -> None:
        """`host` is the address the server is bound to; a wildcard announces all of the machine's addresses."""
        self._name = name
        self._host = host
        self._port = port
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Begin to answer; a name that another server on the network has is followed by a number.

        Never raises, for the server can be reached without it: a warning says why it is not announced.
        """
        try:
            self._zeroconf = AsyncZeroconf()
            info = AsyncServiceInfo(
                _SERVICE,
                f"{self._name}.{_SERVICE}",
                parsed_addresses=addresses(self._host),
                port=self._port,
                server=f"{uuid.getnode():012x}-{self._port}.local.",  # of this machine alone, whatever the name
            )
            await self._zeroconf.async_register_service(info, allow_name_change=True)
        except (OSError, zeroconf.Error) as error:
            _LOGGER.warning("The server can't be announced on the network as %r: %s", self._name, error or repr(error))
            return
        _LOGGER.info("Announced as %s on %s", info.name, ", ".join(info.parsed_addresses()))

    async def stop(self) -> None:
        """Say goodbye."""
        if self._zeroconf is None:
            return
        await self._zeroconf.async_unregister_all_services()
        await self._zeroconf.async_close()


def default_name(program: str, machine: str, port: int) -> str:
    """A name that tells the servers of all machines apart, and those on one machine by their ports.

    At most 63 bytes; `machine` is a host name, of which the first label is taken.
    """
    ending = f"-{port}"
    label = re.sub(r"[^A-Za-z0-9-]+", "-", machine.partition(".")[0]) or "server"
    return f"{program}-{label}"[: _MAX_NAME_BYTES - len(ending)] + ending


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
