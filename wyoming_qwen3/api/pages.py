"""The studio page at `/` and the API's page at `/docs`: the files of ../web, kept in memory.

Browsers cache the files but ask each time whether they have changed, so that none outlives an update.
"""

import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from aiohttp import web

from .operation import Handler

_WEB = resources.files("wyoming_qwen3") / "web"
_PATHS = {"/index.html": "/", "/docs.html": "/docs"}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"  # Home Assistant frames it, from the same origin
)


def add_to(app: web.Application) -> None:
    """Serve all files."""
    for path, file in _files(_WEB, "/"):
        app.router.add_get(_PATHS.get(path, path), _serve(file.read_bytes(), _TYPES[PurePosixPath(path).suffix]))


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{path}{entry.name}/")
        elif PurePosixPath(entry.name).suffix in _TYPES:
            yield path + entry.name, entry


def _serve(body: bytes, media_type: str) -> Handler:
    tag = hashlib.sha256(body).hexdigest()[:16]
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    whole = {"Content-Type": media_type, "Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"}

    async def serve(request: web.Request) -> web.StreamResponse:
        if any(known.value in {tag, "*"} for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers | whole)

    return serve
