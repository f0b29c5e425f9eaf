"""Where a step may connect: anywhere but to the networks that are denied."""

import ipaddress
import socket
from collections.abc import Collection
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds hand out credentials to whoever asks from inside; no step has business there.
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


class DeniedAddressError(Exception):
    """An address is in a denied network; nothing was sent to it."""


def connect(host: str, port: int, *, seconds: float, denied: Collection[Network] = METADATA) -> socket.socket:
    """A connected socket on which nothing has been sent; waits at most `seconds` per address.

    The name is looked up once, so that it cannot change between the check and the connection. Each
    of its addresses has to be allowed. Raises `DeniedAddressError`, `OSError` or `UnicodeError`.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(place[0]) for *_, place in found]
    for address in addresses:
        check(address, denied)
    problem = OSError("the name has no address")
    for address in addresses:
        try:
            sock = socket.create_connection((address, port), seconds)
        except OSError as error:
            problem = error
            continue
        try:
            check(sock.getpeername()[0], denied)
        except BaseException:
            sock.close()
            raise
        return sock
    raise problem


def check(address: str, denied: Collection[Network] = METADATA) -> None:
    """Raise `DeniedAddressError` when the address, or the IPv4 one inside it, is denied."""
    for ip in _meanings(ipaddress.ip_address(address)):
        for network in denied:
            if ip in network:
                raise DeniedAddressError(f"{address} is in the denied network {network}")


def _meanings(ip: Address) -> list[Address]:
    """The address, and the IPv4 address that it wraps, if any."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    wrapped = ip.ipv4_mapped or ip.sixtofour
    if wrapped is None and ip in _NAT64:
        wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return [ip] if wrapped is None else [ip, wrapped]
