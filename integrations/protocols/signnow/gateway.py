"""What the services expect of SignNow; failures as `integrations.protocols` says. One part per noun."""

from typing import Protocol

from integrations.protocols.signnow.accounts import Accounts, Identities
from integrations.protocols.signnow.callbacks import Callbacks
from integrations.protocols.signnow.documents import Documents
from integrations.protocols.signnow.groups import Groups
from integrations.protocols.signnow.invites import Invites


class SignNow(Accounts, Documents, Invites, Groups, Callbacks, Identities, Protocol):
    """SignNow for one account. Reads may be repeated; nothing that creates is ever sent twice by the gateway.

    What a write whose outcome is unknown can be looked for by is said at the write.
    """

    def for_tenant(self, tenant: str) -> "SignNow":
        """The same account, with calls that count against that tenant's share of the rate limit."""

    def for_identity(self, identity: str) -> "SignNow":
        """Another account, with the tokens that are kept under that identity."""
