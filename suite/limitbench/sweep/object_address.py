"""Where an object store is: its URL and what the environment says about the server, never with a credential in it."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from limitbench.errors import InputError
from limitbench.sweep.storage import SCHEMES


def place_from_environment(url: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Settings of obstore that say where the store at a checked `url` is, and whether requests may go without TLS.

    Raises:
        InputError: an endpoint with credentials, or without TLS where that was not allowed.
    """
    if not url.startswith("s3:"):
        return (), _check_endpoint("")
    settings = {
        "endpoint": _variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "region": _variable("AWS_REGION", "AWS_DEFAULT_REGION"),
        "virtual_hosted_style_request": _variable("AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
    }
    return tuple((k, v) for k, v in settings.items() if v), _check_endpoint(settings["endpoint"])


def check_url(url: str) -> str:
    """The URL without a slash at its end; messages never repeat what may be a credential."""
    schemes = ", ".join(f"{scheme}://" for scheme in SCHEMES)
    scheme, _, rest = url.partition("://")
    shown = f"{scheme}://...{rest[rest.rindex('@') :]}" if "@" in rest else url.partition("?")[0]
    if scheme not in SCHEMES:
        raise InputError("out", shown, f"a directory, or a URL that begins with {schemes}")
    if "@" in rest or "?" in rest or "#" in rest:
        raise InputError("out", shown, "a URL without credentials or queries: the environment holds the credentials")
    bucket, _, prefix = rest.strip("/").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]+", bucket) or rest.startswith("/"):
        raise InputError("out", shown, f"a URL with a bucket, such as {scheme}://BUCKET/PREFIX")
    if prefix and (any(part in ("", ".", "..") for part in prefix.split("/")) or not prefix.isprintable()):
        raise InputError("out", shown, "a URL whose path has no '.', '..' or empty parts")
    return f"{scheme}://{bucket}/{prefix}".rstrip("/")


def _check_endpoint(endpoint: str) -> bool:
    """Whether requests may go without TLS."""
    allowed = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    if not endpoint:
        return allowed
    shown = f"...{endpoint[endpoint.rindex('@') :]}" if "@" in endpoint else endpoint.partition("?")[0]
    try:
        parts = urlsplit(endpoint)
    except ValueError:  # half an IPv6 address
        raise InputError("AWS_ENDPOINT_URL", shown, "https://HOST[:PORT], without credentials") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise InputError("AWS_ENDPOINT_URL", shown, "https://HOST[:PORT], without credentials")
    if parts.scheme == "https" or allowed:
        return allowed
    if not _is_loopback(parts.hostname):
        raise InputError("AWS_ENDPOINT_URL", shown, "https://..., or AWS_ALLOW_HTTP=true for a network you trust")
    return True


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _variable(*names: str) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")
