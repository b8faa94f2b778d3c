"""What the services expect of SignNow and of Stripe: values and promises, no HTTP.

Both promises share one rule for failures. A refusal is raised as `SignNowRefused` or `PaymentRefused`; a call that
certainly did not take effect as `UpstreamError` (or `UpstreamRateLimited`); a call whose outcome is unknown as
`UpstreamTimeout`; that SignNow's user has to consent first as `SignNowNotConnected`. Nothing else leaves a gateway.
"""

from integrations.protocols.catalog import FailedReports as FailedReports
from integrations.protocols.catalog import StripeMeter as StripeMeter
from integrations.protocols.catalog import StripePrice as StripePrice
from integrations.protocols.catalog import StripePriceTerms as StripePriceTerms
from integrations.protocols.catalog import StripeProduct as StripeProduct
from integrations.protocols.invoices import AddedLines as AddedLines
from integrations.protocols.invoices import StripeCreditNote as StripeCreditNote
from integrations.protocols.invoices import StripeInvoice as StripeInvoice
from integrations.protocols.invoices import StripeInvoiceHead as StripeInvoiceHead
from integrations.protocols.invoices import StripeLine as StripeLine
from integrations.protocols.invoices import StripeLineToBe as StripeLineToBe
from integrations.protocols.journal import CallOutcome as CallOutcome
from integrations.protocols.journal import CallState as CallState
from integrations.protocols.journal import Journal as Journal
from integrations.protocols.journal import StripeCall as StripeCall
from integrations.protocols.payments import StripeCheckout as StripeCheckout
from integrations.protocols.payments import StripeReversal as StripeReversal
from integrations.protocols.signnow import SignNow as SignNow
from integrations.protocols.signnow.accounts import FoundDocument as FoundDocument
from integrations.protocols.signnow.accounts import SignNowAccount as SignNowAccount
from integrations.protocols.signnow.accounts import SignNowCounters as SignNowCounters
from integrations.protocols.signnow.accounts import SignNowMember as SignNowMember
from integrations.protocols.signnow.accounts import SignNowOrganization as SignNowOrganization
from integrations.protocols.signnow.accounts import SignNowTokens as SignNowTokens
from integrations.protocols.signnow.accounts import SignNowUser as SignNowUser
from integrations.protocols.signnow.accounts import TokenStore as TokenStore
from integrations.protocols.signnow.callbacks import SignNowCallback as SignNowCallback
from integrations.protocols.signnow.callbacks import SignNowDelivery as SignNowDelivery
from integrations.protocols.signnow.callbacks import SignNowSubscription as SignNowSubscription
from integrations.protocols.signnow.documents import NOT_FOUND as NOT_FOUND
from integrations.protocols.signnow.documents import HistoryEntry as HistoryEntry
from integrations.protocols.signnow.documents import SignatureField as SignatureField
from integrations.protocols.signnow.documents import SigningStatus as SigningStatus
from integrations.protocols.signnow.documents import SignNowDocument as SignNowDocument
from integrations.protocols.signnow.documents import SignNowInvite as SignNowInvite
from integrations.protocols.signnow.documents import TextTag as TextTag
from integrations.protocols.signnow.files import Content as Content
from integrations.protocols.signnow.files import DownloadForm as DownloadForm
from integrations.protocols.signnow.files import FileStream as FileStream
from integrations.protocols.signnow.files import SignNowFile as SignNowFile
from integrations.protocols.signnow.groups import GroupAction as GroupAction
from integrations.protocols.signnow.groups import GroupSigner as GroupSigner
from integrations.protocols.signnow.groups import SignNowGroup as SignNowGroup
from integrations.protocols.signnow.groups import SignNowGroupInvite as SignNowGroupInvite
from integrations.protocols.signnow.invites import EmbeddedSigner as EmbeddedSigner
from integrations.protocols.signnow.invites import Reminder as Reminder
from integrations.protocols.signnow.invites import Signer as Signer
from integrations.protocols.stripe import NO_TAX_LOCATION as NO_TAX_LOCATION
from integrations.protocols.stripe import UNKNOWN_ID as UNKNOWN_ID
from integrations.protocols.stripe import MissedEvent as MissedEvent
from integrations.protocols.stripe import Stripe as Stripe
from integrations.protocols.stripe import StripeEvent as StripeEvent
from integrations.protocols.stripe import StripeSubscription as StripeSubscription
