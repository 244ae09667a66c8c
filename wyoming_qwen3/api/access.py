"""Checks who may use the server, and adds common headers: API key, Host, Origin, CORS, request ids.

If an API key is set, a request must carry it. Without a key, a request's Host must be a name that no web page can have
been loaded from by DNS rebinding. In both cases a web page of another origin can change nothing unless its origin is
listed (cross-site request forgery).
"""

import hmac
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .errors import HttpError
from .ingress import Ingress

OPEN_PATHS = frozenset(
    {
        "/health",
        "/openapi.json",
        "/",
        "/docs",
        "/docs.js",
        "/docs.css",
        "/app.css",
        "/icon.svg",
        # Open WebUI fetches these lists without the API key.
        "/v1/models",
        "/v1/audio/models",
        "/v1/audio/voices",
        "/v1/voices",
        "/v1/audio/speech/voices",
    }
)
"""Paths that may be read without the key: they describe the server and hold no data of the user."""

_OPEN_FOLDERS = ("/js/", "/lang/")
"""Scripts and texts of the web page, which asks for the key itself."""

PRIVATE_SUFFIXES = (
    ".localhost",  # RFC 6761
    ".local",  # RFC 6762
    ".home.arpa",  # RFC 8375
    ".internal",  # reserved by ICANN for private use
    ".lan",
    ".localdomain",
    ".fritz.box",  # public, but owned by the maker of the routers that answer for it
)
"""Suffixes below which no stranger can have a name, so that no stranger's page can be rebound to one."""

SUBPROTOCOLS = ("realtime",)
"""For `WebSocketResponse(protocols=...)`, which selects one only if the client offered it."""

EXPOSED_HEADERS = (
    "X-Request-Id, X-Sample-Rate, X-Channels, X-Sample-Format, X-Model-Used, X-Engine, X-Voice, X-Language, "
    "X-Audio-Duration-Ms, X-History-Id, X-Turns, X-Ignored-Fields, X-Warning, Retry-After"
)
"""Headers of an answer that scripts of a listed origin may read."""

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, *",  # the wildcard means all but Authorization (Fetch)
    "Access-Control-Max-Age": "600",
}

_SPEECH_URL = "/v1/audio/speech"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY_SUBPROTOCOL = "openai-insecure-api-key."
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{0,5})?", re.IGNORECASE)
_GIVEN_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_REQUEST_ID = web.RequestKey("request_id", str)


@dataclass(frozen=True)
class Access:
    """Who may use the server."""

    api_key: str | None = None
    """No key is needed if it is None or empty."""

    cors_origins: tuple[str, ...] = ()
    """Origins (scheme://host[:port]) whose pages may use the server; "*" allows all."""

    allowed_hosts: tuple[str, ...] = ()
    """Further names of the server: exact, "*.example.org" for all names below, or "*" for any."""

    key_in_url: bool = False
    """Whether the URL of a text may have the API key as `key`: whoever sees that URL has the key."""

    ingress: Ingress | None = None
    """The port for Home Assistant's ingress; None if there is none."""

    def at(self, request: web.BaseRequest) -> "Access":
        """Return the rules for a request: at the ingress port, Home Assistant has authenticated the user."""
        return _PASSED_ON if self.ingress and self.ingress.took(request) else self

    def passes(self, request: web.BaseRequest) -> bool:
        """Return whether a request may use the whole server, and not only read the open paths."""
        key = self.at(request).api_key
        return not key or has_key(request.headers, key) or (self.key_in_url and _has_url_key(request, key))


_PASSED_ON = Access(allowed_hosts=("*",))


def install(app: web.Application, access: Access) -> None:
    """Guard all routes of `app`. The middleware that turns errors into answers must have been added before."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Request-Id"] = request_id(request)
        if response.status == web.HTTPUnauthorized.status_code:
            response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 11.6.1
        listed = access.at(request).cors_origins
        if listed:
            response.headers.add("Vary", "Origin")
        if origin_listed(origin := request.headers.get("Origin", ""), listed):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS

    app.middlewares.append(access_middleware(access))
    app.on_response_prepare.append(prepare)  # called for every answer before its headers are sent


def access_middleware(access: Access) -> Middleware:
    """Return a middleware that answers preflights and raises HttpError for requests that are not allowed.

    Its errors: 400 `invalid_host` and `invalid_subprotocol`, 401 `invalid_api_key`, 403 `address_not_allowed`,
    `host_not_allowed` and `origin_not_allowed`.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if access.ingress and access.ingress.took(request):
            access.ingress.check(request)
        rules = access.at(request)
        if not rules.api_key:
            _check_host(request.headers, rules.allowed_hosts)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            if not origin_listed(request.headers.get("Origin", ""), rules.cors_origins):
                raise foreign_origin()
            return web.Response(status=204, headers=_PREFLIGHT)
        checked = changes_something(request.method, request.headers)
        if checked and not origin_allowed(request.headers, rules.cors_origins):
            raise foreign_origin()
        if not (is_open(request.method, request.path) or access.passes(request)):
            raise HttpError(
                401,
                "invalid_api_key",
                "The API key is missing or wrong; send it as Authorization: Bearer KEY or as x-api-key: KEY.",
            )
        _check_subprotocols(request.headers)
        return await handler(request)

    return guard


