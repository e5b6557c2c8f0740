"""Pages and git remotes as plain parts: what slugs and links stand on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aiocircle._urls import (
    Address,
    Root,
    _begins_with_host,
    clean_text,
    is_loopback,
    is_name,
    is_uuid,
    number_of,
    parse_address,
    parse_root,
)
from tests.support.rows import each_row

ID = "fda08377-fe7e-46b1-8992-3a7aaecac9c3"
GH = Address(None, "gh", "acme", "web")


@each_row(
    ("remote", "address"),
    [
        ("https://github.com/acme/web", GH),
        ("https://github.com/acme/web.git", GH),
        ("https://github.com:8443/acme/web.git/", GH),
        ("https://token@github.com/acme/web/pull/5", GH),
        ("http://www.github.com/acme/web", GH),
        ("//github.com/acme/web", GH),
        ("github.com/acme/web", GH),
        ("git@github.com:acme/web.git", GH),
        ("git@github.com:/acme/web.git", GH),
        ("github.com:acme/web", GH),
        ("git@github.com-work:acme/web.git", GH),
        ("git@github.com-my_work-2:acme/web.git", GH),
        ("ssh://git@github.com-work/acme/web.git", GH),
        ("ssh://git@github.com/acme/web.git", GH),
        ("ssh://git@github.com:22/acme/web.git", GH),
        ("ssh://git@ssh.github.com:443/acme/web.git", GH),
        ("git@ssh.github.com:acme/web.git", GH),
        ("git+ssh://git@github.com/acme/web.git", GH),
        ("ssh+git://git@github.com/acme/web", GH),
        ("git://github.com/acme/web.git", GH),
        ("git+https://github.com/acme/web.git", GH),
        ("git@bitbucket.org:acme/web.git", Address(None, "bb", "acme", "web")),
        ("https://user@bitbucket.org/acme/web/src/main/", Address(None, "bb", "acme", "web")),
        ("ssh://git@altssh.bitbucket.org:443/acme/web.git", Address(None, "bb", "acme", "web")),
        ("git@bitbucket.org:orgs/web.git", Address(None, "bb", "orgs", "web")),
        ("https://github.com/acme", Address(None, "gh", "acme")),
        ("https://github.com/orgs/acme/repositories", Address(None, "gh", "acme")),
        ("https://github.com/acme/a%20b.git", Address(None, "gh", "acme", "a b")),
        ("git@github.com:acme/a%20b.git", Address(None, "gh", "acme", "a%20b")),
        (f"//circleci.com/{ID}/{ID}", Address(None, "circleci", ID, ID)),
        # Not remotes
        ("https://github.com", None),
        ("https://github.com/", None),
        ("https://github.com/orgs", None),
        ("https://github.com-work/acme/web", None),
        ("git@github.com-work.example:acme/web", None),
        ("git@xgithub.com:acme/web", None),
        ("git@github.community:acme/web", None),
        ("git@github.com:acme/web/x", None),
        ("git@github.com://acme/web", None),
        ("git@ssh.github.com:443/acme/web.git", None),
        ("ssh://git@github.com:acme/web", None),
        ("ssh://git@github.com/acme/web/x", None),
        ("git://github.com/acme/web/x", None),
        ("ftp://github.com/acme/web", None),
        ("git@gitlab.com:acme/web.git", None),
        ("github:acme/web", None),
        ("localhost/acme/web", None),
        ("acme/web", None),
        ("github.com", None),
    ],
)
def test_remote_is_read(remote: str, address: Address | None) -> None:
    """The provider comes from the host, the names from the path; credentials, ports and `.git` are dropped."""
    assert parse_address(remote) == address


@each_row(
    ("text", "root"),
    [
        ("https://ci.acme.com", Root("https", "ci.acme.com", None)),
        ("https://CI.acme.com:443/", Root("https", "ci.acme.com", None)),
        ("http://ci.acme.com:80", Root("http", "ci.acme.com", None)),
        ("http://ci.acme.com:443", Root("http", "ci.acme.com", 443)),
        ("ci.acme.com:8443", Root("https", "ci.acme.com", 8443)),
        (" ci.acme.com\n", Root("https", "ci.acme.com", None)),
        ("localhost", Root("http", "localhost", None)),
        ("http://[::1]:8080", Root("http", "::1", 8080)),
        ("https://gw.acme.com/a/b/", Root("https", "gw.acme.com", None, ("a", "b"))),
        ("", None),
        ("https://", None),
        ("https://u@ci.acme.com", None),
        ("https://ci.acme.com?x", None),
        ("https://ci.acme.com#x", None),
        ("https://ci.acme.com\\x", None),
        ("https://ci acme.com", None),
        ("https://ci.acme.com:x", None),
        ("ssh://ci.acme.com", None),
        ("ci.acme.com\x00", None),
    ],
)
def test_root_is_read(text: str, root: Root | None) -> None:
    """A host, with or without the scheme; nothing that could hold a credential."""
    assert parse_root(text) == root
    if root is not None:
        assert parse_root(str(root)) == root


def test_root_of_the_cloud_is_one() -> None:
    """All hosts of CircleCI's cloud are one; another port, or a host that begins like one of them, is not."""
    for host in ("circleci.com", "https://app.circleci.com", "http://www.circleci.com:80", "dl.circleci.com"):
        root = parse_root(host)
        assert root is not None
        assert root.is_cloud
        assert str(root) == "https://circleci.com"
    for host in ("circleci.com:8443", "circleci.com.example", "xcircleci.com", "runner.circleci.com"):
        root = parse_root(host)
        assert root is not None
        assert not root.is_cloud


