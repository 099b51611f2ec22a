"""Dictionary versions, generated from the array transforms: settings and defaults are written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import is_dataclass
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, get_type_hints

import numpy as np
from monai.config import KeysCollection
from monai.transforms.transform import MapTransform, Randomizable
from monai.utils import TransformBackends

P = ParamSpec("P")
Version = TypeVar("Version", bound="DictionaryTransform[...]")
RandomVersion = TypeVar("RandomVersion", bound="RandomDictionaryTransform[...]")


class DictionaryTransform(MapTransform, Generic[P]):
    """Base of the dictionary versions: apply one array transform to every key.

    Args:
        keys: Keys of the arrays.
        new_key_prefix: Prefix of the key of each result; None replaces the array.
        allow_missing_keys: Whether to skip a key that a case does not have, instead of raising a KeyError.
    """

    backend = [TransformBackends.NUMPY]  # noqa: RUF012 - the way MONAI's transforms declare it
    _transform_class: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        keys: KeysCollection,
        new_key_prefix: str | None = None,
        allow_missing_keys: bool = False,
        *args: P.args,
        **settings: P.kwargs,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.transform = self._transform_class(*args, **settings)
        self.new_key_prefix = new_key_prefix

    def __call__(self, data: Mapping[Hashable, Any]) -> Any:
        """Return the case with the results; the given dictionary stays as it is."""
        case = dict(data)
        for key in self.key_iterator(case):
            case[self.result_key(key)] = self.result(data, key)
        return case

    def result(self, data: Mapping[Hashable, Any], key: Hashable) -> Any:
        """Return the result for one key."""
        return self.transform(data[key])

    def result_key(self, key: Hashable) -> Hashable:
        """Return the key of the result for a key."""
        return f"{self.new_key_prefix}{key}" if self.new_key_prefix else key

    @classmethod
    def of(cls: type[Version], transform_class: Callable[P, Any]) -> type[Version]:
        """Make the dictionary version of an array transform: `Skeletonized = DictionaryTransform.of(Skeletonize)`.

        The class has the name of the array transform plus `d`, and lies in its module. All arguments except `keys` are
        keyword-only: first those that a subclass adds to this base, then the settings of the array transform, then
        those of this base. Type checkers see the same arguments, since the settings are the parameters `P`. They
        do not see that positional arguments are refused. To them the result is a variable, so it cannot be an
        annotation: annotate with `MapTransform`.
        """
        name = f"{transform_class.__name__}d"
        signature = _signature(cls, transform_class)

        def __init__(self: Version, *args: Any, **arguments: Any) -> None:  # noqa: N807 - becomes the method
            try:
                bound = signature.bind(*args, **arguments)
            except TypeError as error:
                names = ", ".join(list(signature.parameters)[1:])
                raise TypeError(f"{name}: {error}; it takes `keys` and, by keyword only, {names}.") from None
            cls.__init__(self, **bound.arguments)

        members = {
            "__doc__": _docstring(cls, transform_class),
            "__init__": __init__,
            "__module__": transform_class.__module__,  # where pickle finds the class by its name
            "__signature__": signature,  # what help(), Sphinx and editors show
            "_transform_class": transform_class,
        }
        return type(name, (cls,), members)


class RandomDictionaryTransform(Randomizable, DictionaryTransform[P]):
    """Base of the dictionary versions of random transforms, which draw from the state of the array transform."""

    def set_random_state(
        self: RandomVersion, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandomVersion:
        """Seed the draws."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self


def _signature(base: type[DictionaryTransform[...]], transform_class: Callable[..., Any]) -> inspect.Signature:
    keys, *own = [p for p in _parameters(base.__init__) if p.name not in ("self", "args", "settings")]
    shared = {parameter.name for parameter in _parameters(DictionaryTransform.__init__)}
    added = [parameter for parameter in own if parameter.name not in shared]
    last = [parameter for parameter in own if parameter.name in shared]
    by_keyword = [*added, *_parameters(transform_class), *last]
    return inspect.Signature([keys, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in by_keyword)])


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if not is_dataclass(function):
        return list(inspect.signature(function, eval_str=True).parameters.values())
    # Each field has to be evaluated in the module of the class that declares it, which `eval_str` does not do.
    types = get_type_hints(function)
    return [p.replace(annotation=types[p.name]) for p in inspect.signature(function).parameters.values()]


def _docstring(base: type[DictionaryTransform[...]], transform_class: Callable[..., Any]) -> str:
    summary = (inspect.getdoc(transform_class) or "").partition("\n")[0]
    own_text = (inspect.getdoc(base) or "").partition("\n\n")[2]
    reference = f":py:class:`{transform_class.__name__}`"
    return (
        f"Dictionary version of {reference}.\n\n{summary}\n\n{own_text}\n\n"
        f"The remaining arguments, the results and the errors are those of {reference}.\n"
    )