def request_id(request: web.BaseRequest) -> str:
    """Return the client's X-Request-Id if it has 1 to 64 letters, digits, _ and -, else a new id.

    Returns the same id each time for one request.
    """
    if _REQUEST_ID not in request:
        given = request.headers.get("X-Request-Id", "")
        request[_REQUEST_ID] = given if _GIVEN_ID.fullmatch(given) else uuid4().hex
    return request[_REQUEST_ID]


def is_open(method: str, path: str) -> bool:
    """Return whether a request needs no API key."""
    return method in {"GET", "HEAD"} and (path in OPEN_PATHS or path.startswith(_OPEN_FOLDERS))


def has_key(headers: Mapping[str, str], key: str) -> bool:
    """Return whether the headers carry the API key `key`."""
    return any(hmac.compare_digest(_raw(given), _raw(key)) for given in _given_keys(headers))


def _has_url_key(request: web.BaseRequest, key: str) -> bool:
    given = request.query.get("key", "") if request.method in {"GET", "HEAD"} else ""
    return request.path == _SPEECH_URL and hmac.compare_digest(_raw(given), _raw(key))


def host_name(host: str) -> str | None:
    """Return the name or address in a Host header in lower case, without port and brackets; None if it has neither."""
    if not (match := _HOST.fullmatch(host)):
        return None
    name = match["name"].lower()
    if not name.startswith("["):
        return name
    return name[1:-1] if _is_address(name[1:-1]) else None


def host_allowed(name: str, allowed: Iterable[str]) -> bool:
    """Return whether no stranger's web page can have been loaded from this `host_name`.

    DNS rebinding needs a public name. Addresses are no names, and no public name is without a dot.
    """
    if "." not in name or _is_address(name):
        return True
    plain = name.removesuffix(".")
    return f".{plain}".endswith(PRIVATE_SUFFIXES) or any(_covers(entry.lower(), plain) for entry in allowed)


def changes_something(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a request may have an effect besides its answer: its method may, or it opens a WebSocket."""
    return method not in _SAFE_METHODS or is_websocket(headers)


def origin_allowed(headers: Mapping[str, str], listed: Iterable[str]) -> bool:
    """Return whether the web page that sent a request, if any did, is the server's own or of a listed origin.

    A browser adds Origin to WebSockets and to methods that change something, and Sec-Fetch-Site to requests over TLS or
    to localhost. Sec-Fetch-Site is right even behind a proxy that changes the Host. No script can set either header.
    Programs send neither.
    """
    site = headers.get("Sec-Fetch-Site")
    if site == "same-origin":
        return True
    origin = headers.get("Origin")
    if origin is None:
        return site in {None, "none"}
    return same_origin(origin, headers.get("Host", "")) or origin_listed(origin, listed)


def same_origin(origin: str, host: str) -> bool:
    """Return whether an Origin names the server as Host does, over TLS or not, since a proxy may add TLS."""
    scheme, _, authority = origin.lower().partition("://")
    port = {"http": ":80", "https": ":443"}.get(scheme)
    return port is not None and bool(authority) and authority.removesuffix(port) == host.lower().removesuffix(port)


def origin_listed(origin: str, listed: Iterable[str]) -> bool:
    """Return whether an Origin is listed. "null" never is: any sandboxed page can have it."""
    if origin in {"", "null"}:
        return False
    return any(entry == "*" or entry.rstrip("/").lower() == origin for entry in listed)


def is_websocket(headers: Mapping[str, str]) -> bool:
    """Return whether a request asks for a WebSocket."""
    return headers.get("Upgrade", "").strip().lower() == "websocket"


def _check_host(headers: Mapping[str, str], allowed: Iterable[str]) -> None:
    name = host_name(headers.get("Host", ""))
    if name is None:
        raise HttpError(400, "invalid_host", "The Host header must be the server's name or address.")
    if not host_allowed(name, allowed):
        message = f"Without an API key this server does not answer as {name}; add that name to --allowed-hosts."
        raise HttpError(403, "host_not_allowed", message)


def _check_subprotocols(headers: Mapping[str, str]) -> None:
    """Refuse a handshake that offers a key but no subprotocol to select: aiohttp would log the offered key."""
    offered = _offered_subprotocols(headers)
    if any(name.startswith(_KEY_SUBPROTOCOL) for name in offered) and not set(offered) & set(SUBPROTOCOLS):
        message = f"Offer the subprotocol {SUBPROTOCOLS[0]} beside the one that carries the API key."
        raise HttpError(400, "invalid_subprotocol", message)


def foreign_origin() -> HttpError:
    """Return the error for a web page of another origin."""
    message = "Web pages of other origins may use this server only if --cors-origins lists their origin."
    return HttpError(403, "origin_not_allowed", message)


def _given_keys(headers: Mapping[str, str]) -> Iterator[str]:
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield token.strip()
    if "x-api-key" in headers:
        yield headers["x-api-key"].strip()
    if is_websocket(headers):
        for name in _offered_subprotocols(headers):
            if name.startswith(_KEY_SUBPROTOCOL):
                yield name.removeprefix(_KEY_SUBPROTOCOL)


def _offered_subprotocols(headers: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in headers.get("Sec-WebSocket-Protocol", "").split(",")]


def _raw(text: str) -> bytes:
    """Return the bytes that a header or option was sent as, because compare_digest accepts only ASCII strings."""
    return text.encode("utf-8", "surrogateescape")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _covers(entry: str, name: str) -> bool:
    return entry in {"*", name} or (entry.startswith("*.") and name.endswith(entry[1:]))
