"""The device interface: validated, vectorised calls on density matrices."""

import abc
import dataclasses
from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from tmesh import checks
from tmesh.closing import Closing
from tmesh.config import CoreConfig, core_config
from tmesh.devices import operands, results
from tmesh.errors import InvalidInput, NotSupported
from tmesh.golden import pauli
from tmesh.golden.reference import SYMMETRIC, ComplexArray, FloatArray
from tmesh.numbers import BoolArray, IntArray
from tmesh.states import density

#: Weights below this are refused: the result would be noise.
MINIMUM_WEIGHT = 2.0**-8

#: Orders of purification.
KAPPAS = (1, 2, 4, 8)


@dataclasses.dataclass(frozen=True)
class DeviceInfo:
    """The identity of a device.

    arithmetic: how states meet (`float64`; `matrix`: Kronecker → 4×4 MAC → partial trace; `pauli`:
    real forms on resident Bloch vectors; `pauli+matrix`: resident states, and matrices). lanes:
    those for resident states where there are any, else those of the MAC. capacity: resident states.
    clock_hz: the clock assumed for turning cycles into time, None where there is no core. digest:
    of the built core, empty where there is none.
    """

    device: str
    config: CoreConfig
    arithmetic: str
    lanes: int
    capacity: int
    clock_hz: float | None
    digest: str


@dataclasses.dataclass(frozen=True)
class Observation:
    """Figures of m resident states. Eigenvalues (m, 2) ascend; the von Neumann entropy (m,) is in
    nats; purity (m,) is Tr ρ²; the diagonal (m, 2) has the probabilities of the outcomes."""

    eigenvalues: FloatArray
    entropy: FloatArray
    purity: FloatArray
    diagonal: FloatArray


