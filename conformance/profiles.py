"""Profiles: named sets of operations and dtypes that a backend claims as a whole."""

import dataclasses

from nnspec.conformance.suite import NARROW_DTYPES, SHORT_DTYPES, Vector

GROUPS: dict[str, tuple[str, ...]] = {
    "primitives": ("primitives",),
    "recurrent": ("rnn", "gru", "lstm"),
    "training": ("bptt", "gan"),
    "attention": ("attention", "translation", "transformer"),
    "vision": ("glimpse", "captioning"),
}
# those with cases in half precision
NARROW_GROUPS = ("primitives", "recurrent", "attention")


@dataclasses.dataclass(frozen=True)
class Profile:
    """Every case of some topics in one dtype, with or without the VJPs."""

    name: str
    topics: tuple[str, ...]
    dtype: str
    vjp: bool

    def holds(self, vector: Vector) -> bool:
        """Whether the profile claims this case."""
        return (
            vector.operation.topic in self.topics
            and vector.case.dtype == self.dtype
            and (self.vjp or vector.operation.name == vector.operation.base)
        )


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for group, topics in GROUPS.items()
    for short, dtype in SHORT_DTYPES.items()
    if dtype not in NARROW_DTYPES or group in NARROW_GROUPS
    for profile in (
        Profile(f"{group}-{short}", topics, dtype, vjp=True),
        Profile(f"{group}-{short}-forward", topics, dtype, vjp=False),
    )
}
