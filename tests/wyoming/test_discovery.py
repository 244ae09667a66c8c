import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import ifaddr
import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from tests.conftest import StartServer
from tests.ports import free_port
from tests.waiting import HANG_SECONDS
from wyoming_qwen3.wyoming.discovery import Announcement, addresses, default_name

SERVICE = "_wyoming._tcp.local."

Seen = asyncio.Queue[tuple[str, ServiceStateChange]]


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[tuple[Seen, AsyncZeroconf]]:
    """What a browser in this network sees come and go."""
    seen: Seen = asyncio.Queue()

    def note(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is not ServiceStateChange.Updated:
            seen.put_nowait((name, state_change))

    zeroconf = AsyncZeroconf()
    browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[note])
    try:
        yield seen, zeroconf
    finally:
        await browser.async_cancel()
        await zeroconf.async_close()


async def came(seen: Seen, *names: str) -> None:
    """Wait until these have come; those of other servers are passed over."""
    missing = {f"{name}.{SERVICE}" for name in names}
    try:
        async with asyncio.timeout(60):  # a network that passes no multicast would have it wait for ever
            while missing:
                name, change = await seen.get()
                if change is ServiceStateChange.Added:
                    missing.discard(name)
    except TimeoutError:
        pytest.skip("This machine passes no multicast")


def test_a_wildcard_is_announced_by_the_machines_own_addresses() -> None:
    assert addresses("127.0.0.1") == ["127.0.0.1"]
    assert addresses("::1") == ["::1"]
    assert addresses("fe80::1%lo") == ["fe80::1"]
    assert set(addresses("localhost")) <= {"127.0.0.1", "::1"}
    assert all(address.count(".") == 3 for address in addresses("0.0.0.0"))
    assert addresses("0.0.0.0") == addresses("::") == addresses("")


def test_a_machine_without_ipv4_is_announced_by_its_ipv6_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    ips = [ifaddr.IP("127.0.0.1", 8, "lo"), *(ifaddr.IP((ip, 0, 0), 64, "x") for ip in ("::1", "fe80::1", "fd00::2"))]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [ifaddr.Adapter("x", "x", ips)])
    assert addresses("::") == ["fd00::2"]
    assert addresses("0.0.0.0") == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("kitchen", "qwen3-tts-kitchen-10200"),
        ("kitchen.local", "qwen3-tts-kitchen-10200"),
        ("Ein Rechner", "qwen3-tts-Ein-Rechner-10200"),
        ("", "qwen3-tts-server-10200"),
        ("k" * 70, f"qwen3-tts-{'k' * 47}-10200"),
    ],
)
def test_a_name_holds_the_program_the_machine_and_the_port(machine: str, name: str) -> None:
    assert default_name("qwen3-tts", machine, 10200) == name
    assert len(name) <= 63


async def test_a_browser_finds_the_server_and_hears_it_leave() -> None:
    announcement = Announcement("qwen3-test", "127.0.0.1", port := free_port())
    async with browsing() as (seen, zeroconf):
        try:
            await announcement.start()
            await came(seen, "qwen3-test")
            info = await zeroconf.async_get_service_info(SERVICE, name := f"qwen3-test.{SERVICE}")
            assert info is not None
            assert (info.port, info.parsed_addresses()) == (port, ["127.0.0.1"])
        finally:
            await announcement.stop()
        async with asyncio.timeout(HANG_SECONDS):
            while await seen.get() != (name, ServiceStateChange.Removed):
                pass


@pytest.mark.parametrize("names", [("one-10200", "one-10201"), ("same", "same")])
async def test_two_servers_on_one_machine_are_found_as_two(names: tuple[str, str]) -> None:
    ports = free_port(), free_port()
    announcements = [Announcement(name, "127.0.0.1", port) for name, port in zip(names, ports, strict=True)]
    expected = names if len(set(names)) == 2 else ("same", "same-2")
    async with browsing() as (seen, zeroconf):
        try:
            for announcement in announcements:
                await announcement.start()
            await came(seen, *expected)
            infos = [await zeroconf.async_get_service_info(SERVICE, f"{name}.{SERVICE}") for name in expected]
            assert [info and info.port for info in infos] == list(ports)
        finally:
            await asyncio.gather(*(announcement.stop() for announcement in announcements))


async def test_a_name_that_can_not_be_costs_the_announcement_alone(caplog: pytest.LogCaptureFixture) -> None:
    announcement = Announcement("n" * 64, "127.0.0.1", free_port())
    with caplog.at_level(logging.WARNING):
        await announcement.start()
    await announcement.stop()
    assert "can't be announced" in caplog.text


async def test_two_servers_started_the_same_way_announce_two_names(start_server: StartServer) -> None:
    servers = [start_server("--standby", "off", "--zeroconf") for _ in range(2)]
    matches = [await server.wait_for(r"Announced as (\S+) on") for server in servers]
    names = [match[1] for match in matches]
    assert len(set(names)) == 2
    for server, name in zip(servers, names, strict=True):
        assert name.startswith("qwen3-tts-")
        assert name.endswith(f"-{server.port}.{SERVICE}")
