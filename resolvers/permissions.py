"""Who may see what. A tenant's key sees its own tenant; another's ids are answered like unknown ones."""

from collections.abc import Sequence

from strawberry import relay
from strawberry.exceptions import StrawberryGraphQLError

from inkmeter.errors import InvalidInput, NotFound, NotPermitted, Problem
from resolvers.context import Info
from schema.connections import uuid_of
from services import tenants
from services.keys import Viewer
from services.tenants import Tenant


def require_viewer(info: Info) -> Viewer:
    """Whoever asks, with a valid key; an error with code UNAUTHENTICATED otherwise."""
    viewer = info.context.viewer
    if viewer is None:
        raise StrawberryGraphQLError(
            "Send a valid API key: `Authorization: Bearer ink_…`", extensions={"code": "UNAUTHENTICATED"}
        )
    return viewer


def require_operator(info: Info) -> Viewer:
    """The operator. Raises NotPermitted for a tenant's key."""
    viewer = require_viewer(info)
    if not viewer.is_operator:
        raise NotPermitted("only the operator's key may do this")
    return viewer


async def acting_tenant(info: Info, tenant_id: relay.GlobalID | None, *, path: Sequence[str] = ("tenantId",)) -> Tenant:
    """The tenant that a request is about: the one that the operator names, or the key's own.

    Raises InvalidInput if the operator names none, NotFound for another tenant's id.
    """
    viewer = require_viewer(info)
    if viewer.tenant_id is not None:
        own = await tenants.get_tenant(viewer.tenant_id)
        if tenant_id is not None and uuid_of(tenant_id, "Tenant", path=path) != own.public_id:
            raise NotFound("There is no such Tenant", path=path)
        return own
    if tenant_id is None:
        raise InvalidInput([Problem(tuple(path), "is needed with an operator's key")])
    return await tenants.find_tenant(uuid_of(tenant_id, "Tenant", path=path))
