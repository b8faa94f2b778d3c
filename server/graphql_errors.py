"""Errors as the API shows them: each with `extensions.code`, and nothing of the inside.

A refusal or an upstream error keeps its own code and message. Any other exception becomes "Internal error"
with a `reference`, under which the log has the traceback.
"""

import logging
import secrets

from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.relay import GlobalIDValueError

from inkmeter.errors import Refused, UpstreamError

logger = logging.getLogger("inkmeter.graphql")


def presentable(error: GraphQLError) -> GraphQLError:
    """The error as a caller may see it. What was unexpected is logged, and masked behind a reference."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    extensions = dict(error.extensions or {})
    message = error.message
    match cause:
        case Refused() | UpstreamError():
            extensions["code"] = cause.code
        case None | GlobalIDValueError():
            extensions.setdefault("code", _code(error))
            message = message.partition(" Did you mean")[0]  # suggestions tell what introspection may not
        case _:
            extensions = {"code": "INTERNAL_SERVER_ERROR", "reference": log_unexpected(cause, error.path)}
            message = "Internal error"
    return GraphQLError(message, error.nodes, error.source, error.positions, error.path, extensions=extensions)


def log_unexpected(error: BaseException, where: object) -> str:
    """Log an exception that nobody foresaw with its traceback; answers the reference to find it by."""
    reference = secrets.token_hex(6)
    logger.error("Internal error %s at %s", reference, where, exc_info=error)
    return reference


def _code(error: GraphQLError) -> str:
    return "GRAPHQL_PARSE_FAILED" if isinstance(error, GraphQLSyntaxError) else "BAD_USER_INPUT"
