"""Which addresses callbacks may reach, held against Python's own reading of IANA's registries."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.webhooks.addresses import METADATA, Address, refused_as, within

ADDRESSES_4, ADDRESSES_6 = st.ip_addresses(v=4), st.ip_addresses(v=6)
STRICTER_4 = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4")]
STRICTER_6 = [
    *map(ip_network, ("2001::/23", "2002::/16", "3fff::/20", "ff00::/8", "::/96", "64:ff9b:1::/48"))
]
"""What Python's table calls global, or not by its version, and we never reach."""


def mapped(address: IPv4Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}")


def through_nat64(address: IPv4Address) -> IPv6Address:
    return IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))


def compatible(address: IPv4Address) -> IPv6Address:
    return IPv6Address(int(address))


def by_6to4(address: IPv4Address) -> IPv6Address:
    return IPv6Address((0x2002 << 112) | (int(address) << 80) | 1)


def by_teredo(address: IPv4Address) -> IPv6Address:
    return IPv6Address((0x20010000 << 96) | (int(address) << 64) | (int(address) ^ 0xFFFFFFFF))


@given(ADDRESSES_4)
def test_of_ipv4_the_internet_alone_is_reached(address: IPv4Address) -> None:
    stricter = any(address in network for network in STRICTER_4) or address in METADATA
    expected = address.is_global and not stricter
    assert (refused_as(address) is None) == expected


@given(ADDRESSES_6)
def test_of_ipv6_nothing_is_reached_that_is_not_global(address: IPv6Address) -> None:
    if refused_as(address) is None:
        assert address.is_global or address.ipv4_mapped is not None
        assert not any(address in network for network in STRICTER_6)
    elif address.ipv4_mapped is None and address not in ip_network("64:ff9b::/96"):
        unicast = address in ip_network("2000::/3") and address.is_global
        assert not unicast or any(address in network for network in STRICTER_6)


@pytest.mark.parametrize("edge", ["first", "before", "last", "after"])
@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "reserved"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("2001:db8::/32", "reserved"),
        ("2002::/16", "tunnel"),
    ],
)
def test_each_range_ends_where_it_ends(network: str, kind: str, edge: str) -> None:
    block = ip_network(network)
    first, last = int(block.network_address), int(block.broadcast_address)
    number = {"first": first, "before": first - 1, "last": last, "after": last + 1}[edge]
    if number < 0:
        return
    address = type(block.network_address)(number)
    said = refused_as(address)
    assert (said is not None and kind in said) == (edge in ("first", "last"))


@given(ADDRESSES_4)
def test_ipv4_in_ipv6_dress_counts_as_what_it_is(address: IPv4Address) -> None:
    for dressed in (mapped(address), through_nat64(address)):
        assert refused_as(dressed) == refused_as(address)
        assert within(dressed, [ip_network(f"{address}/32")])
    for tunnelled in (compatible(address), by_6to4(address), by_teredo(address)):
        assert refused_as(tunnelled) is not None


@given(ADDRESSES_6)
def test_a_zone_changes_nothing(address: IPv6Address) -> None:
    assert refused_as(IPv6Address(f"{address}%eth0")) == refused_as(address)


@given(st.one_of(ADDRESSES_4, ADDRESSES_6))
def test_an_allowed_network_opens_what_lies_in_it_alone(address: Address) -> None:
    inside = [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]
    expected = None if within(address, inside) else refused_as(address)
    assert refused_as(address, inside) == expected


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_metadata_is_opened_by_naming_it_alone(address: str) -> None:
    found = ip_address(address)
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    assert refused_as(found) == refused_as(found, everything) == "a cloud's metadata"
    assert refused_as(found, [ip_network(address)]) is None
    if isinstance(found, IPv4Address):
        assert refused_as(mapped(found), everything) == "a cloud's metadata"
