"""Which addresses a callback may reach: the internet's, not this machine's or its network's."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What IANA's registries of special-purpose addresses keep from the internet, by what it is called.
_SPECIAL_4 = {
    "an unspecified": ("0.0.0.0/8",),
    "a private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    "a carrier's shared": ("100.64.0.0/10",),
    "a loopback": ("127.0.0.0/8",),
    "a link-local": ("169.254.0.0/16",),
    "a multicast": ("224.0.0.0/4",),
    "a reserved": (
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
    ),
}
_SPECIAL_6 = {
    "an unspecified": ("::/128",),
    "a loopback": ("::1/128",),
    "a private": ("fc00::/7", "fec0::/10"),
    "a link-local": ("fe80::/10",),
    "a multicast": ("ff00::/8",),
    "a tunnel's": ("2001::/32", "2002::/16"),  # Teredo, 6to4
    "a reserved": ("2001::/23", "2001:db8::/32", "3fff::/20"),
}
_KINDS = [
    (ip_network(network), kind)
    for table in (_SPECIAL_4, _SPECIAL_6)
    for kind, networks in table.items()
    for network in networks
]
_INTERNET_6 = IPv6Network("2000::/3")
# Translators of IPv6-only networks: the address they reach stands in the last four bytes.
_NAT64 = IPv6Network("64:ff9b::/96")
METADATA = frozenset(
    map(
        ip_address,
        (
            *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200"),
            *("192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
        ),
    )
)
"""Where clouds tell a machine its own credentials; one of them looks like any of the internet's."""


def refused_as(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """What makes an address one that callbacks may not reach; None where they may.

    ``allowed`` are networks that they may reach all the same; a metadata address only where it is
    named alone. An IPv4 address in IPv6 dress counts as what it is.
    """
    bare = _undressed(address)
    naming = [network for network in allowed if bare in network]
    if bare in METADATA:
        alone = any(network.num_addresses == 1 for network in naming)
        return None if alone else "a cloud's metadata"
    if naming:
        return None
    for network, kind in _KINDS:
        if bare in network:
            return kind
    if isinstance(bare, IPv6Address) and bare not in _INTERNET_6:
        return "a reserved"
    return None


def within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks, in whatever dress."""
    bare = _undressed(address)
    return any(bare in network for network in networks)


def _undressed(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    plain = IPv6Address(int(address))  # without a zone
    return IPv4Address(int(plain) & 0xFFFFFFFF) if plain in _NAT64 else plain
