"""Where webhooks may go: public addresses over https, looked up by us and connected to as they were looked up."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from authz import FieldError, InvalidInput

URL_MAX = 2_000
RESOLVE_S = 5.0
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PlaceRefused(Exception):
    """The address is none that the service would call."""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """As what it reaches: IPv4 inside IPv6 is the IPv4 address."""
    found = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return inner or found
    return found


def is_allowed(text: str, *, demo: bool) -> bool:
    found = _address(text)
    if found.is_loopback:
        return demo
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def split(url: str, *, demo: bool) -> SplitResult:
    """The parts of an address that may be registered; raises InvalidInput naming the fault. Nothing is looked up."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _fault("malformed", "不是有效的网址", "is no valid address") from None
    host = parts.hostname or ""
    if not host or parts.username is not None or parts.fragment or len(url) > URL_MAX or not url.isascii():
        raise _fault("malformed", "应为不含用户名和片段的完整网址", "must be a whole address without user or fragment")
    if any(character <= " " or character in '"\\<>`' for character in url) or port == 0:
        raise _fault("malformed", "含有网址中不允许的字符", "has characters that no address has")
    if parts.scheme == "http" and demo and _is_loopback(host):
        return parts
    if parts.scheme != "https":
        raise _fault("https_only", "必须使用 https", "must be https")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fault(code: str, zh: str, en: str) -> InvalidInput:
    return InvalidInput([FieldError("url", code, zh, en)])


async def resolve(host: str, port: int, *, demo: bool) -> str:
    """One address to connect to. Raises PlaceRefused when the name leads, even in part, to where nothing may go."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as fault:
        raise PlaceRefused("name_not_resolved") from fault
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(is_allowed(one, demo=demo) for one in addresses):
        raise PlaceRefused("address_not_public")
    return addresses[0]


async def require_place(url: str, *, demo: bool) -> None:
    """Raise InvalidInput for an address that would not be called now."""
    parts = split(url, demo=demo)
    try:
        await resolve(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), demo=demo)
    except PlaceRefused as fault:
        if str(fault) == "name_not_resolved":
            raise _fault("name_not_resolved", "主机名无法解析", "has a host that cannot be found") from fault
        raise _fault("address_not_public", "不得指向内部网络地址", "must not lead to an internal address") from fault
