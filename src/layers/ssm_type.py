"""The SSMs that a Mamba block can hold."""

from enum import Enum


class SSMType(Enum):
    """The values are the configs' names."""

    S6_REAL = "S6-Real"
    S6_COMPLEX = "S6-Complex"
    S4D_REAL = "S4D-Real"
    S4D_COMPLEX = "S4D-Complex"

    @property
    def over_complex(self) -> bool:
        return self in (SSMType.S6_COMPLEX, SSMType.S4D_COMPLEX)

    @property
    def selective(self) -> bool:
        return self in (SSMType.S6_REAL, SSMType.S6_COMPLEX)
