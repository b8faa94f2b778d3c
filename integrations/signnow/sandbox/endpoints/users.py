"""`/user`: who the token belongs to, and new users."""

from datetime import datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from integrations.signnow.sandbox.accounts import is_email
from integrations.signnow.sandbox.books import Fact
from integrations.signnow.sandbox.calls import Call, basic, bearer
from integrations.signnow.sandbox.refusals import INVALID_EMAIL, refusal


async def show_user(call: Call) -> Response:
    user = call.user
    documents = [document for document in call.world.documents.values() if document.user_id == user.id]
    this_month = (call.now.year, call.now.month)
    monthly = sum((document.created_at.year, document.created_at.month) == this_month for document in documents)
    return JSONResponse(
        {
            "id": user.id,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "active": "1",
            "verified": str(int(user.is_verified)),
            "type": 1,
            "pro": 0,
            "created": str(int(user.created_at.timestamp())),
            "emails": [user.email],
            "primary_email": user.email,
            "credits": 0,
            "has_atticus_access": False,
            "is_logged_in": True,
            "document_count": len(documents),
            "monthly_document_count": str(monthly),  # SignNow sends numbers and strings
            "lifetime_document_count": call.world.books.of(user.id, Fact.UPLOADS),
            "billing_period": _billing_period(call.now),
            "googleapps": False,
            "facebookapps": False,
            "subscriptions": [],
            "companies": [],
            "teams": [],
            "organization": {},
            "organization_settings": [],
            "settings": {},
            "merchant_accounts": [],
        }
    )


def _billing_period(now: datetime) -> dict[str, Any]:
    """The calendar month: when an account's period really begins is its own matter."""
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + timedelta(days=31)).replace(day=1)
    return {
        "start_date": f"{start:%m/%d/%Y}",
        "end_date": f"{end:%m/%d/%Y}",
        "start_timestamp": int(start.timestamp()),
        "end_timestamp": int(end.timestamp()),
    }


async def create_user(call: Call) -> Response:
    body = await call.json()
    email, password = str(body.get("email", "")), str(body.get("password", ""))
    if not is_email(email):
        raise refusal("Email is invalid", INVALID_EMAIL)
    names = str(body.get("first_name", "")), str(body.get("last_name", ""))
    user = call.world.accounts.add_user(email, password, *names, call.now)
    return JSONResponse({"id": user.id, "verified": int(user.is_verified), "email": user.email})


ROUTES = [bearer("GET", "/user", show_user), basic("POST", "/user", create_user)]
