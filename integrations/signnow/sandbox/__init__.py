"""A SignNow that runs anywhere: an ASGI app that speaks SignNow's HTTP, with its state in memory."""

from integrations.signnow.sandbox.accounts import SandboxAccount
from integrations.signnow.sandbox.app import create_app

__all__ = ["SandboxAccount", "create_app"]
