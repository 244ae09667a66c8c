import asyncio

import ifaddr
import pytest
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

from tests.waiting import HANG_SECONDS
from wyoming_qwen3.bench.serving import free_port
from wyoming_qwen3.discovery import Announcement, addresses


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


async def test_a_browser_finds_the_server_and_hears_it_leave() -> None:
    seen: asyncio.Queue[tuple[str, ServiceStateChange]] = asyncio.Queue()

    def note(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        seen.put_nowait((name, state_change))

    announcement = Announcement("qwen3-test", "127.0.0.1", port := free_port())
    browsing = AsyncZeroconf()
    browser = AsyncServiceBrowser(browsing.zeroconf, "_wyoming._tcp.local.", handlers=[note])
    try:
        await announcement.start()
        try:
            name, change = await asyncio.wait_for(seen.get(), HANG_SECONDS)
        except TimeoutError:
            pytest.skip("This machine passes no multicast")
        assert (name, change) == ("qwen3-test._wyoming._tcp.local.", ServiceStateChange.Added)
        info = await browsing.async_get_service_info("_wyoming._tcp.local.", name)
        assert info is not None
        assert (info.port, info.parsed_addresses()) == (port, ["127.0.0.1"])
    finally:
        await announcement.stop()
    _, change = await asyncio.wait_for(seen.get(), HANG_SECONDS)
    assert change is ServiceStateChange.Removed
    await browser.async_cancel()
    await browsing.async_close()
