"""Provisioning, a saga: each step is looked up before it is made, and noted in the transaction that keeps what it made.

A tenant that cannot go on keeps what it has: a Stripe customer without a subscription and a SignNow folder cost
nothing, and are found again when the step that was refused is mended. Steps that need a person wait for them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from tortoise.exceptions import IntegrityError

from inkmeter.errors import Conflict, InkmeterError, Refused, SignNowNotConnected, SignNowRefused
from inkmeter.events import TenantProvisioned
from services import identities, jobs
from services.identities import Isolation
from services.platform import Platform
from services.problems import Problems
from storage import provisioning as stored
from storage.database import transaction
from storage.jobs import Job, revive_job
from storage.provisioning import Step as Step
from storage.provisioning import StepState as StepState
from storage.provisioning import StepTaken as StepTaken
from storage.tenants import Tenant, TenantState

PROVISION: Final = "tenant.provision"
KEEP_CALLBACKS: Final = "signnow.callbacks"
KEEP_CALLBACKS_EVERY: Final = timedelta(hours=1)
LOOK_EVERY: Final = timedelta(hours=1)
"""How often it is looked whether a person has done what a step waits for."""
INVITED_WORDS: Final = frozenset({"pending", "invited", "sent", "created"})
"""What SignNow may say of a member who has not accepted yet: its words are not documented."""

_SHARED: Final = (Step.STRIPE_CUSTOMER, Step.SIGNNOW_FOLDER, Step.SIGNNOW_CALLBACKS)
STEPS: Final[Mapping[Isolation, Sequence[Step]]] = {
    Isolation.SHARED_ACCOUNT: _SHARED,
    Isolation.DEDICATED_USER: (
        Step.STRIPE_CUSTOMER,
        Step.SIGNNOW_CONNECTION,
        Step.SIGNNOW_FOLDER,
        Step.SIGNNOW_CALLBACKS,
    ),
    Isolation.ORGANIZATION: tuple(Step),
}


class Waits(Exception):
    """A step waits for a person; the message says for what."""

    def __init__(self, state: StepState, message: str) -> None:
        super().__init__(message)
        self.state = state


async def finish_provisioning(platform: Platform, job: Job) -> None:
    """The job: take every step that is not done, in order."""
    await take_steps(platform, job.tenant_id, is_retry=job.attempts > 1)
    tenant = await Tenant.get(id=job.tenant_id)
    async with jobs.completing(job):
        if platform.callbacks is not None and tenant.isolation is not Isolation.SHARED_ACCOUNT:
            await jobs.add_job(
                platform, tenant_id=tenant.id, topic=KEEP_CALLBACKS, dedup="hourly", run_in=KEEP_CALLBACKS_EVERY
            )
        await Tenant.filter(id=job.tenant_id, state=TenantState.PROVISIONING).update(
            state=TenantState.ACTIVE, provisioning_problem=None
        )
    await platform.plugins.publish(TenantProvisioned(str(tenant.public_id), platform.clock.now()))


async def take_steps(platform: Platform, tenant_id: int, *, is_retry: bool) -> None:
    """Raises NotYet for a step that waits for a person, and what a gateway raises."""
    tenant = await Tenant.get(id=tenant_id)
    for step in STEPS[tenant.isolation]:
        tenant = await Tenant.get(id=tenant_id)
        try:
            made = await _TAKE[step](platform, tenant, is_retry)
        except Waits as wait:
            await _note_problem(platform, tenant, StepTaken(step, wait.state, str(wait)))
            raise jobs.NotYet(str(wait), LOOK_EVERY) from None
        except SignNowNotConnected as refusal:
            await _note_problem(platform, tenant, StepTaken(step, StepState.NEEDS_CONNECTION, refusal.message))
            raise jobs.NotYet(refusal.message, LOOK_EVERY) from None
        except InkmeterError as error:
            state = StepState.REFUSED if isinstance(error, Refused) else StepState.FAILED
            await _note_problem(platform, tenant, StepTaken(step, state, error.message))
            raise
        async with transaction():
            if made:
                await Tenant.filter(id=tenant_id).update(**made)
            await stored.note_step(tenant_id, StepTaken(step, StepState.DONE), platform.clock.now())


async def _note_problem(platform: Platform, tenant: Tenant, taken: StepTaken) -> None:
    async with transaction():
        await stored.note_step(tenant.id, taken, platform.clock.now())
        await Tenant.filter(id=tenant.id, state=TenantState.PROVISIONING).update(provisioning_problem=taken.error)


async def list_steps(platform: Platform, tenants: Sequence[Tenant]) -> Mapping[int, Sequence[StepTaken]]:
    """Every step of each tenant's mode, by tenant. Tenants that were ready before steps were noted have done all."""
    taken = await stored.steps_taken([tenant.id for tenant in tenants])
    connected = await identities.connected_of(tenants)
    listed = {}
    for tenant in tenants:
        missing = StepState.TO_DO if tenant.state is TenantState.PROVISIONING else StepState.DONE
        steps = [
            taken.get((tenant.id, step), StepTaken(step, missing))
            for step in STEPS[tenant.isolation]
            if step is not Step.SIGNNOW_CALLBACKS or platform.callbacks is not None
        ]
        listed[tenant.id] = steps if tenant.id in connected else [_lost(entry) for entry in steps]
    return listed


def _lost(entry: StepTaken) -> StepTaken:
    """How a step stands of a tenant whose user has not consented, or no longer."""
    if (entry.step, entry.state) == (Step.SIGNNOW_CONNECTION, StepState.DONE):
        return StepTaken(Step.SIGNNOW_CONNECTION, StepState.NEEDS_CONNECTION, _CONSENT)
    return entry


