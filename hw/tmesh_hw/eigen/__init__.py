"""The eigensolver: Jacobi steps on a ring of CORDIC units, scheduled when it is generated."""

from .solver import HermitianJacobi

__all__ = ["HermitianJacobi"]
