"""Which hosts the proxy opens: those where models are spoken with, and no others.

The names also limit what the proxy's CA can sign for, so they must be known when it is made, and each of them covers
what is below it. Where a vendor has a host in each of its cloud's regions beside hosts that are none of our business,
the regions are therefore spelled out. A region that is missing here is tunnelled: its calls are not seen, and work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from llmtrace_otel.wire.vendors import PROVIDERS, Registration

_AWS_REGIONS = """
af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1
ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1
eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1
mx-central-1 sa-east-1 us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-west-1 us-west-2
"""
_GOOGLE_REGIONS = """
africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
asia-southeast1 asia-southeast2 asia-southeast3 australia-southeast1 australia-southeast2 europe-central2
europe-north1 europe-north2 europe-southwest1 europe-west1 europe-west2 europe-west3 europe-west4 europe-west6
europe-west8 europe-west9 europe-west10 europe-west12 me-central1 me-central2 me-west1 northamerica-northeast1
northamerica-northeast2 northamerica-south1 southamerica-east1 southamerica-west1 us-central1 us-east1 us-east4
us-east5 us-south1 us-west1 us-west2 us-west3 us-west4
"""
_IN_REGIONS = {
    ".amazonaws.com": [
        *(f"bedrock-runtime.{region}.amazonaws.com" for region in _AWS_REGIONS.split()),
        *(
            f"bedrock-runtime-fips.{region}.amazonaws.com"
            for region in _AWS_REGIONS.split()
            if region[:3] in ("us-", "ca-")
        ),
    ],
    ".amazonaws.com.cn": [f"bedrock-runtime.{region}.amazonaws.com.cn" for region in ("cn-north-1", "cn-northwest-1")],
    ".api.aws": [
        *(f"bedrock-mantle.{region}.api.aws" for region in _AWS_REGIONS.split()),
        *(f"bedrock-runtime.{region}.api.aws" for region in _AWS_REGIONS.split()),
    ],
    "-aiplatform.googleapis.com": [f"{region}-aiplatform.googleapis.com" for region in _GOOGLE_REGIONS.split()],
    ".rep.googleapis.com": ["aiplatform.us.rep.googleapis.com", "aiplatform.eu.rep.googleapis.com"],
    ".crusoecloud.com": ["api.inference.crusoecloud.com"],
    ".snowflakecomputing.com": [],  # a company's databases: only a registered account is opened
}


def permitted(registrations: Iterable[Registration] = ()) -> list[str]:
    """The DNS names whose TLS the proxy may open, each with what is below it."""
    return list(dict.fromkeys((*_of_vendors(), *_of_user(registrations))))


def is_opened(host: str, names: Collection[str]) -> bool:
    """Whether a host is one of the names, or below one."""
    host = host.lower().rstrip(".")
    while host:
        if host in names:
            return True
        host = host.partition(".")[2]
    return False


def _of_vendors() -> Iterator[str]:
    for vendor in PROVIDERS:
        for host in vendor.hosts:
            if host in _IN_REGIONS:
                yield from _IN_REGIONS[host]
            elif not host.startswith(":"):
                yield host.removeprefix(".")


def _of_user(registrations: Iterable[Registration]) -> Iterator[str]:
    for registration in registrations:
        host = urlsplit(registration.base_url).hostname
        if host and not _is_address(host):  # a certificate for an address has no DNS name to permit
            with suppress(UnicodeError):
                yield host.encode("idna").decode()


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()
