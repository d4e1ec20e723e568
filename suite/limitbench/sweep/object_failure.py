"""What an object store's errors mean, in words of ours: answers of servers repeat keys and signatures."""

from __future__ import annotations

import re

_STATUS = re.compile(r"status code: (\d{3})")


def is_final(error: Exception) -> bool:
    """Whether the server refused for good."""
    status = "".join(_STATUS.findall(str(error))[:1])
    return status[:1] == "4" and status not in ("408", "409", "429")


def is_outage(reason: str) -> bool:
    """Whether a reason of `in_words` is that the store is out of reach for now, rather than what it was asked for."""
    return re.match(r"no answer|\S* answers (5\d\d|408|429)", reason) is not None


def in_words(error: BaseException) -> str | None:
    """Why the store failed, without anything that its answer repeats; None where `error` is no failure of the store."""
    from obstore import exceptions

    text = str(error)
    if isinstance(error, FileNotFoundError):
        return "no such bucket" if "NoSuchBucket" in text else None
    if not isinstance(error, exceptions.BaseError) or isinstance(error, exceptions.InvalidPathError):
        return None
    denied = isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError)
    host = "".join(re.findall(r"https?://([^/\s@]+)[/\s]", text)[:1])
    code = "".join(re.findall(r"<Code>(\w+)</Code>", text)[:1])
    status = "".join(_STATUS.findall(text)[:1])
    if "/latest/api/token" in text or "/latest/meta-data" in text or "metadata.google" in text:
        return "no credentials in the environment"
    if denied or status in ("401", "403"):
        return f"access denied{f': {code}' if code else ''}"
    if code == "NoSuchBucket":
        return "no such bucket"
    if "Received redirect" in text:
        return "the bucket is in another region than AWS_REGION says"
    if status:
        return f"{host} answers {status}{f' {code}' if code else ''}"
    return f"no answer from {host}" if host else "no answer"
