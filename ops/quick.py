"""The application's front door: what is asked for all day goes in without passing through every room.

A layer of the application costs a page of rows little, all of them together a sixth of it, and on the usual way none
of them does anything. Only that way is walked here. A request with a body, a refusal or a fault goes through all layers
and is answered as everywhere.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from ops.delivery.routes import FAULT, RowsRoute, page_of
from ops.edge import name_request

ROWS = RowsRoute()
WITH_BODY = (b"content-length", b"transfer-encoding", b"expect")


class Service(FastAPI):
    """FastAPI's application, but for pages of rows that can be answered at once."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match, found = ROWS.matches(scope)
        if match is Match.FULL:
            headers = dict(scope["headers"])
            if not any(name in headers for name in WITH_BODY):
                scope["app"] = self
                request_id = name_request(scope, headers)
                try:
                    page = await page_of(self.state.runtime, Request(scope), found["path_params"]["resource_id"])
                except Exception as fault:  # not handled here: raised again where faults are answered
                    scope["state"][FAULT] = fault
                else:
                    await page.send(send, (b"x-request-id", request_id.encode()))
                    return
        await super().__call__(scope, receive, send)
