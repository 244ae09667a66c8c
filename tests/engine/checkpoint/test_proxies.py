"""Downloads through a proxy: by SOCKS, and what is said of one that does not work."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests.adapters

from tests.hub import Hub
from tests.socks import Socks
from wyoming_qwen3.core.errors import DownloadFailed
from wyoming_qwen3.engine.checkpoint import download as client
from wyoming_qwen3.engine.checkpoint import on_disk

from .checkpoint_files import CHECKPOINT, same_files, write_checkpoint

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", *VARIABLES, *(name.lower() for name in VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    write_checkpoint(tmp_path / "hub" / CHECKPOINT.repository)
    with Hub(tmp_path / "hub") as hub:
        yield hub


def download(models_dir: Path, endpoint: str) -> Path:
    return client.download(CHECKPOINT, models_dir, report=lambda _: None, log=lambda _: None, endpoint=endpoint)


def fails(models_dir: Path, endpoint: str = "http://hub.test") -> DownloadFailed:
    with pytest.raises(DownloadFailed) as caught:
        download(models_dir, endpoint)
    assert "secret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("credentials", [None, b"me:secret"])
def test_a_checkpoint_comes_through_a_socks_proxy(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, credentials: bytes | None
) -> None:
    """The proxy alone knows where the hub is."""
    with Socks({"hub.test": "127.0.0.1"}, credentials) as proxy:
        user = f"{credentials.decode()}@" if credentials else ""
        monkeypatch.setenv(variable, f"socks5h://{user}127.0.0.1:{proxy.port}")
        path = download(tmp_path / "models", f"http://hub.test:{hub.host.rpartition(':')[2]}")
        assert set(proxy.asked) == {"hub.test", "localhost"}
    assert same_files(path, hub.root / CHECKPOINT.repository)


def test_what_is_excepted_is_asked_without_the_proxy(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    assert on_disk.missing_files(download(tmp_path / "models", hub.url)) == []


@pytest.mark.parametrize("proxy", ["socks5h://me:secret@127.0.0.1:9", "socks5://127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_proxy_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    error = fails(tmp_path)
    assert error.transient
    named = proxy.replace("me:secret@", "")
    assert str(error).startswith(f"The hub at hub.test can't be reached through the proxy {named} (")


def test_a_proxy_that_refuses_the_password_is_named(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Socks({}, b"me:right") as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://me:secret@127.0.0.1:{proxy.port}")
        error = fails(tmp_path, hub.url)
        assert proxy.asked == []
    assert f"can't be reached through the proxy socks5h://127.0.0.1:{proxy.port} (" in str(error)


@pytest.mark.parametrize("proxy", ["nonsense://127.0.0.1:9", "http://", "http://127.0.0.1:99999"])
def test_what_is_no_address_of_a_proxy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    error = fails(tmp_path)
    assert not error.transient
    assert "is not the address of a proxy, such as http://proxy:3128 or socks5h://proxy:1080" in str(error)
    assert "HF_ENDPOINT" not in str(error)


def test_a_proxy_that_wants_a_password_is_said(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub answers as such a proxy does."""
    hub.faults.api_status = 407
    monkeypatch.setenv("ALL_PROXY", hub.url)
    error = fails(tmp_path)
    assert not error.transient
    assert str(error).startswith(f"The proxy {hub.url} requires a user name and password (407)")


def test_socks_without_its_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As requests itself says it, where urllib3 has not found PySocks."""

    def missing(*_: object, **__: object) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", missing)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:7")  # another than those that requests remembers
    error = fails(tmp_path)
    assert not error.transient
    assert str(error) == (
        "The proxy socks5://127.0.0.1:7 uses SOCKS, which needs the Python package PySocks; install it."
    )
