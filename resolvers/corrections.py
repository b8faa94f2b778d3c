"""Corrections of usage."""

from resolvers.context import Info
from resolvers.fields import mutation
from resolvers.permissions import acting_tenant, require_operator
from schema import corrections as types
from schema.refusals import user_error
from services import corrections
from services.corrections import NewCorrection


@mutation("Take events back, each whole, and put others in their place. Each is answered by itself. Operator only.")
async def correct_usage(info: Info, input: types.CorrectUsageInput) -> types.CorrectUsagePayload:
    require_operator(info)
    tenant = await acting_tenant(info, input.tenant_id)
    wanted = [
        NewCorrection(c.event_key, c.idempotency_key, c.quantity, c.properties, c.reason) for c in input.corrections
    ]
    results = await corrections.correct_usage(info.context.platform, tenant, wanted)
    return types.CorrectUsagePayload(
        results=[
            types.CorrectResult(
                idempotency_key=result.idempotency_key,
                status=types.CorrectStatus[result.status.name],
                user_error=user_error(result.refusal) if result.refusal else None,
            )
            for result in results
        ]
    )