async def go_on(platform: Platform, tenant: Tenant) -> Tenant:
    """Try at once what is not done, for who has just mended something; given up or not."""
    if tenant.state is TenantState.PROVISIONING:
        await revive_job(tenant.id, PROVISION, "provision", platform.clock.now())
        await jobs.run_now(platform, tenant.id, PROVISION, "provision", finish_provisioning)
    return await Tenant.get(id=tenant.id)


async def connect_signnow(platform: Platform, tenant: Tenant, code: str) -> Tenant:
    """Exchange the code of the tenant's user, and go on with what waited for it. Raises what `connect_user` raises."""
    await identities.connect_user(platform, tenant, code)
    await stored.note_step(tenant.id, StepTaken(Step.SIGNNOW_CONNECTION, StepState.DONE), platform.clock.now())
    await jobs.wake(platform, tenant.id, KEEP_CALLBACKS, "hourly")  # what came meanwhile is in SignNow's log
    return await go_on(platform, tenant)


async def assign_organization(platform: Platform, tenant: Tenant, organization_id: str) -> Tenant:
    """Take over an organization that was made by hand, and go on. Raises InvalidInput, and Conflict if the tenant is
    not isolated by one, has another one already, or another tenant has this one.
    """
    problems = Problems()
    problems.check_text(organization_id, "organizationId")
    problems.refuse()
    if tenant.isolation is not Isolation.ORGANIZATION:
        raise Conflict("the tenant is not isolated by an organization", path=("tenantId",))
    try:
        await Tenant.filter(id=tenant.id, signnow_organization_id=None).update(signnow_organization_id=organization_id)
    except IntegrityError:
        raise Conflict("that organization belongs to another tenant", path=("organizationId",)) from None
    if (await Tenant.get(id=tenant.id)).signnow_organization_id != organization_id:
        raise Conflict("the tenant has another organization already", path=("organizationId",))
    return await go_on(platform, tenant)


async def _take_customer(platform: Platform, tenant: Tenant, is_retry: bool) -> dict[str, Any]:
    if tenant.stripe_customer_id is not None:
        return {}
    customer_id = await platform.stripe.ensure_customer(
        key=f"tenant:{tenant.public_id}:customer",
        is_retry=is_retry,
        name=tenant.name,
        email=tenant.email,
        metadata={"tenant_id": str(tenant.public_id), "external_reference": tenant.external_reference},
    )
    return {"stripe_customer_id": customer_id}


async def _take_organization(platform: Platform, tenant: Tenant, _is_retry: bool) -> dict[str, Any]:
    if tenant.signnow_organization_id is not None:
        return {}
    name = label_of(tenant)
    try:
        for known in await platform.signnow.organizations():
            if known.name == name:
                return {"signnow_organization_id": known.id}
        return {"signnow_organization_id": (await platform.signnow.create_organization(name)).id}
    except SignNowRefused as refusal:
        # SignNow's docs: made by its support or a subscription admin; at most 50 of them, 5 on a trial.
        raise Waits(
            StepState.AWAITING_OPERATOR,
            f"have an organization made by SignNow, and name it with assignSignNowOrganization ({refusal.message})",
        ) from None


async def _take_member(platform: Platform, tenant: Tenant, _is_retry: bool) -> dict[str, Any]:
    organization_id = tenant.signnow_organization_id
    assert organization_id is not None  # noqa: S101 - the step before has made it
    email = tenant.email.lower()
    try:
        members = {member.email.lower(): member for member in await platform.signnow.members(organization_id)}
        if email not in members:
            await platform.signnow.add_member(organization_id, tenant.email)
    except SignNowRefused as refusal:
        if await identities.is_connected(tenant):
            return {}  # who may not be listed may still sign
        raise Waits(
            StepState.AWAITING_OPERATOR,
            f"invite {tenant.email} into the organization in SignNow's dashboard ({refusal.message})",
        ) from None
    if email not in members or members[email].status.lower() in INVITED_WORDS:
        raise Waits(StepState.AWAITING_ACCEPTANCE, f"{tenant.email} has to accept SignNow's invite to the organization")
    return {}


_CONSENT: Final = "the tenant's SignNow user has to consent: signNowAuthorizationUrl, then connectSignNow"


async def _take_connection(_platform: Platform, tenant: Tenant, _is_retry: bool) -> dict[str, Any]:
    if not await identities.is_connected(tenant):
        raise Waits(StepState.NEEDS_CONNECTION, _CONSENT)
    return {}


async def _take_folder(platform: Platform, tenant: Tenant, _is_retry: bool) -> dict[str, Any]:
    if tenant.signnow_folder_id is not None:
        return {}
    return {
        "signnow_folder_id": await identities.signnow_for(platform, tenant).ensure_folder(label_of(tenant)),
    }


async def _take_callbacks(platform: Platform, tenant: Tenant, _is_retry: bool) -> dict[str, Any]:
    if platform.callbacks is not None:
        signnow = identities.signnow_for(platform, tenant)
        await signnow.ensure_callbacks(platform.callbacks.url, platform.callbacks.secret)
    return {}


def label_of(tenant: Tenant) -> str:
    """What a tenant's folder, or its organization, is called in SignNow; by it either is found again."""
    return f"{tenant.name[:60]} [{tenant.public_id}]"


_TAKE: Final[Mapping[Step, Callable[[Platform, Tenant, bool], Awaitable[dict[str, Any]]]]] = {
    Step.STRIPE_CUSTOMER: _take_customer,
    Step.SIGNNOW_ORGANIZATION: _take_organization,
    Step.SIGNNOW_MEMBER: _take_member,
    Step.SIGNNOW_CONNECTION: _take_connection,
    Step.SIGNNOW_FOLDER: _take_folder,
    Step.SIGNNOW_CALLBACKS: _take_callbacks,
}
