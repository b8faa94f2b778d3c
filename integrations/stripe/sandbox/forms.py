"""Stripe's form encoding: `items[0][price]=price_1` becomes nested values, checked against what a path accepts."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from integrations.stripe.sandbox.failures import StripeFailure


class Params(BaseModel):
    """What a path accepts. Anything else is refused, as Stripe refuses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expand: list[str] = []


class Page(Params):
    """What every list accepts: newest first, `starting_after` and `ending_before` name an id."""

    limit: int = Field(default=10, ge=1, le=100)
    starting_after: str | None = None
    ending_before: str | None = None


class Range(BaseModel):
    """A range of unix times, e.g. `created[gte]=…`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gt: int | None = None
    gte: int | None = None
    lt: int | None = None
    lte: int | None = None

    def __contains__(self, moment: int) -> bool:
        return (
            (self.gt is None or moment > self.gt)
            and (self.gte is None or moment >= self.gte)
            and (self.lt is None or moment < self.lt)
            and (self.lte is None or moment <= self.lte)
        )


def _metadata(entries: dict[str, str]) -> dict[str, str]:
    if len(entries) > 50:
        raise ValueError("at most 50 keys")
    for key, value in entries.items():
        if len(key) > 40 or len(value) > 500:
            raise ValueError("keys have at most 40 characters, values at most 500")
    return entries


Metadata = Annotated[dict[str, str], AfterValidator(_metadata)]
"""Stripe's limits for metadata: 50 keys of 40 characters with values of 500."""

Currency = Annotated[str, Field(pattern=r"^[A-Za-z]{3}$"), AfterValidator(str.lower)]

P = TypeVar("P", bound=Params)


def parse(model: type[P], pairs: Iterable[tuple[str, str]]) -> P:
    """Decode and check a form or a query. Raises StripeFailure for the first thing wrong."""
    try:
        return model.model_validate(_nested(pairs))
    except ValidationError as error:
        raise _refusal(error) from None


def merged(metadata: dict[str, str], changes: dict[str, str]) -> dict[str, str]:
    """Metadata after an update: given keys are set, keys with an empty value are removed."""
    return {key: value for key, value in {**metadata, **changes}.items() if value != ""}


def _nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for name, value in pairs:
        parts = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        branch = root
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            key = part or str(len(branch))  # `a[]=x` appends
            if following is None:
                branch[key] = value
            else:
                branch = branch.setdefault(key, {})
                if not isinstance(branch, dict):
                    raise StripeFailure(f"Invalid hash: {name}", param=name)
    return {key: _with_lists(value) for key, value in root.items()}


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_with_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _with_lists(inner) for key, inner in value.items()}


def _refusal(error: ValidationError) -> StripeFailure:
    first = error.errors(include_url=False)[0]
    head, *rest = (str(part) for part in first["loc"])
    param = head + "".join(f"[{part}]" for part in rest)
    match first["type"]:
        case "extra_forbidden":
            return StripeFailure(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
        case "missing":
            return StripeFailure(f"Missing required param: {param}.", code="parameter_missing", param=param)
        case "int_parsing":
            return StripeFailure(f"Invalid integer: {first['input']}", code="parameter_invalid_integer", param=param)
    return StripeFailure(f"Invalid {param}: {first['msg']}", param=param)
