"""Routes with the models of their requests and answers, for both the application and its OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web
from pydantic import BaseModel

from .body import FormShape

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

Content: TypeAlias = Mapping[str, type[BaseModel] | None]
"""Media type -> model of its JSON, or None for any other content."""


@dataclass(frozen=True)
class Operation:
    """One method on one path. The handler's docstring is its description."""

    method: str
    path: str
    handler: Handler
    summary: str
    body: type[BaseModel] | None = None
    """Model of the JSON body."""

    form: FormShape | None = None
    """The multipart/form-data body: an alternative to the JSON body, or the only one if there is no model for that."""

    fields: type[BaseModel] | None = None
    """Model of the form's text fields; None if they are ignored."""

    query: type[BaseModel] | None = None
    answers: Mapping[int, Content] = field(default_factory=dict)
    """Answers by status, without the errors that every operation may answer."""

    errors: tuple[int, ...] = ()
    """Statuses of further errors that this operation may answer."""

    body_required: bool = True
    also: tuple[str, ...] = ()
    """Further paths for clients of other servers. They are not documented."""


class Resource:
    """The operations of one file."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.operations: list[Operation] = []

    def operation(
        self,
        method: str,
        path: str,
        summary: str,
        *,
        body: type[BaseModel] | None = None,
        form: FormShape | None = None,
        fields: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        answers: Mapping[int, Content],
        errors: tuple[int, ...] = (),
        body_required: bool = True,
        also: tuple[str, ...] = (),
    ) -> Callable[[Handler], Handler]:
        """Decorate a handler as an operation of this resource."""

        def add(handler: Handler) -> Handler:
            self.operations.append(
                Operation(
                    method, path, handler, summary, body, form, fields, query, answers, errors, body_required, also
                ),
            )
            return handler

        return add

    def add_to(self, app: web.Application) -> None:
        """Add all operations to an application, as `add_route` does."""
        for operation in self.operations:
            for path in (operation.path, *operation.also):
                add_route(app, operation.method, path, operation.handler)


def add_route(app: web.Application, method: str, path: str, handler: Handler, *, head: bool = True) -> None:
    """Serve a path, and the ways in which people write it who paste base URLs together.

    A path below /v1 is also served without /v1, with /v1 twice, with doubled slashes and with a slash at its end. With
    `head`, HEAD is answered as GET is.
    """
    paths = [path]
    if path.startswith(_VERSION):
        paths.append(f"/{{_base:/*(?:v1/+)*}}{path.removeprefix(_VERSION)}{{_end:/*}}")
    for each in paths:
        app.router.add_route(method, each, handler)
        if head and method == "GET":
            app.router.add_route("HEAD", each, handler)


_VERSION = "/v1/"
