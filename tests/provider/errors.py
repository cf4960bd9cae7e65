"""Error bodies, shaped as each provider shapes them."""

from __future__ import annotations

from typing import Any

# status: (type, code, message)
OPENAI = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided: local."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 1ms."),
}
ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def openai_error(status: int) -> dict[str, Any]:
    """`{"error": {message, type, param, code}}`"""
    kind, code, message = OPENAI.get(status) or default(status)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def default(status: int) -> tuple[str, str | None, str]:
    if status < 500:
        return "invalid_request_error", None, f"The request was refused with status {status}."
    return "server_error", None, "The server had an error while processing your request."


def azure_error(status: int) -> dict[str, Any]:
    """Azure's gateway names no type, and its code is the status."""
    return {"error": {"code": str(status), "message": openai_error(status)["error"]["message"]}}


def anthropic_error(status: int, request_id: str) -> dict[str, Any]:
    kind = ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
    message = kind.removesuffix("_error").replace("_", " ").capitalize()
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
