"""A stateful double of the part of Stripe that billing speaks to, served over real HTTP.

Run it: ``python -m billing.testing.stripe_double --port 8420 --webhook-url URL --webhook-secret whsec_…``.
It knows customers, checkout sessions with a hosted page, payment intents, refunds, transfers, the balance, events,
idempotency keys and signed webhooks with retries. Addresses under ``/_double/`` are its own levers.
"""

from __future__ import annotations

import argparse
import html
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from billing.testing.stripe_state import Problem, Settings, StripeState

KEY = re.compile(r"[^\[\]]+")


def parse_form(body: bytes) -> dict[str, Any]:
    """Stripe's form encoding, ``a[b][0][c]=d``, as nested dicts with lists where keys count from zero."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        parts = KEY.findall(name)
        here = tree
        for part in parts[:-1]:
            here = here.setdefault(part, {})
        here[parts[-1]] = value
    return {key: _lists(value) for key, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


def build_double(state: StripeState) -> FastAPI:
    """The application over one state."""
    app = FastAPI(openapi_url=None)
    app.state.double = state

    @app.exception_handler(Problem)
    async def _problem(request: Request, problem: Problem) -> JSONResponse:
        return JSONResponse({"error": problem.body}, problem.status, {"Request-Id": "req_double"})

    _add_api(app, state)
    _add_levers(app, state)
    return app


def _add_api(app: FastAPI, state: StripeState) -> None:
    async def create(request: Request, make: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        state.authenticate(request.headers.get("authorization"))
        body = await request.body()
        key = request.headers.get("idempotency-key")
        made = await run_in_threadpool(
            state.once, key, f"{request.method} {request.url.path}", body, lambda: make(parse_form(body))
        )
        return dict(made)

    def listing(request: Request, kind: str) -> dict[str, Any]:
        state.authenticate(request.headers.get("authorization"))
        return state.listing(kind, dict(request.query_params), request.url.path)

    def one(request: Request, kind: str, item: str) -> dict[str, Any]:
        state.authenticate(request.headers.get("authorization"))
        return state.get(kind, item)

    makers = {
        "customers": state.create_customer, "payment_intents": state.create_intent, "refunds": state.create_refund,
        "transfers": state.create_transfer, "checkout/sessions": state.create_session,
    }

    def add(path: str, make: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        @app.post(f"/v1/{path}")
        async def _create(request: Request) -> dict[str, Any]:
            return await create(request, make)

        @app.get(f"/v1/{path}")
        async def _list(request: Request) -> dict[str, Any]:
            return listing(request, path)

        @app.get(f"/v1/{path}/{{item}}")
        async def _show(request: Request, item: str) -> dict[str, Any]:
            return one(request, path, item)

    for path, make in makers.items():
        add(path, make)

    @app.post("/v1/checkout/sessions/{item}/expire")
    async def _expire(request: Request, item: str) -> dict[str, Any]:
        return await create(request, lambda _: state.expire_session(item))

    @app.post("/v1/payment_intents/{item}/confirm")
    async def _confirm(request: Request, item: str) -> dict[str, Any]:
        return await create(request, lambda _: state.confirm_intent(item))

    @app.get("/v1/events")
    async def _events(request: Request) -> dict[str, Any]:
        return listing(request, "events")

    @app.get("/v1/balance")
    async def _balance(request: Request) -> dict[str, Any]:
        state.authenticate(request.headers.get("authorization"))
        return state.balance()

    @app.api_route("/v1/{path:path}", methods=["GET", "POST", "DELETE"])
    async def _unknown(path: str, request: Request) -> None:
        raise Problem(404, "invalid_request_error", f"Unrecognized request URL ({request.method}: /v1/{path}).")


def _add_levers(app: FastAPI, state: StripeState) -> None:
    @app.get("/pay/{session}")
    async def _page(session: str) -> HTMLResponse:
        item = state.get("checkout/sessions", session)
        return HTMLResponse(PAGE.format(
            name=html.escape(item["double_name"]), amount=f"{item['amount_total'] / 100:,.2f}",
            action=f"/_double/sessions/{html.escape(session)}/pay", cancel=html.escape(item["cancel_url"] or "/"),
        ))

    @app.post("/_double/sessions/{session}/pay", response_model=None)
    async def _pay(session: str, request: Request) -> JSONResponse | HTMLResponse:
        item = await run_in_threadpool(state.pay_session, session)
        if "text/html" in request.headers.get("accept", ""):
            goal = html.escape(item["success_url"])
            return HTMLResponse(f'<meta charset="utf-8"><meta http-equiv="refresh" content="0;url={goal}">')
        return JSONResponse(item)

    @app.post("/_double/events/{event}/resend")
    async def _resend(event: str) -> dict[str, Any]:
        return {"status": await run_in_threadpool(state.deliver, event)}

    @app.get("/_double/deliveries")
    async def _deliveries() -> dict[str, Any]:
        return {"items": state.deliveries}

    @app.get("/_double/health")
    async def _health() -> dict[str, str]:
        return {"status": "ok"}


PAGE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>支付</title><body style="font:16px/1.6 sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem">
<p>支付服务演示（非真实支付）</p><h1 style="font-size:1.2rem">{name}</h1><p style="font-size:2rem">¥ {amount}</p>
<form method="post" action="{action}"><button style="font-size:1rem;padding:.6rem 2rem">确认支付</button>
<a href="{cancel}">返回</a></form></body></html>"""


def main() -> None:
    """Serve until stopped, on loopback only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", choices=["127.0.0.1", "::1", "localhost"])
    parser.add_argument("--base-url", help="address of this double as the payer's browser reaches it")
    parser.add_argument("--webhook-url", default=os.environ.get("GOVOPEN_STRIPE_WEBHOOK_URL"))
    parser.add_argument("--webhook-secret", default=os.environ.get("GOVOPEN_STRIPE_WEBHOOK_SECRET", ""))
    parser.add_argument("--state", help="file that keeps everything across restarts")
    given = parser.parse_args()
    settings = Settings(
        base_url=given.base_url or f"http://{given.host}:{given.port}", webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret, state_file=given.state,
    )
    state = StripeState(settings)
    state.start()
    try:
        uvicorn.run(build_double(state), host=given.host, port=given.port, log_level="warning", access_log=False)
    finally:
        state.stop()


if __name__ == "__main__":
    main()
