"""The round model against laws that can be worked out by hand."""

import dataclasses

import numpy as np
import pytest
import tmesh
from tmesh.adversaries import Adversary, View, adversary
from tmesh.config import core_config
from tmesh.devices import Device
from tmesh.golden.reference import SYMMETRIC, FloatArray
from tmesh.network import Topology
from tmesh.swarm import Scenario, sampling, sweep
from tmesh.swarm.opinions import Opinions, Statements


@pytest.fixture(scope="module")
def device() -> Device:
    config = dataclasses.replace(core_config("default"), agents=1 << 18)
    return tmesh.open_device("reference", config)


COMPLETE = Topology(kind="complete")


def scenario(**fields: object) -> Scenario:
    """Agents that start certain and purify at once."""
    certain = {"noise": 0.0, "confidence": 1.0, "mixing": 0, "topology": COMPLETE}
    return Scenario(**{**certain, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [2, 4, 8])
def test_meetings_contract_as_the_law_says(device: Device, k: int) -> None:
    """Mode `symmetric`: one random group of k takes its mean; E‖e_t‖² = (1 − (k−1)/(n−1))^t ‖e_0‖².
    Many swarms meet at once, each in a group of its own."""
    rng = np.random.default_rng(k)
    n, swarms, steps = 16, 1000, 8
    rules = scenario(agents=n * swarms, k=k, mixing=steps, mode="symmetric")
    start = np.zeros((n * swarms, 3))
    start[:, 2] = np.tile(rng.uniform(-1, 1, n), swarms)
    opinions = Opinions(device, rules, np.full((len(start), 2), 0.5), start)
    first = np.arange(swarms) * n
    for _ in range(steps):
        some = rng.permuted(np.tile(np.arange(n), (swarms, 1)), axis=1)[:, :k]
        rows = (some + first[:, None]).reshape(-1)
        others = sampling.grouped(rng, rows, n, sampling.COMPLETE, k)
        # Of a complete mesh the groups are within a swarm, and so are these subsets.
        assert np.all(others // n == rows[:, None] // n)
        opinions.update(rows, opinions.said(others), others)
    z = opinions.vectors[:, 2].reshape(swarms, n)
    mean = start[:n, 2].mean()
    np.testing.assert_allclose(z.mean(axis=1), mean, atol=1e-12)  # conserved
    errors = np.sum((z - mean) ** 2, axis=1)
    law = (1 - (k - 1) / (n - 1)) ** steps * np.sum((start[:n, 2] - mean) ** 2)
    assert abs(errors.mean() - law) <= 3 * errors.std() / np.sqrt(swarms)


@pytest.mark.parametrize(("kappa", "threshold"), [(2, 3 - 2 * 2**0.5), (4, 0.2959)])
def test_stubborn_liars_win_above_the_threshold(
    device: Device, kappa: int, threshold: float
) -> None:
    """All-to-all, unanimous start: the honest hold out just below it and fall just above."""
    n = 201
    for share, holds in ((threshold - 0.01, True), (threshold + 0.01, False)):
        rules = scenario(
            agents=n,
            k=n - 1,
            kappa=kappa,
            majority=1.0,
            faulty=round(share * n),
            epsilon=1e-9,  # nobody settles
            finality=False,
            rounds=250,
        )
        states = sweep(rules, device, 1)
        honest = states.states[0, ~states.lying[0], 2]
        assert np.all(honest > 0.3) if holds else np.all(honest < -0.9)


def test_superpositions_stop_a_swarm_unless_it_dephases(device: Device) -> None:
    """A tenth of the agents off axis: with dephasing a unanimous swarm, which averages for six
    rounds, settles in every run, and without in none."""
    fields = {"agents": 200, "k": 20, "kappa": 4, "majority": 1.0, "faulty": 20, "mixing": 6}
    fields |= {"adversary": "phase", "rounds": 60}
    assert np.all(sweep(scenario(**fields), device, 10).decided)
    assert not np.any(sweep(scenario(**fields, dephase=False), device, 10).decided)


def test_a_common_threshold_breaks_what_holds_a_swarm_in_balance(device: Device) -> None:
    """A quarter of the agents keep the means at zero: without a coin, or with one that they know,
    no run ends; with an ideal one all do."""
    fields = {"agents": 200, "k": 20, "kappa": 8, "faulty": 50, "adversary": "hold"}
    fields |= {"majority": 0.55, "rounds": 120, "timeout": 16, "spread": 5}
    for coin in ("none", "known"):
        assert np.mean(sweep(scenario(**fields, coin=coin), device, 10).decided) <= 0.2
    assert np.mean(sweep(scenario(**fields, coin="ideal"), device, 10).decided) >= 0.9


def agreeing(device: Device, rules: Scenario, start: FloatArray) -> Opinions:
    """Agents that have heard from all others what they think themselves."""
    opinions = Opinions(device, rules, np.full((len(start), 2), 0.5), start)
    rows = np.arange(len(start))
    others = np.tile(rows[:, None], (1, rules.k))
    opinions.update(rows, opinions.said(others), others)
    return opinions


@pytest.mark.parametrize("kappa", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["reference", "model"])
def test_purification_multiplies_rapidity(name: str, kappa: int) -> None:
    """artanh|r'| = κ artanh|r|, along r, on any axis; on the core's grid as near as its bound for
    density matrices, 6 LSB, twice which is a vector's."""
    rng = np.random.default_rng(kappa)
    start = rng.normal(size=(200, 3))
    axis = start / np.linalg.norm(start, axis=1, keepdims=True)
    rapidity = rng.uniform(0, 2, (200, 1))
    rules = scenario(agents=200, k=3, kappa=kappa, dephase=False)
    with tmesh.open_device(name) as some:
        got = agreeing(some, rules, np.tanh(rapidity) * axis).vectors
    bar = 1e-12 if name == "reference" else (2 * 6 + kappa) * 2.0**-16  # the start is rounded, too
    np.testing.assert_allclose(got, np.tanh(kappa * rapidity) * axis, rtol=0, atol=bar)


@pytest.mark.parametrize("name", ["reference", "model"])
def test_own_states_interfere_with_means(name: str) -> None:
    """Against density matrices: Tr₂ of P(ρ⊗mean)P, over its weight, P = ½(I + SWAP); opposites
    cancel, and in agreement r' = 4r/(3+r²)."""
    rng = np.random.default_rng(0)
    start = rng.uniform(-0.5, 0.5, (30, 3))
    start[0], start[1:4] = (0, 0, 1), (0, 0, -1)
    rules = scenario(agents=30, k=4, amplify="interfere", dephase=False)
    others = rng.integers(0, 30, (30, 4))
    others[0] = [1, 2, 3, 1]
    rho = tmesh.density(start)
    mean = (rho + rho[others].sum(axis=1)) / 5
    joint = np.einsum("nij,nkl->nikjl", rho, mean).reshape(-1, 4, 4)
    joint = SYMMETRIC @ joint @ SYMMETRIC
    reduced = np.einsum("nikjk->nij", joint.reshape(-1, 2, 2, 2, 2))
    wanted = reduced / np.trace(reduced, axis1=1, axis2=2)[:, None, None]
    bar = 1e-12 if name == "reference" else 4 * 2.0**-16
    with tmesh.open_device(name) as some:
        opinions = Opinions(some, rules, np.full((30, 2), 0.5), start)
        opinions.update(np.arange(30), opinions.said(others), others)
        assert np.max(np.abs(tmesh.density(opinions.vectors) - wanted)) <= bar
        z = agreeing(some, scenario(agents=4, k=3, amplify="interfere"), start[:4] / 2).vectors
        np.testing.assert_allclose(z[:, 2], [8 / 13, *[-8 / 13] * 3], atol=4 * bar)


def test_a_swarm_that_interferes_decides(device: Device) -> None:
    """More slowly than one that purifies: near 0 a state grows by 4/3 in a round, not by κ."""
    fields = {"agents": 100, "k": 10, "majority": 0.8, "confidence": 0.5}
    interfering = sweep(scenario(**fields, amplify="interfere"), device, 10)
    purifying = sweep(scenario(**fields), device, 10)
    assert np.all(interfering.decided)
    assert not np.any(interfering.wrong)
    assert np.median(interfering.rounds) > np.median(purifying.rounds)


def test_trimming_drops_the_most_discordant(device: Device) -> None:
    rules = scenario(agents=4, k=3, trim=1, kappa=1)
    start = np.array([[0, 0, 0.5]] * 4)
    opinions = Opinions(device, rules, np.full((4, 2), 0.5), start)
    said = Statements.silence(1, 3)
    said.vectors[0] = [[0, 0, 0.9], [0, 0, -1], [0, 0, 0.1]]
    opinions.update(np.array([0]), said, np.array([[1, 2, 3]]))
    assert opinions.vectors[0, 2] == pytest.approx((0.5 + 0.9 + 0.1) / 3)


def test_what_is_no_state_is_not_heard(device: Device) -> None:
    opinions = Opinions(device, scenario(agents=4, k=3, kappa=1), np.full((4, 2), 0.5))
    said = Statements.silence(1, 3)
    said.vectors[0] = [[0, 0, 1.01], [0, 0, 0.5], [np.nan] * 3]
    opinions.update(np.array([0]), said, np.array([[1, 2, 3]]))
    assert opinions.vectors[0, 2] == pytest.approx(0.25)


@pytest.mark.parametrize("outcomes", [3, 5, 8])
def test_many_outcomes_are_settled_bit_by_bit(device: Device, outcomes: int) -> None:
    """Everyone ends with one outcome that there is; most often the one that most preferred."""
    rules = scenario(
        agents=60, k=8, outcomes=outcomes, majority=0.7, confidence=0.8, noise=0.1, mixing=4
    )
    ends = sweep(rules, device, 20)
    assert np.all(ends.decided)
    assert not np.any(ends.split)
    assert np.all((ends.outcomes >= 0) & (ends.outcomes < outcomes))
    assert np.mean(ends.outcomes == 0) >= 0.9


def test_evidence_of_the_next_bit_is_conditional(device: Device) -> None:
    """P(b₁ = 0 | b₀ = 0) and the like, and no bit where there is but one outcome left."""
    evidence = np.array([[0.1, 0.3, 0.6], [0.5, 0.0, 0.5]])
    opinions = Opinions(device, scenario(agents=2, k=1, outcomes=3), evidence)
    np.testing.assert_allclose(opinions.vectors[:, 2], [0.4 - 0.6, 0.0])
    opinions._settle(np.array([0, 1]), np.array([0, 1]))
    assert opinions.vectors[0, 2] == pytest.approx((0.1 - 0.3) / 0.4)
    assert opinions.outcomes.tolist() == [-1, 2]


@pytest.mark.parametrize("name", sorted(Adversary.kinds))
def test_every_liar_says_something_or_nothing(name: str) -> None:
    """(m, 3) for m messages, whatever the mix of swarms; only `invalid` says what is no state."""
    rng = np.random.default_rng(0)
    states = rng.uniform(-0.5, 0.5, (30, 3))
    view = View(
        senders=np.array([0, 1, 12]),
        receivers=np.array([5, 6, 17]),
        honest=states[[0, 1, 12]],
        first=states[[0, 1, 12]] / 2,
        states=states,
        lying=np.isin(np.arange(30), [0, 1, 12]),
        camps=np.array([1.0, 1.0, -1.0]),
        swarms=np.repeat([0, 1, 2], 10),
        round=5.0,
        coin=np.array([np.nan, 0.1, -0.1]),
        rng=rng,
    )
    said = adversary(name).statements(view)
    assert said.shape == (3, 3)
    length = np.linalg.norm(said, axis=1)
    assert np.all(np.isnan(length) | (length <= 1 + 1e-9)) is not (name == "invalid")


class Silent(Adversary):
    """One of the user's own."""

    def statements(self, view: View) -> FloatArray:
        return np.full_like(view.honest, np.nan)


def test_adversaries_of_ones_own_are_found_by_path() -> None:
    assert type(adversary("tmesh.adversaries:Mute")) is Adversary.kinds["mute"]
    with pytest.raises(ValueError, match="adversary: 'nice' is none of"):
        adversary("nice")
    with pytest.raises(ValueError, match="adversary: tmesh:run is no Adversary"):
        adversary("tmesh:run")
    with pytest.raises(ValueError, match="adversary: nowhere:X: ModuleNotFoundError: No module"):
        adversary("nowhere:X")


def test_neighbours_are_drawn_evenly_and_once() -> None:
    """Each of the others equally often, none twice, never oneself."""
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(10, 20), 4000)  # the second swarm of ten
    drawn = sampling.pulled(rng, rows, 10, sampling.COMPLETE, 3)
    assert np.all(drawn // 10 == 1)
    assert np.all(drawn != rows[:, None])
    ordered = np.sort(drawn, axis=1)
    assert np.all(ordered[:, 1:] != ordered[:, :-1])
    counts = np.bincount((drawn - rows[:, None]).ravel() % 10, minlength=10)[1:]
    assert np.all(np.abs(counts - counts.mean()) < 5 * np.sqrt(counts.mean()))
    few = sampling.pulled(rng, np.array([0]), 3, sampling.COMPLETE, 5)
    assert sorted(few[0].tolist()) == [-1, -1, -1, 1, 2]
