"""How far a tenant's provisioning has come, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from storage.database import marks, rows
from storage.fields import to_micros


class Step(StrEnum):
    """In the order in which they are taken; each mode of isolation has its own choice of them."""

    STRIPE_CUSTOMER = "STRIPE_CUSTOMER"
    SIGNNOW_ORGANIZATION = "SIGNNOW_ORGANIZATION"
    SIGNNOW_MEMBER = "SIGNNOW_MEMBER"
    SIGNNOW_CONNECTION = "SIGNNOW_CONNECTION"
    SIGNNOW_FOLDER = "SIGNNOW_FOLDER"
    SIGNNOW_CALLBACKS = "SIGNNOW_CALLBACKS"


class StepState(StrEnum):
    """FAILED is tried again by itself, REFUSED is a "no" that has to be mended first; the others wait for a person."""

    TO_DO = "TO_DO"
    DONE = "DONE"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    NEEDS_CONNECTION = "NEEDS_CONNECTION"
    AWAITING_OPERATOR = "AWAITING_OPERATOR"
    AWAITING_ACCEPTANCE = "AWAITING_ACCEPTANCE"


@dataclass(frozen=True, slots=True)
class StepTaken:
    """A step and how it stands; `error` says why it is not done."""

    step: Step
    state: StepState
    error: str | None = None


async def note_step(tenant_id: int, taken: StepTaken, now: datetime) -> None:
    """Take over how a step stands now; in the transaction of what it has made."""
    await rows(
        "INSERT INTO provisioning_step (tenant_id, step, state, error, updated_at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (tenant_id, step) DO UPDATE SET state = excluded.state, error = excluded.error, "
        "updated_at = excluded.updated_at",
        tenant_id,
        taken.step.value,
        taken.state.value,
        taken.error,
        to_micros(now),
    )


async def steps_taken(tenant_ids: Sequence[int]) -> Mapping[tuple[int, Step], StepTaken]:
    """The steps that were tried, of a few hundred tenants, by tenant and step."""
    found = await rows(
        f"SELECT tenant_id, step, state, error FROM provisioning_step WHERE tenant_id IN ({marks(tenant_ids)})",
        *tenant_ids,
    )
    taken = [(e["tenant_id"], StepTaken(Step(e["step"]), StepState(e["state"]), e["error"])) for e in found]
    return {(tenant_id, entry.step): entry for tenant_id, entry in taken}
