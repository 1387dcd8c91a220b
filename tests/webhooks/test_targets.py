"""Where callbacks may go: URLs read strictly, names resolved once, hostile targets refused."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.webhooks.settings import WebhookSettings
from ml.webhooks.targets import LONGEST, Reach, RefusedTargetError, Target

HOSTILE = [
    # this machine, in every spelling
    *("https://127.0.0.1/", "https://127.0.0.1:8443/", "https://127.255.255.254/"),
    *("https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://017700000001/"),
    *("https://127.1/", "https://127.0.1/", "https://0177.0.0.1/", "https://127.0.0.01/"),
    *("https://0/", "https://0.0.0.0/", "https://[::]/", "https://[::1]/", "https://[0:0::1]/"),
    *("https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://127.0.0.1./"),
    # IPv6 dress
    *("https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/"),
    *("https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::a00:1]/", "https://[2002:7f00:1::]/"),
    *("https://[2001:0:7f00:1::1]/", "https://[::ffff:a9fe:a9fe]/"),
    # the network around
    *("https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.64.0.1/"),
    *("https://169.254.169.254/latest/meta-data/", "https://169.254.170.2/", "https://[fd00::1]/"),
    *("https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/"),
    *("https://[fe80::1%eth0]/", "https://168.63.129.16/", "https://100.100.100.200/"),
    # nobody's
    *("https://224.0.0.1/", "https://255.255.255.255/", "https://240.0.0.1/", "https://[ff02::1]/"),
    *("https://192.0.2.1/", "https://198.18.0.1/", "https://[2001:db8::1]/"),
    # what two readers may read as two
    *(
        "https://good.example@127.0.0.1/",
        "https://user:pass@good.example/",
        "https://@good.example/",
    ),
    *("https://good.example\\@127.0.0.1/", "https://127.0.0.1\\.good.example/"),
    *("https://good.example#@127.0.0.1/", "https://good.example/#x", "https:127.0.0.1"),
    *("https:///127.0.0.1/", "https:/127.0.0.1/", "//127.0.0.1/", "https://"),
    *("https://good.example\r\nHost: other/", "https://good.example/\n", " https://good.example/"),
    *("https://good.example/a b", "https://good\t.example/", "https://good.example\x00/"),
    *(
        "https://g\u00f6\u00f6d.example/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020\u30020\u30021/",
    ),
    *("https://good%2eexample/", "https://%31%32%37.0.0.1/", "https://good..example/"),
    *("https://-good.example/", "https://good.example-/", "https://.good.example/"),
    *("https://[::1/", "https://::1/", "https://[]/", "https://[127.0.0.1]/", "https://[v1.x]/"),
    # other ways in
    *(
        "http://good.example/",
        "ftp://good.example/",
        "file:///etc/passwd",
        "gopher://good.example/",
    ),
    *("javascript:alert(1)", "data:,x", "good.example", ""),
    *("https://good.example:0/", "https://good.example:22/", "https://good.example:25/"),
    *("https://good.example:65536/", "https://good.example:443:443/", "https://good.example:+443/"),
    *(
        "https://good.example:/",
        "https://good.example:\u0664\u0664\u0663/",
        "https://good.example:99999999/",
    ),
    "https://good.example/" + "x" * LONGEST,
    # names that stand for what may not be reached
    *("https://inside.example/", "https://mapped.example/", "https://metadata.example/"),
    *("https://mixed.example/", "https://nowhere.example/", "https://empty.example/"),
    "https://slow.example/",
]
NAMES = {
    "good.example": ["93.184.215.14", "2606:2800:21f:cb07::1"],
    "localhost": ["127.0.0.1", "::1"],
    "inside.example": ["10.0.0.7"],
    "mapped.example": ["::ffff:10.0.0.7"],
    "metadata.example": ["169.254.169.254"],
    "mixed.example": ["93.184.215.14", "10.0.0.7"],
    "empty.example": [],
}


async def resolver(host: str, port: int) -> Sequence[str]:
    if host == "slow.example":
        raise TimeoutError
    if host not in NAMES:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return NAMES[host]


def addresses(url: str, reach: Reach = Reach(resolver=resolver)) -> list[str]:  # noqa: B008
    return [str(one) for one in asyncio.run(reach.addresses(Target.parse(url)))]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_target_is_refused_in_words(url: str) -> None:
    with pytest.raises(RefusedTargetError) as refused:
        addresses(url)
    said = str(refused.value)
    assert len(said) > 15
    assert "10.0.0.7" not in said  # what a name stands for inside is not told


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "header"),
    [
        ("https://good.example", "good.example", 443, "/", "good.example"),
        ("HTTPS://Good.Example/", "good.example", 443, "/", "good.example"),
        ("https://good.example:443/a?b=c", "good.example", 443, "/a?b=c", "good.example"),
        ("https://good.example:8443/a%20b", "good.example", 8443, "/a%20b", "good.example:8443"),
        ("https://good.example?q=1", "good.example", 443, "/?q=1", "good.example"),
        ("https://93.184.215.14/", "93.184.215.14", 443, "/", "93.184.215.14"),
        ("https://[2606:2800:21F:CB07::1]:8443/", "2606:2800:21f:cb07::1", 8443, "/", None),
        ("http://good.example/", "good.example", 80, "/", "good.example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/", None),
        ("https://my_host-1.example/~a;b=c,d!*'()", "my_host-1.example", 443, None, None),
    ],
)
def test_an_ordinary_url_is_read_in_parts(
    url: str, host: str, port: int, path: str | None, header: str | None
) -> None:
    target = Target.parse(url)
    assert (target.host, target.port) == (host, port)
    assert path is None or target.path == path
    assert header is None or target.header == header


@given(
    st.text(max_size=60), st.sampled_from(["", "https://", "https://a", "https://[", "http://1"])
)
def test_any_text_is_a_target_or_refused(text: str, before: str) -> None:
    try:
        target = Target.parse(before + text)
    except RefusedTargetError:
        return
    line = f"{target.host} {target.port} {target.path}"
    assert line.isascii()
    assert line.isprintable()
    assert line.count(" ") == 2


def test_a_good_name_gives_all_its_addresses() -> None:
    assert addresses("https://good.example/") == NAMES["good.example"]


def test_an_address_asks_no_resolver() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    assert addresses("https://93.184.215.14/", Reach(resolver=never)) == ["93.184.215.14"]


def test_the_machines_own_resolver_knows_this_machine_and_refuses_it() -> None:
    with pytest.raises(RefusedTargetError, match="localhost stands for a loopback address"):
        addresses("https://localhost/", Reach())
    allowed = Reach((ip_network("127.0.0.0/8"), ip_network("::1/128")))
    assert set(addresses("https://localhost/", allowed)) <= {"127.0.0.1", "::1"}


def test_allowed_networks_open_what_lies_in_them() -> None:
    reach = Reach((ip_network("10.0.0.0/8"),), resolver=resolver)
    assert addresses("https://inside.example/", reach) == ["10.0.0.7"]
    assert addresses("https://mapped.example/", reach) == [str(ip_address("::ffff:10.0.0.7"))]
    assert addresses("https://mixed.example/", reach) == NAMES["mixed.example"]
    with pytest.raises(RefusedTargetError, match="metadata"):
        addresses("https://metadata.example/", reach)


@pytest.mark.parametrize(
    ("url", "networks", "env", "taken"),
    [
        ("http://inside.example/", ["10.0.0.0/8"], "development", True),
        ("http://inside.example/", ["10.0.0.0/8"], "staging", False),
        ("http://inside.example/", ["10.0.0.0/8"], "production", False),
        ("http://good.example/", ["10.0.0.0/8"], "development", False),
        ("http://mixed.example/", ["10.0.0.0/8"], "development", False),
        ("http://inside.example/", [], "development", False),
        ("https://inside.example/", ["10.0.0.0/8"], "production", True),
    ],
)
def test_plain_http_stays_inside_and_in_development(
    url: str, networks: list[str], env: str, taken: bool
) -> None:
    settings = WebhookSettings(webhook_allowed_networks=networks)
    made = Reach.of(settings, env)
    reach = Reach(made.allowed, made.plain, resolver)
    if taken:
        assert addresses(url, reach) == ["10.0.0.7"]
        return
    with pytest.raises(RefusedTargetError, match=r"https://|private"):
        addresses(url, reach)


def test_networks_come_from_the_environment_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8, fd00::/8")
    assert WebhookSettings().allowed == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    monkeypatch.setenv("SEVENFOLD_WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8")
    with pytest.raises(ValidationError, match="host bits set"):
        WebhookSettings()
