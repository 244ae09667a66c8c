"""Routes with what they take and answer, from which both the application and its OpenAPI document are made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web
from pydantic import BaseModel

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

Content: TypeAlias = Mapping[str, type[BaseModel] | None]
"""Media type -> the model of its JSON, or None for bytes."""


@dataclass(frozen=True)
class Operation:
    """One method on one path. The handler's docstring is its description."""

    method: str
    path: str
    handler: Handler
    summary: str
    body: type[BaseModel] | None = None
    """Model of the JSON body."""

    upload: bool = False
    """Whether the body may also be multipart/form-data with a `file`."""

    query: type[BaseModel] | None = None
    answers: Mapping[int, Content] = field(default_factory=dict)
    """By status; errors that every operation may answer are not listed."""

    errors: tuple[int, ...] = ()
    """Statuses of errors that are this operation's own."""


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
        upload: bool = False,
        query: type[BaseModel] | None = None,
        answers: Mapping[int, Content],
        errors: tuple[int, ...] = (),
    ) -> Callable[[Handler], Handler]:
        """Decorate a handler."""

        def add(handler: Handler) -> Handler:
            self.operations.append(
                Operation(method, path, handler, summary, body, upload, query, answers, errors),
            )
            return handler

        return add

    def add_to(self, app: web.Application) -> None:
        """Put all of them into an application."""
        for operation in self.operations:
            app.router.add_route(operation.method, operation.path, operation.handler)
            if operation.method == "GET":
                app.router.add_route("HEAD", operation.path, operation.handler)
