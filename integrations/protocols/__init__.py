"""What the services expect of SignNow and of Stripe: values and promises, no HTTP.

Both promises share one rule for failures. A refusal is raised as `SignNowRefused` or `PaymentRefused`; a call that
certainly did not take effect as `UpstreamError` (or `UpstreamRateLimited`); a call whose outcome is unknown as
`UpstreamTimeout`. Nothing else leaves a gateway.
"""

from integrations.protocols.journal import CallOutcome as CallOutcome
from integrations.protocols.journal import CallState as CallState
from integrations.protocols.journal import Journal as Journal
from integrations.protocols.journal import StripeCall as StripeCall
from integrations.protocols.payments import StripeCheckout as StripeCheckout
from integrations.protocols.payments import StripeReversal as StripeReversal
from integrations.protocols.signnow import SignatureField as SignatureField
from integrations.protocols.signnow import Signer as Signer
from integrations.protocols.signnow import SignNow as SignNow
from integrations.protocols.signnow import SignNowAccount as SignNowAccount
from integrations.protocols.signnow import SignNowCallback as SignNowCallback
from integrations.protocols.signnow import SignNowDocument as SignNowDocument
from integrations.protocols.signnow import SignNowInvite as SignNowInvite
from integrations.protocols.stripe import NO_TAX_LOCATION as NO_TAX_LOCATION
from integrations.protocols.stripe import UNKNOWN_ID as UNKNOWN_ID
from integrations.protocols.stripe import FailedReports as FailedReports
from integrations.protocols.stripe import MissedEvent as MissedEvent
from integrations.protocols.stripe import Stripe as Stripe
from integrations.protocols.stripe import StripeCreditNote as StripeCreditNote
from integrations.protocols.stripe import StripeEvent as StripeEvent
from integrations.protocols.stripe import StripeInvoice as StripeInvoice
from integrations.protocols.stripe import StripeInvoiceHead as StripeInvoiceHead
from integrations.protocols.stripe import StripeLine as StripeLine
from integrations.protocols.stripe import StripeMeter as StripeMeter
from integrations.protocols.stripe import StripePrice as StripePrice
from integrations.protocols.stripe import StripePriceTerms as StripePriceTerms
from integrations.protocols.stripe import StripeProduct as StripeProduct
from integrations.protocols.stripe import StripeSubscription as StripeSubscription
