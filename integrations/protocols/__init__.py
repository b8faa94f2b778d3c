"""What the services expect of SignNow and of Stripe: values and promises, no HTTP.

Both promises share one rule for failures. A refusal is raised as `SignNowRefused` or `PaymentRefused`; a call that
certainly did not take effect as `UpstreamError` (or `UpstreamRateLimited`); a call whose outcome is unknown as
`UpstreamTimeout`. Nothing else leaves a gateway.
"""

from integrations.protocols.payments import StripeCheckout as StripeCheckout
from integrations.protocols.payments import StripeReversal as StripeReversal
from integrations.protocols.signnow import SignatureField as SignatureField
from integrations.protocols.signnow import Signer as Signer
from integrations.protocols.signnow import SignNow as SignNow
from integrations.protocols.signnow import SignNowAccount as SignNowAccount
from integrations.protocols.signnow import SignNowCallback as SignNowCallback
from integrations.protocols.signnow import SignNowDocument as SignNowDocument
from integrations.protocols.signnow import SignNowInvite as SignNowInvite
from integrations.protocols.stripe import Stripe as Stripe
from integrations.protocols.stripe import StripeEvent as StripeEvent
from integrations.protocols.stripe import StripeInvoice as StripeInvoice
from integrations.protocols.stripe import StripeLine as StripeLine
from integrations.protocols.stripe import StripeSubscription as StripeSubscription
