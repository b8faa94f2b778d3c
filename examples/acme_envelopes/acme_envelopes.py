from decimal import Decimal

from inkmeter import BillingModel, Line, Rate, Units, Usage, hookimpl


class Envelopes(BillingModel):
    """Packs of envelopes; a pack that is begun counts in full."""

    code = "acme-envelopes"
    price_per_pack: Rate
    """Price of one pack."""
    pack_size: Units = 50
    """Envelopes in a pack."""

    def rate(self, usage: Usage) -> list[Line]:
        return [Line("Packs of envelopes", Decimal(usage.packs_of(self.pack_size)), self.price_per_pack)]


@hookimpl
def register_billing_models() -> list[type[BillingModel]]:
    return [Envelopes]
