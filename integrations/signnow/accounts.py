"""The account itself, its counters and folders, and the application's users."""

from integrations.protocols import SignNowAccount, SignNowCounters, SignNowUser
from integrations.signnow import errors
from integrations.signnow.objects import day, flag, objects, whole
from integrations.signnow.requests import Requests


class Accounts(Requests):
    """Part of `integrations.protocols.SignNow`."""

    _account: SignNowAccount | None

    async def account(self) -> SignNowAccount:
        """Whose token this is. Asked once."""
        if self._account is None:
            user = await self._read("/user")
            with errors.reading("the account"):
                self._account = SignNowAccount(user_id=str(user["id"]), email=str(user["primary_email"]))
        return self._account

    async def counters(self) -> SignNowCounters:
        """SignNow's own counts; it sends them as numbers or as strings."""
        user = await self._read("/user")
        period = user.get("billing_period")
        period = period if isinstance(period, dict) else {}
        return SignNowCounters(
            documents=whole(user.get("document_count")),
            documents_this_month=whole(user.get("monthly_document_count")),
            documents_ever=whole(user.get("lifetime_document_count")),
            period_starts_on=day(period.get("start_date")),
            period_ends_on=day(period.get("end_date")),
        )

    async def ensure_folder(self, name: str) -> str:
        """The id of the folder with that name right below the account's root, made if there is none.

        SignNow's docs tell how folders are read, not how one is made: `POST /user/folder` is our assumption.
        """
        root_id, folders = await self._folders()
        ids = [folder_id for folder_id, known in folders if known == name]
        return ids[0] if ids else await self._create("/user/folder", {"name": name, "parent_id": root_id})

    async def has_folder(self, folder_id: str) -> bool:
        """Whether the folder lies right below the account's root."""
        return any(known == folder_id for known, _ in (await self._folders())[1])

    async def _folders(self) -> tuple[str, list[tuple[str, str]]]:
        """The root folder's id, and id and name of those right below it."""
        root = await self._read("/folder")
        with errors.reading("the root folder"):
            listed = [(str(folder["id"]), str(folder.get("name"))) for folder in objects(root.get("folders"))]
            return str(root["id"]), listed

    async def create_user(self, *, email: str, password: str, first_name: str, last_name: str) -> SignNowUser:
        """A new SignNow user, made by the application."""
        body = {"email": email, "password": password, "first_name": first_name, "last_name": last_name}
        answer = await self._session.send_as_application("POST", "/user", json=body)
        with errors.reading("the new user", is_read=False):
            user = answer.json()
            return SignNowUser(str(user["id"]), str(user.get("email") or email), flag(user.get("verified")))