def test_roots_decide_which_pages_are_read() -> None:
    """Pages of the cloud unless they are switched off, of the hosts in `roots`, or of every host but those of code."""
    server = parse_root("ci.acme.com")
    assert server is not None
    cloud, other, third = (f"https://{host}/gh/acme/web" for host in ("circleci.com", "ci.acme.com", "ci.other.com"))
    named = [GH._replace(root=root) for root in ("https://circleci.com", "https://ci.acme.com", "https://ci.other.com")]
    assert [parse_address(page) for page in (cloud, other, third)] == [named[0], None, None]
    assert [parse_address(page, roots=[server]) for page in (cloud, other, third)] == [named[0], named[1], None]
    assert [parse_address(page, roots=None) for page in (cloud, other, third)] == named
    assert parse_address(cloud, roots=[server], read_cloud=False) is None
    assert parse_address(f"//circleci.com/{ID}/{ID}", read_cloud=False) == Address(None, "circleci", ID, ID)
    for host in ("github.com", "gist.github.com", "gitlab.com", "x.gitlab.com", "bitbucket.org"):
        address = parse_address(f"https://{host}/gh/acme/web", roots=None)
        assert address is None or address.root is None


@each_row(
    ("text", "name"),
    [
        ("web", True),
        ("...", True),
        ("a b", True),
        ("é", True),
        ("x" * 255, True),
        ("x" * 256, False),
        ("", False),
        (".", False),
        ("..", False),
        ("a/b", False),
        (" a", False),
        ("a\u2003", False),
        ("a\nb", False),
        ("a\x7fb", False),
        ("a\x85b", False),
        ("a\udfffb", False),
    ],
)
def test_name_can_stand_in_a_path(text: str, name: bool) -> None:
    """A name is one segment, is not resolved by servers, and is the same after it was read from the slug's text."""
    assert is_name(text) is name


@each_row(
    ("segments", "number"),
    [
        (["12"], 12),
        (["0012", "x"], 12),
        (["9" * 18], 10**18 - 1),
        ([], None),
        (["0"], None),
        (["-1"], None),
        (["1.0"], None),
        (["\u0661"], None),
        ([" 1"], None),
        (["9" * 19], None),
        (["9" * 5000], None),
    ],
)
def test_number_is_read_from_plain_digits(segments: list[str], number: int | None) -> None:
    """From 1 on, in ASCII digits, few enough for the API."""
    assert number_of(segments) == number


def test_text_is_stripped_and_bounded() -> None:
    """White space at the ends is removed. A text that is empty or too long, or has a control character, is None."""
    assert clean_text(" a b\r\n") == "a b"
    assert clean_text("x" * 16_384) == "x" * 16_384
    for text in ("", " \n", "x" * 16_385, "a\nb", "a\x00", "a\udfff", "a\x9f"):
        assert clean_text(text) is None


def test_uuid_and_loopback_are_recognized() -> None:
    """A UUID has hyphens, in any case. A loopback host is this machine."""
    assert is_uuid(ID)
    assert is_uuid(ID.upper())
    assert not any(map(is_uuid, (ID.replace("-", ""), ID + "x", "{" + ID + "}", ID.replace("f", "g"), "")))
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.9.1", "::1")))
    assert not any(map(is_loopback, ("example.com", "10.0.0.1", "localhost.example", "")))


@given(st.text())
def test_reading_never_raises(text: str) -> None:
    """An exception would keep a frame with the text, and the text may hold a password."""
    for prefix in ("", "//", "https://", "git@", "https://circleci.com/", "https://x.example/pipelines/"):
        parse_address(prefix + text, roots=None)
        parse_root(prefix + text)


@each_row(
    ("text", "expected"),
    [
        ("circleci.com/gh/acme/web", True),
        ("localhost/gh/acme/web", True),
        ("LOCALHOST/gh/acme/web", True),
        ("server:8080/gh/acme/web", True),
        ("server/gh/acme/web", False),
        ("gh/acme.js/web", False),
        ("gh/acme:x/web", False),
        ("circleci.com", False),
        ("localhost", False),
    ],
)
def test_a_url_may_lack_its_scheme(text: str, expected: bool) -> None:
    """A host has a dot or a port, or is localhost. Only the part before the first slash counts."""
    assert _begins_with_host(text) is expected
