"""Addresses that no step may reach: where clouds hand out credentials to whoever asks from inside."""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: tuple[Network, ...] = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::254/128"),  # AWS
    ipaddress.ip_network("fd20:ce::254/128"),  # Google
    ipaddress.ip_network("100.100.100.200/32"),  # Alibaba
    ipaddress.ip_network("168.63.129.16/32"),  # Azure
    ipaddress.ip_network("192.0.0.192/32"),  # Oracle
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def denying_network(address: str, *, also: Iterable[Network] = ()) -> Network | None:
    """The network of `METADATA` or `also` that holds the address or the IPv4 address in it."""
    meanings = _meanings(ipaddress.ip_address(address))
    for network in (*METADATA, *also):
        if any(meaning in network for meaning in meanings):
            return network
    return None


def _meanings(ip: Address) -> list[Address]:
    """The address, and the IPv4 address that it wraps, if any."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    wrapped = ip.ipv4_mapped or ip.sixtofour
    if wrapped is None and ip in _NAT64:
        wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return [ip] if wrapped is None else [ip, wrapped]
