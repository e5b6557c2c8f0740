"""The choice of a proxy, without sending anything."""

from __future__ import annotations

import yarl

from aiocircle._core.proxy import proxies_of
from tests.support.rows import each_row

PROXY = "http://proxy.example.com:3128"


def find(url: str, **environment: str) -> str | None:
    proxies = proxies_of(environment)
    proxy = None if proxies is None else proxies.find(yarl.URL(url))
    return None if proxy is None else str(proxy.url)


@each_row(
    ("url", "environment", "expected"),
    [
        ("https://circleci.com/x", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://circleci.com/x", {"https_proxy": PROXY}, PROXY),
        ("https://circleci.com/x", {"HTTP_PROXY": PROXY}, None),
        ("http://circleci.com/x", {"HTTP_PROXY": PROXY}, PROXY),
        ("http://circleci.com/x", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("https://circleci.com/x", {"HTTPS_PROXY": "", "NO_PROXY": "*"}, None),
        ("https://circleci.com/x", {"https_proxy": "", "HTTPS_PROXY": PROXY}, None),
        ("https://circleci.com/x", {"HTTPS_PROXY": PROXY, "NO_PROXY": ""}, PROXY),
        ("https://localhost:1/", {"HTTPS_PROXY": PROXY}, None),
        ("https://a.localhost/", {"HTTPS_PROXY": PROXY}, None),
        ("https://127.8.9.1/", {"HTTPS_PROXY": PROXY}, None),
        ("https://[::1]:8/", {"HTTPS_PROXY": PROXY}, None),
    ],
)
def test_proxy_is_found(url: str, environment: dict[str, str], expected: str | None) -> None:
    """Lower case takes precedence, an empty value means no proxy, and loopback hosts have none."""
    assert find(url, **environment) == expected


@each_row(
    ("entry", "host", "is_excluded"),
    [
        ("circleci.com", "circleci.com", True),
        ("circleci.com", "CircleCI.com.", True),
        ("circleci.com", "app.circleci.com", True),
        (".circleci.com", "app.circleci.com", True),
        ("*.circleci.com", "app.circleci.com", True),
        ("circleci.com", "notcircleci.com", False),
        ("circleci.com:443", "circleci.com", True),
        ("circleci.com:8443", "circleci.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "circleci.com", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("fd00::1", "[fd00::1]", True),
        ("bad/entry", "circleci.com", False),
        ("a b,circleci.com", "circleci.com", True),
        (",,", "circleci.com", False),
    ],
)
def test_no_proxy_entries(entry: str, host: str, is_excluded: bool) -> None:
    """A host with its domain, a port, an address, a network, or a list of them."""
    found = find(f"https://{host}/", HTTPS_PROXY=PROXY, NO_PROXY=entry)
    assert found == (None if is_excluded else PROXY)
