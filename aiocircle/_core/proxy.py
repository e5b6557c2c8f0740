"""Proxies: which one a request goes through, by the client's option or by the environment."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote

import yarl

from aiocircle._redact import Secret, SecretHeader
from aiocircle._urls import is_loopback
from aiocircle.errors import ConfigurationError

__all__ = ["NO_PROXY", "Proxies", "Proxy", "ProxyOptions", "parse_proxy", "proxies_of", "read_environment"]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_VARIABLES: Final = (
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    "REQUEST_METHOD",
)
_SCHEME: Final = "[A-Za-z][A-Za-z0-9+.-]*://"


class Proxy(NamedTuple):
    """An HTTP proxy. url: without credentials. authorization: the value of Proxy-Authorization; None without one."""

    url: yarl.URL
    authorization: SecretHeader | None = None


class ProxyOptions(NamedTuple):
    """The proxy of one request, for aiohttp. headers: of the request for a tunnel."""

    url: yarl.URL | None
    headers: Mapping[str, str] | None


NO_PROXY: Final = ProxyOptions(None, None)


def parse_proxy(text: Secret, source: str, *, scheme: str = "") -> Proxy:
    """Return the proxy that a URL names. scheme: the one of a URL that has none.

    Raise ConfigurationError, which names the source and not the value, if it is not the URL of an HTTP proxy.
    """
    text = Secret(text.strip())
    try:
        url = yarl.URL(text if re.match(_SCHEME, text) else Secret(scheme + text))
        is_proxy = url.scheme in _DEFAULT_PORTS and bool(url.host) and url.port != 0
        user, password = Secret(url.raw_user or ""), Secret(url.raw_password or "")
        bare = url.origin() if is_proxy else yarl.URL()
    except ValueError:
        is_proxy, bare, user, password = False, yarl.URL(), Secret(), Secret()
    url = bare  # An exception keeps this frame.
    if not is_proxy:
        raise ConfigurationError(f"{source} must be the URL of an HTTP proxy, such as http://proxy.example.com:3128")
    if not user and not password:
        return Proxy(url)
    credentials = f"{unquote(user)}:{unquote(password)}".encode()
    return Proxy(url, SecretHeader("Basic " + base64.b64encode(credentials).decode()))


class Proxies(NamedTuple):
    """The proxies of the environment by scheme, and the hosts that are reached without one."""

    by_scheme: Mapping[str, Proxy]
    excluded: tuple[str, ...] = ()

    def find(self, url: yarl.URL) -> Proxy | None:
        """Return the proxy for a URL; None for a direct connection, as to a loopback host."""
        proxy = self.by_scheme.get(url.scheme)
        host = (url.raw_host or "").rstrip(".").lower()
        is_here = is_loopback(host) or host.endswith(".localhost")
        return None if not host or is_here or self._excludes(host, url.port) else proxy

    def _excludes(self, host: str, port: int | None) -> bool:
        return any(_matches(entry, host, port) for entry in self.excluded)


def read_environment() -> dict[str, Secret]:
    """Return the variables that `proxies_of` reads, masked: a traceback with local variables shows no password."""
    return {name: Secret(os.environ[name]) for name in _VARIABLES if name in os.environ}


def proxies_of(environment: Mapping[str, str]) -> Proxies | None:
    """Return the proxies of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in upper or lower case; None if all are unset.

    Raise ConfigurationError, which names the variable, if a proxy is malformed.
    """
    found: dict[str, Proxy] = {}
    for scheme in _DEFAULT_PORTS:
        name, value = _variable(environment, f"{scheme}_proxy")
        # A web server passes the request header `Proxy` to a CGI program as HTTP_PROXY.
        if value and not (name == "HTTP_PROXY" and "REQUEST_METHOD" in environment):
            found[scheme] = parse_proxy(value, name, scheme="http://")
    if not found:
        return None
    _, excluded = _variable(environment, "no_proxy")
    return Proxies(found, tuple(excluded.lower().replace(",", " ").split()))


def _variable(environment: Mapping[str, str], name: str) -> tuple[str, Secret]:
    """Return the name and the value of a variable, which is empty if it is not set. Lower case takes precedence."""
    for each in (name, name.upper()):
        if each in environment:
            return each, Secret(environment[each].strip())
    return name, Secret()


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Return True if an entry of NO_PROXY names a host: `*`, a host or its domain, an address, or a network."""
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if _address(entry) is None and (named := re.fullmatch(r"(.*):(\d+)", entry)):
        entry = named[1]
        if port != int(named[2]):
            return False
    if (named_address := _address(entry)) is not None:
        return address == named_address
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith("." + domain))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
