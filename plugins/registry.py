"""The billing models of all plugins, by code."""

from collections.abc import Iterable, Iterator, Sequence

from inkmeter import BillingModel, ConfigurationError, NotFound


class BillingModels:
    """The billing models by code; iteration is sorted by code.

    A code is lower-case words joined by hyphens (BillingModel checks that), is stored with every price, and
    stands for one class for ever.
    """

    def __init__(self, registered: Iterable[tuple[str, object]]) -> None:
        """Take pairs of a plugin's name and a model. Raises ConfigurationError for a code taken twice."""
        self._models: dict[str, type[BillingModel]] = {}
        owners: dict[str, str] = {}
        for plugin, model in sorted(registered, key=lambda pair: pair[0]):
            if not (isinstance(model, type) and issubclass(model, BillingModel) and hasattr(model, "code")):
                raise ConfigurationError(f"plugin {plugin!r} registers {model!r}, which is no billing model")
            if owner := owners.get(model.code):
                message = f"billing model {model.code!r} is registered by both {owner!r} and {plugin!r}"
                raise ConfigurationError(f"{message}; block one of them")
            owners[model.code] = plugin
            self._models[model.code] = model

    def get(self, code: str, *, path: Sequence[str] = ()) -> type[BillingModel]:
        """The model of that code. Raises NotFound, with the codes that there are, at `path` of the input."""
        try:
            return self._models[code]
        except KeyError:
            known = ", ".join(sorted(self._models)) or "none at all"
            raise NotFound(f"no billing model {code!r}; there are: {known}", path=path) from None

    def __iter__(self) -> Iterator[type[BillingModel]]:
        return iter(model for _, model in sorted(self._models.items()))

    def __contains__(self, code: object) -> bool:
        return code in self._models

    def __len__(self) -> int:
        return len(self._models)
