"""What every resolver is given."""

from dataclasses import dataclass

import strawberry

from services.keys import Viewer
from services.platform import Platform


@dataclass(frozen=True, slots=True)
class Context:
    """One request: the platform, and who is asking (None without a valid API key)."""

    platform: Platform
    viewer: Viewer | None


Info = strawberry.Info[Context, None]
