"""Asking the running gateway over its local API."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 16_000_000
"""A site of some thousand set-points; what answers with more is not ours."""

Document = dict[str, Any]


class NotRunning(Exception):
    """No gateway of this site answers; the text says what does."""


def ask(address: str | None, document: str, *, site: str | None = None, key: str) -> Document:
    """
    What the gateway at `host:port` says on `/api/v1/<document>`.

    Args:
        site: The id of the site it should be the gateway of; None: any.
        key: Stands in every such document, so that another service is told from a gateway.

    Raises:
        NotRunning: Nobody answers there, or somebody else does; no address: `local.http` is not set.
    """
    if address is None:
        raise NotRunning("local.http is not set in the site file, so its gateway answers nowhere")
    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/api/v1/{document}", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX)
    except ConnectionRefusedError:
        raise NotRunning(f"no gateway runs: nothing listens at {address}") from None
    except (OSError, HTTPException) as error:
        raise NotRunning(f"no gateway answers at {address}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if answer.status != 200 or not isinstance(told, dict) or key not in told:
        raise NotRunning(f"what answers at {address} is no gateway (HTTP {answer.status})")
    if site not in {None, told["site"]}:
        raise NotRunning(f"at {address} the gateway of another site answers: {told['site']}, not {site}")
    return told
