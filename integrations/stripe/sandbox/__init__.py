"""A small Stripe that speaks HTTP, for tests and demos."""

from integrations.stripe.sandbox.app import create_app

__all__ = ["create_app"]