class Device(Closing):
    """Kronecker products, evolution, interference, purification and spectra of batches of matrices;
    and states that stay on the device, as Bloch vectors, and meet there.

    Arguments are array-like. Matrices broadcast over leading axes like NumPy; calls on resident
    states take agents by number. Results are complex128 or float64. Bad input raises ``ValueError``
    naming the argument, and the device stays usable.
    """

    name: str

    def __init__(self, config: str | CoreConfig = "default") -> None:
        self.config = core_config(config)
        self._q = self.config.q
        self._resident = 0

    @property
    @abc.abstractmethod
    def info(self) -> DeviceInfo:
        """Configuration, format and build of the device."""

    @property
    def cycles(self) -> int | None:
        """Core clocks from the first command to the last reply, summed; None without a core."""
        return None

    def kron(self, a: npt.ArrayLike, b: npt.ArrayLike) -> ComplexArray:
        """Kronecker product a ⊗ b, (..., 4, 4), of matrices (..., 2, 2) with ‖a‖‖b‖ < 2."""
        left = operands.bounded("a", operands.matrices("a", a, 2), self._q)
        right = operands.bounded("b", operands.matrices("b", b, 2), self._q)
        (left, right), lead = _broadcast(left, right)
        norms = [
            np.linalg.norm(operands.on_grid(x, self._q), ord=2, axis=(-2, -1))
            for x in (left, right)
        ]
        largest = float(np.max(norms[0] * norms[1], initial=0.0))
        if not largest < 2:
            raise InvalidInput(f"a ⊗ b must have a spectral norm below 2, not {largest:.6g}")
        return self._kron(left, right).reshape(*lead, 4, 4)

    def conjugate(self, u: npt.ArrayLike, x: npt.ArrayLike) -> ComplexArray:
        """U X U† for Hermitian X with ‖X‖₂ < 2 and ‖U‖₂ ≤ 1."""
        operator = operands.contraction("u", u, self._q)
        joint = self._joint("x", x)
        (operator, joint), lead = _broadcast(operator, joint)
        return self._conjugate(operator, joint).reshape(*lead, 4, 4)

    def partial_trace(self, x: npt.ArrayLike, keep: int = 0) -> ComplexArray:
        """Reduced matrix (..., 2, 2) of factor `keep` (0 or 1) of Hermitian X with ‖X‖₂ < 2, where
        its own norm is below 2, too."""
        keep, joint = checks.choice("keep", keep, (0, 1)), self._joint("x", x)
        operands.check_reduced("x", joint, keep, self._q)
        (joint,), lead = _broadcast(joint)
        return self._partial_trace(joint, keep).reshape(*lead, 2, 2)

    @overload
    def evolve(
        self,
        u: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        *,
        weight: Literal[False] = False,
    ) -> tuple[ComplexArray, ComplexArray]: ...

    @overload
    def evolve(
        self, u: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike, *, weight: Literal[True]
    ) -> tuple[ComplexArray, ComplexArray, FloatArray]: ...

    def evolve(
        self, u: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike, *, weight: bool = False
    ) -> tuple[ComplexArray, ComplexArray] | tuple[ComplexArray, ComplexArray, FloatArray]:
        """(Tr₂, Tr₁) of U(a⊗b)U†/p; with ``weight`` also p = Tr U(a⊗b)U†, at least 2⁻⁸.

        p is a probability where ‖U‖₂ ≤ 1. An operator whose norm is above that by roundings, at
        most 4 LSB, has a weight above 1 by as little.
        """
        weighed = checks.flag("weight", weight)
        operator = operands.contraction("u", u, self._q)
        first = operands.density_matrix("a", a, self._q, 2)
        second = operands.density_matrix("b", b, self._q, 2)
        (operator, first, second), lead = _broadcast(operator, first, second)
        *evolved, p = self._evolve(operator, first, second)
        new_first, new_second = (
            results.states(state, self._q).reshape(*lead, 2, 2) for state in evolved
        )
        if not weighed:
            return new_first, new_second
        return new_first, new_second, np.maximum(p, MINIMUM_WEIGHT).reshape(lead)

    def interfere(self, a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[ComplexArray, FloatArray]:
        """Swap-test interference: Tr₂(P(a⊗b)P)/p with P = ½(I + SWAP), and the visibility p.

        On Bloch vectors r' = 2(a+b)/(3+a·b) and p = (3+a·b)/4.
        """
        state, _, visibility = self.evolve(SYMMETRIC, a, b, weight=True)
        return state, np.clip(visibility, 0.5, 1)

    def purify(self, a: npt.ArrayLike, kappa: int) -> ComplexArray:
        """ρ^κ / Tr ρ^κ for κ in {1, 2, 4, 8}; artanh|r'| = κ·artanh|r|."""
        order = checks.choice("kappa", kappa, KAPPAS)
        (flat,), lead = _broadcast(operands.density_matrix("a", a, self._q, 2))
        return results.states(self._purify(flat, order), self._q).reshape(*lead, 2, 2)

    def purity(self, a: npt.ArrayLike) -> FloatArray:
        """Tr ρ² of density matrices (..., 2, 2)."""
        (flat,), lead = _broadcast(operands.density_matrix("a", a, self._q, 2))
        return np.clip(self._purity(flat), 0.5, 1).reshape(lead)

    def eigvalsh(self, x: npt.ArrayLike) -> FloatArray:
        """Eigenvalues (..., n), ascending, of Hermitian X (..., n, n), n 2 or 4, with ‖X‖₂ < 2."""
        (flat,), lead = self._spectral(x)
        return self._eigvalsh(flat).reshape(*lead, flat.shape[-1])

    def eigh(self, x: npt.ArrayLike) -> tuple[FloatArray, ComplexArray]:
        """Eigenvalues like `eigvalsh`, and eigenvectors in columns, each of some phase."""
        (flat,), lead = self._spectral(x)
        n = flat.shape[-1]
        values, vectors = self._eigh(flat)
        return values.reshape(*lead, n), vectors.reshape(*lead, n, n)

    def entropy(self, x: npt.ArrayLike, *, diagonal: bool = False) -> FloatArray:
        """Von Neumann entropy −Σ λ ln λ in nats of density matrices (..., n, n), n 2 or 4; with
        ``diagonal`` of their diagonals, S(diag x): the entropy of the outcomes of a measurement."""
        state = operands.density_matrix("x", x, self._q, 2, 4)
        if checks.flag("diagonal", diagonal):
            state = state * np.eye(state.shape[-1])
        (flat,), lead = _broadcast(state)
        return self._entropy(flat).reshape(lead)

    def load(self, r: npt.ArrayLike) -> None:
        """Make Bloch vectors (n, 3), |r| ≤ 1, the resident states of agents 0 to n − 1."""
        capacity, vectors = self._capacity(), operands.bloch_vectors("r", r, self._q)
        if len(vectors) > capacity:
            raise InvalidInput(f"r: {len(vectors)} states, but there is room for {capacity}")
        self._load(vectors)
        self._resident = len(vectors)

    def write(self, agents: npt.ArrayLike, r: npt.ArrayLike) -> None:
        """Give resident agents (m,) new Bloch vectors (m, 3), |r| ≤ 1; the last one counts."""
        self._capacity()
        vectors = operands.bloch_vectors("r", r, self._q)
        numbers = operands.agents("agents", agents, self._resident)
        if len(numbers) != len(vectors):
            raise InvalidInput(f"r: {len(vectors)} states of {len(numbers)} agents")
        self._write(numbers, vectors)

    def read(self, agents: npt.ArrayLike | None = None) -> FloatArray:
        """Resident states, Bloch vectors (m, 3): of some agents (m,), or of all."""
        self._capacity()
        if agents is None:
            return self._read(np.arange(self._resident))
        return self._read(operands.agents("agents", agents, self._resident))

    def gossip(
        self, pairs: npt.ArrayLike, u: npt.ArrayLike, write: Literal["first", "both"] = "first"
    ) -> None:
        """Combine resident states, one pair of `pairs` (m, 2) after another.

        The first agent of a pair takes its reduced state of U(a⊗b)U†; with ``write="both"`` the
        second takes its own, too. The result is that of the order given, though independent pairs
        overlap.

        U is any operator with ‖U‖₂ ≤ 1. One that is not unitary to within 4 LSB takes longer. A
        pair whose weight Tr U(a⊗b)U† is below 2⁻⁸ keeps its states, and once all others are
        combined `InvalidInput` names it.
        """
        self._capacity()
        both = checks.choice("write", write, ("first", "both")) == "both"
        meetings = operands.pairs("pairs", pairs, self._resident)
        operator = self._one_operator(u)
        if operands.is_unitary(operator, self._q.lsb):
            self._gossip(meetings, pauli.rows(operator), both)
            return
        self._need_rounds()
        vanished = self._gossip_weighted(meetings, pauli.rows(operator), both)
        if np.any(vanished):
            a, b = meetings[np.argmax(vanished)].tolist()
            raise InvalidInput(f"u: the weight of the pair ({a}, {b}) is below 2⁻⁸")

    def swap_test(self, pairs: npt.ArrayLike) -> FloatArray:
        """Resident agents interfere, one pair of `pairs` (m, 2) after another: the first of each
        takes r' = 2(a+b)/(3+a·b). The visibilities (3+a·b)/4, (m,)."""
        self._need_rounds()
        visibilities = self._swap_test(operands.pairs("pairs", pairs, self._resident))
        return np.clip(visibilities, 0.5, 1)

    def update(
        self,
        agents: npt.ArrayLike,
        neighbours: npt.ArrayLike,
        kappa: int = 1,
        *,
        dephase: bool = True,
    ) -> tuple[FloatArray, IntArray]:
        """Whole rounds of resident agents (m,), one after another: each takes the mean of its state
        and those of its `neighbours` (m, k), −1 for none, then ρ^κ/Tr ρ^κ.

        With `dephase` only the diagonals count. Returns S(diag ρ) in nats of each new state, and
        its likelier outcome, both (m,).
        """
        self._need_rounds()
        order, only_z = checks.choice("kappa", kappa, KAPPAS), checks.flag("dephase", dephase)
        own = operands.agents("agents", agents, self._resident)
        others = operands.neighbours("neighbours", neighbours, len(own), self._resident)
        members = np.concatenate([own[:, None], others], axis=1)
        return self._update(members, KAPPAS.index(order), only_z)

    def advance(
        self, own: npt.ArrayLike, heard: npt.ArrayLike, kappa: int = 1, *, amplify: str = "purify"
    ) -> FloatArray:
        """Dephased updates of opinions that are not resident: z components `own` (m,) and the cited
        components, `heard` (m, k), NaN for none. Returns the new z components, (m,).

        An update takes the mean of all, and with `amplify` "purify" ρ^κ/Tr ρ^κ of it; with
        "interfere" the own state interferes with the mean. The resident states stay as they are:
        they are written back, so a call is cheapest on a device that holds none.
        """
        self._need_rounds()
        order = checks.choice("kappa", kappa, KAPPAS)
        how = checks.choice("amplify", amplify, ("purify", "interfere"))
        first, others = operands.opinions("own", own, "heard", heard, self._q)
        resident = self._read(np.arange(self._resident)) if self._resident else None
        step = self.config.capacity // (others.shape[1] + 2)
        if not step:
            raise InvalidInput(f"heard: {others.shape[1]} opinions do not fit into the device")
        parts = [
            self._advance(first[at : at + step], others[at : at + step], order, how)
            for at in range(0, len(first), step)
        ]
        if resident is not None:
            self._load(resident)
        return np.concatenate(parts) if parts else np.zeros(0)

    def audit(
        self,
        own: npt.ArrayLike,
        heard: npt.ArrayLike,
        claimed: npt.ArrayLike,
        kappa: int = 1,
        *,
        amplify: str = "purify",
    ) -> BoolArray:
        """Whether `advance` of the same arguments gives exactly the `claimed` z components (m,)."""
        claims = checks.reals("claimed", claimed)
        found = self.advance(own, heard, kappa, amplify=amplify)
        if claims.shape != found.shape:
            raise InvalidInput(f"claimed must have shape {found.shape}, not {claims.shape}")
        return np.asarray(claims == found)

    def _advance(self, own: FloatArray, heard: FloatArray, kappa: int, how: str) -> FloatArray:
        """One batch: every state has a separate place, an author's two."""
        there = ~np.isnan(heard)
        count = len(own)
        places = np.full(heard.shape, -1)
        places[there] = 2 * count + np.arange(np.count_nonzero(there))
        z = np.concatenate([own, own, heard[there]])
        self._load(np.stack([0 * z, 0 * z, z], axis=1))
        agents, copies = np.arange(count), count + np.arange(count)
        if how == "purify":
            members = np.concatenate([agents[:, None], places], axis=1)
            self._update(members, KAPPAS.index(kappa), True)
        else:
            self._update(np.concatenate([copies[:, None], places], axis=1), 0, True)
            self._swap_test(np.stack([agents, copies], axis=1))
            self._update(np.stack([agents, np.full(count, -1)], axis=1), 0, True)
        return self._read(agents)[:, 2]

    def joint(self, pairs: npt.ArrayLike, u: npt.ArrayLike) -> ComplexArray:
        """U (a⊗b) U†, (m, 4, 4), of pairs (m, 2) of resident agents, as `conjugate` of `kron` gives
        it. The states do not change."""
        self._capacity()
        meetings, operator = operands.pairs("pairs", pairs, self._resident), self._one_operator(u)
        rho = density(self._read(meetings.reshape(-1))).reshape(-1, 2, 2, 2)
        (operator, a, b), _ = _broadcast(operator, rho[:, 0], rho[:, 1])
        return self._joint_state(operator, a, b)

    def observe(self, agents: npt.ArrayLike) -> Observation:
        """Spectrum, entropy, purity and diagonal of the states of resident agents (m,)."""
        self._need_rounds()
        seen = self._observe(operands.agents("agents", agents, self._resident))
        return Observation(
            eigenvalues=np.clip(seen.eigenvalues, 0, 1),
            entropy=seen.entropy,
            purity=np.clip(seen.purity, 0.5, 1),
            diagonal=np.clip(seen.diagonal, 0, 1),
        )

    def _one_operator(self, u: npt.ArrayLike) -> ComplexArray:
        operator = operands.contraction("u", u, self._q)
        if operator.ndim != 2:
            raise InvalidInput(f"u must be one operator, not of shape {operator.shape}")
        return operator

    def _capacity(self) -> int:
        if not self.config.gossip_lanes:
            raise NotSupported("this configuration has no resident states (gossip_lanes = 0)")
        return self.config.capacity

    def _need_rounds(self) -> None:
        self._capacity()
        if not self.config.rounds:
            raise NotSupported("this configuration has no rounds of agents (rounds = 0)")

    def _spectral(self, x: npt.ArrayLike) -> tuple[tuple[ComplexArray, ...], tuple[int, ...]]:
        array = operands.hermitian("x", operands.matrices("x", x, 2, 4), self._q)
        return _broadcast(operands.bounded("x", array, self._q))

    def _joint(self, name: str, x: npt.ArrayLike) -> ComplexArray:
        array = operands.hermitian(name, operands.matrices(name, x, 4), self._q)
        return operands.bounded(name, array, self._q)

    @abc.abstractmethod
    def _kron(self, a: ComplexArray, b: ComplexArray) -> ComplexArray: ...

    @abc.abstractmethod
    def _conjugate(self, u: ComplexArray, x: ComplexArray) -> ComplexArray: ...

    @abc.abstractmethod
    def _partial_trace(self, x: ComplexArray, keep: int) -> ComplexArray: ...

    @abc.abstractmethod
    def _evolve(
        self, u: ComplexArray, a: ComplexArray, b: ComplexArray
    ) -> tuple[ComplexArray, ComplexArray, FloatArray]: ...

    @abc.abstractmethod
    def _purify(self, a: ComplexArray, kappa: int) -> ComplexArray: ...

    @abc.abstractmethod
    def _purity(self, a: ComplexArray) -> FloatArray: ...

    @abc.abstractmethod
    def _eigvalsh(self, x: ComplexArray) -> FloatArray: ...

    @abc.abstractmethod
    def _eigh(self, x: ComplexArray) -> tuple[FloatArray, ComplexArray]: ...

    @abc.abstractmethod
    def _entropy(self, x: ComplexArray) -> FloatArray: ...

    @abc.abstractmethod
    def _load(self, r: FloatArray) -> None: ...

    @abc.abstractmethod
    def _write(self, agents: IntArray, r: FloatArray) -> None: ...

    @abc.abstractmethod
    def _read(self, agents: IntArray) -> FloatArray: ...

    @abc.abstractmethod
    def _joint_state(self, u: ComplexArray, a: ComplexArray, b: ComplexArray) -> ComplexArray: ...

    @abc.abstractmethod
    def _gossip(self, pairs: IntArray, c: FloatArray, both: bool) -> None:
        """Meetings (m, 2) under a unitary operator given by its rows `c` (8, 16)."""

    @abc.abstractmethod
    def _gossip_weighted(self, pairs: IntArray, c: FloatArray, both: bool) -> BoolArray:
        """The same of any operator; whose weight vanished (m,)."""

    @abc.abstractmethod
    def _swap_test(self, pairs: IntArray) -> FloatArray:
        """Visibilities (m,)."""

    @abc.abstractmethod
    def _update(
        self, members: IntArray, squarings: int, dephase: bool
    ) -> tuple[FloatArray, IntArray]:
        """Rounds of the first of each of `members` (m, n), of which some are −1."""

    @abc.abstractmethod
    def _observe(self, agents: IntArray) -> Observation: ...

    def close(self) -> None:
        """Release what the device holds: most hold nothing."""


def check_weight(p: FloatArray) -> FloatArray:
    """Refuse weights too small to divide by."""
    lowest = float(np.min(p, initial=1.0))
    if not lowest >= MINIMUM_WEIGHT:
        raise InvalidInput(f"u: the weight {lowest:.6g} is below 2⁻⁸")
    return p


def _broadcast(*arrays: ComplexArray) -> tuple[tuple[ComplexArray, ...], tuple[int, ...]]:
    """Arrays (..., n, n) as batches (m, n, n), and their common leading shape."""
    try:
        lead = np.broadcast_shapes(*(x.shape[:-2] for x in arrays))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in arrays)
        raise InvalidInput(f"leading axes do not broadcast: {shapes}") from None
    batches = tuple(
        np.broadcast_to(x, (*lead, *x.shape[-2:])).reshape(-1, *x.shape[-2:]) for x in arrays
    )
    return batches, lead
