"""The front: one origin, compression, limits, and which address goes to which part."""

from __future__ import annotations

import json

from ops.stack.home import Home

SERVICE_PATHS = ("/v1/*", "/access/v1/*", "/data/v1/*", "/.well-known/authzen-configuration")
UPLOAD_LIMIT = "512MB"
CKAN_LIMIT = "128MB"
SERVICE_LIMIT = "16MB"
"""Far above what the service takes: it says 413 itself after reading the rest, which a cut connection could not."""
NEVER_FROM_OUTSIDE = ("Forwarded", "X-Real-IP", "X-Script-Name", "X-Original-URL", "X-Rewrite-URL", "Proxy")
"""Request headers that a part could take for the front's own word. Caddy itself drops and sets X-Forwarded-*."""


def _problem(status: int, code: str, zh: str, en: str) -> str:
    words = f"{zh} / {en}"
    body = {"type": f"/v1/errors#{code}", "title": words, "status": status, "code": code, "detail": words}
    return json.dumps(body, ensure_ascii=False)


def caddyfile(home: Home, bind: str, port: int, ports: dict[str, int]) -> str:
    """The front's configuration: everything that is not named goes to CKAN."""
    strip = "\n".join(f"\t\t\theader_up -{name}" for name in NEVER_FROM_OUTSIDE)
    paths = " ".join(SERVICE_PATHS)
    away = _problem(503, "unavailable", "服务正在启动或恢复，请稍后重试。", "Starting or recovering; try again.")
    large = _problem(413, "too_large", "请求内容过大。", "The request body is too large.")
    return f"""{{
	admin off
	auto_https off
	persist_config off
	storage file_system {home.folder("caddy")}
	grace_period 5s
	servers {{
		protocols h1 h2c
		timeouts {{
			read_header 15s
			idle 2m
		}}
		max_header_size 64KB
	}}
	log {{
		level WARN
	}}
}}

http://:{port} {{
	bind {bind}
	encode zstd gzip
	header {{
		X-Content-Type-Options nosniff
		X-Frame-Options SAMEORIGIN
		Referrer-Policy strict-origin-when-cross-origin
		Permissions-Policy "camera=(), microphone=(), geolocation=(), payment=()"
		Cross-Origin-Opener-Policy same-origin
		-Server
		-Via
		defer
	}}

	@service path {paths}
	handle @service {{
		@upload path /v1/restricted/*
		request_body @upload {{
			max_size {UPLOAD_LIMIT}
		}}
		@small not path /v1/restricted/*
		request_body @small {{
			max_size {SERVICE_LIMIT}
		}}
		reverse_proxy 127.0.0.1:{ports["service"]} {{
{strip}
			flush_interval -1
		}}
	}}

	handle {{
		request_body {{
			max_size {CKAN_LIMIT}
		}}
		reverse_proxy 127.0.0.1:{ports["ckan"]} {{
{strip}
		}}
	}}

	handle_errors {{
		header -Server
		@away expression {{err.status_code}} in [502, 503, 504]
		header @away Retry-After 5
		header @away Content-Type "application/problem+json; charset=utf-8"
		respond @away `{away}` 503
		@large expression {{err.status_code}} == 413
		header @large Content-Type "application/problem+json; charset=utf-8"
		respond @large `{large}` 413
		respond "{{err.status_code}} {{err.status_text}}"
	}}
}}
"""
