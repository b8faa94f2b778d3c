"""What is asked of signers, checked: who they are, where they sign, until when, and what they read."""

from collections.abc import Sequence
from typing import Final

from integrations.protocols import EmbeddedSigner, Reminder, SignatureField, Signer
from services.problems import Problems

LANGUAGES: Final = ("en", "es", "fr")
MAX_TEXT: Final = 5_000
MAX_URI: Final = 2_048


def check_signers(problems: Problems, signers: Sequence[Signer | EmbeddedSigner]) -> None:
    """Each has an address, a role of their own and a turn; what SignNow's own programs say of the rest."""
    for index, signer in enumerate(signers):
        at = ("signers", str(index))
        problems.check_email(signer.email, *at, "email")
        problems.check_text(signer.role, *at, "role")
        problems.check(1 <= signer.order <= 99, "is a number from 1 to 99", *at, "order")
        uri, language = signer.redirect_uri, signer.language
        is_uri = uri is None or (uri.startswith(("https://", "http://")) and len(uri) <= MAX_URI and uri.isprintable())
        problems.check(is_uri, f"is no http address of at most {MAX_URI} characters", *at, "redirectUri")
        is_known = language is None or language in LANGUAGES
        problems.check(is_known, f"is one of {', '.join(LANGUAGES)}", *at, "language")
        if isinstance(signer, Signer):
            days = signer.expiration_days
            problems.check(days is None or 3 <= days <= 180, "is a number from 3 to 180", *at, "expirationDays")
            _check_reminder(problems, signer.reminder, at)
            check_mail(problems, signer.subject, signer.message, *at)
    roles = [signer.role for signer in signers]
    problems.check(len(set(roles)) == len(roles), "each signer needs a role of their own", "signers")


def _check_reminder(problems: Problems, reminder: Reminder | None, at: Sequence[str]) -> None:
    if reminder is None:
        return
    for name, days, most in (
        ("after", reminder.after, 179),
        ("before", reminder.before, 179),
        ("every", reminder.every, 7),
    ):
        problems.check(days is None or 1 <= days <= most, f"is a number from 1 to {most}", *at, "reminder", name)


def check_fields(
    problems: Problems, fields: Sequence[SignatureField], signers: Sequence[Signer | EmbeddedSigner]
) -> None:
    """Each field is some signer's, and where there are fields each signer has one."""
    roles = [signer.role for signer in signers]
    for index, place in enumerate(fields):
        problems.check(place.role in roles, "is no signer's role", "fields", str(index), "role")
        numbers = (place.page, place.x, place.y, place.width, place.height)
        problems.check(
            all(0 <= n <= 20_000 for n in numbers),
            "page, x, y, width, height: 0 to 20000",
            "fields",
            str(index),
        )
    placed = {place.role for place in fields}
    missing = [role for role in roles if role not in placed]
    if fields and placed <= set(roles):  # a role that is misspelt is missing for that alone
        problems.check(not missing, f"the document has no fields for {', '.join(missing)}", "signers")


def check_mail(problems: Problems, subject: str | None, message: str | None, *at: str) -> None:
    """What stands in the e-mail."""
    for name, text in (("subject", subject), ("message", message)):
        is_short = text is None or len(text) <= MAX_TEXT
        problems.check(is_short, f"is longer than {MAX_TEXT} characters", *at, name)
