"""What an application of a test answers when a request is refused."""

from aiohttp import web
from aiohttp.typedefs import Handler

from wyoming_qwen3.api.errors import error_body, error_headers, status_for
from wyoming_qwen3.core.errors import SpeechError


@web.middleware
async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what a handler refuses as the server does."""
    try:
        return await handler(request)
    except SpeechError as error:
        return web.json_response(error_body(error), status=status_for(error).status, headers=error_headers(error))
