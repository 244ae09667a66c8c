"""Calls Home Assistant's API, which an app reaches through the Supervisor. No other module sends anything to either.

https://developers.home-assistant.io/docs/apps/communication
"""

import os

_TIMEOUT_SECONDS = 60.0
"""Time limit of one call. Home Assistant answers when the action is done, here after deleting thousands of files."""

_NOT_ALLOWED = frozenset({401, 403})


class CallFailed(Exception):
    """A call had no effect; the message is a clause that says why. `final` means that another try can't help."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Supervisor:
    """Calls actions of Home Assistant as the app that `token` belongs to."""

    def __init__(self, url: str, token: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        """`url` is the one of the Supervisor's API, without a slash at the end."""
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeout_seconds = timeout_seconds

    async def clear_tts_cache(self) -> None:
        """Have Home Assistant clear its TTS cache, and wait until that is done. Raises CallFailed."""
        await self._call("tts", "clear_cache")

    async def _call(self, domain: str, action: str) -> None:
        """Call an action without data, and wait for its end."""
        import aiohttp  # noqa: PLC0415  takes 0.1 s, and only an app calls anything

        url = f"{self._url}/core/api/services/{domain}/{action}"
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session,
                session.post(url, json={}, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError as error:
            raise CallFailed("the Supervisor did not answer in time") from error
        except aiohttp.InvalidURL as error:
            raise CallFailed("SUPERVISOR_API is not a URL", final=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed(f"the Supervisor can't be reached ({_reason(error)})") from error
        if status in _NOT_ALLOWED:
            raise CallFailed(f"the Supervisor does not let this app do it (HTTP {status})", final=True)
        if status != 200:
            raise CallFailed(f"Home Assistant can't do it now (HTTP {status})")


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number and number > 0 else type(error).__name__
