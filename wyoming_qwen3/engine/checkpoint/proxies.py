"""Finds the proxy between this machine and the hub, and explains errors that it causes.

It is the one of HTTPS_PROXY, HTTP_PROXY or ALL_PROXY that requests chooses for a URL; hosts in NO_PROXY have none.
"""

from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

from wyoming_qwen3.core.errors import DownloadFailed, TransientDownloadFailed

_WORKING_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def proxy_for(url: str) -> str | None:
    """Return the proxy for requests to `url`, without the user and password in its address; None if there is none."""
    chosen = select_proxy(url, get_environ_proxies(url))
    if not chosen:
        return None
    scheme, separator, rest = chosen.rpartition("://")
    return f"{scheme or 'http'}{separator or '://'}{rest.rpartition('@')[2]}"


def proxy_refusal(proxy: str) -> DownloadFailed:
    """Return the error for an answer with status 407."""
    return DownloadFailed(
        f"The proxy {proxy} requires a user name and password (407); put them into its address, as in "
        "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
    )


def proxy_fault(proxy: str, host: str, error: requests.RequestException) -> DownloadFailed:
    """Return the error for a failed request to the hub at `host` through a proxy."""
    if isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error):
        return DownloadFailed(f"The proxy {proxy} uses SOCKS, which needs the Python package PySocks; install it.")
    if not _is_address(proxy):
        return DownloadFailed(
            f"{proxy} is not the address of a proxy, such as http://proxy:3128 or socks5h://proxy:1080; "
            "correct HTTPS_PROXY or ALL_PROXY."
        )
    return TransientDownloadFailed(
        f"The hub at {host} can't be reached through the proxy {proxy} ({type(error).__name__})."
    )


def _is_address(proxy: str) -> bool:
    try:
        parsed = urlsplit(proxy)
        return parsed.scheme in _WORKING_SCHEMES and bool(parsed.hostname) and parsed.port != 0
    except ValueError:  # the port is not a valid number
        return False
