"""Configurations: every legal one answers everything, and each field is checked."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tmesh.config import CONFIGS, CoreConfig
from tmesh.golden.engine import EngineModel
from tmesh.numbers import Q
from tmesh.opcodes import Opcode
from tmesh_hw.digest import build_digest

FIELDS = {field.name: field.type for field in dataclasses.fields(CoreConfig)}
INTEGERS = [name for name, kind in FIELDS.items() if kind is int]
LANES = [pair for pair in itertools.product((0, 1, 2, 4, 8, 16), range(4)) if any(pair)]
TRUTHS = [name for name, kind in FIELDS.items() if kind is bool]


@st.composite
def configurations(draw: st.DrawFn) -> CoreConfig:
    """Any legal one."""
    clock = draw(st.floats(min_value=1e-3, max_value=1e12))
    agents, operators = draw(st.integers(2, 1 << 18)), draw(st.integers(1, 1024))
    eigenvectors = draw(st.booleans())
    if draw(st.integers(0, 7)) == 0:
        return CoreConfig(
            f=14,
            lanes=0,
            gossip_lanes=1,
            agents=min(agents, 1 << 13),
            operators=min(operators, 16),
            rounds=draw(st.integers(1, 16)),
            link=32,
            cordics=0,
            iterative=draw(st.booleans()),
            eigenvectors=eigenvectors,
            microcoded=True,
            clock_hz=clock,
        )
    lanes, gossip_lanes = draw(st.sampled_from(LANES))
    cordics = draw(st.sampled_from((0, 1, 2, 4, 8))) if lanes else 0
    return CoreConfig(
        f=draw(st.integers(8, 16)),
        lanes=lanes,
        gossip_lanes=gossip_lanes,
        agents=agents,
        operators=operators,
        rounds=draw(st.integers(0, 16)),
        link=draw(st.sampled_from((32, 64, 128))),
        cordics=cordics,
        iterative=draw(st.booleans()) if cordics <= 1 else False,
        eigenvectors=eigenvectors,
        clock_hz=clock,
    )


@given(configurations())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_every_legal_configuration_answers_every_property(config: CoreConfig) -> None:
    """All properties that the class has, now and later."""
    for name, member in vars(CoreConfig).items():
        if isinstance(member, property):
            getattr(config, name)
    assert config.capacity == (config.agents if config.gossip_lanes else 0)
    assert config.rows * config.gossip_lanes >= config.capacity
    assert (config.rows == 0) == (config.gossip_lanes == 0)
    assert config.q == Q(2, config.f)
    for operation in Opcode:
        assert isinstance(config.has(operation), bool)
    assert eval(repr(config), {"CoreConfig": CoreConfig}) == config


@given(configurations(), st.sampled_from([np.int64, np.uint32, np.int32]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_equal_configurations_look_equal(config: CoreConfig, kind: Any) -> None:
    """NumPy's scalars are what Python's are, so one circuit has one name and one digest."""
    values = {name: kind(getattr(config, name)) for name in INTEGERS}
    values |= {name: np.bool_(getattr(config, name)) for name in TRUTHS}
    same = CoreConfig(**values, clock_hz=np.float64(config.clock_hz))
    assert same == config
    assert repr(same) == repr(config)
    assert hash(same) == hash(config)


def test_one_circuit_has_one_digest() -> None:
    one = CoreConfig(f=np.int64(16), eigenvectors=np.True_, clock_hz=100_000_000)
    assert build_digest(one) == build_digest(CoreConfig())


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(
    "value", [True, False, np.True_, 4.0, np.float64(4), "4", None, 4 + 0j, [4]]
)
def test_a_field_of_integers_takes_integers_alone(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be an integer, not "):
        CoreConfig(**{name: value})


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("value", [1, 0, 1.0, "yes", None, np.int64(1)])
def test_a_flag_takes_truth_values_alone(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be True or False, not "):
        CoreConfig(**{name: value})


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 0, -1.0, True, "1e8", None, 1j, 10**400]
)
def test_a_clock_that_does_not_tick_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^clock_hz (must|holds) "):
        CoreConfig(clock_hz=value)


@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.gossip_lanes])
def test_the_model_has_room_for_every_agent(name: str) -> None:
    config = CONFIGS[name]
    assert EngineModel(config, 0).states.shape == (config.gossip_lanes, config.rows, 3)
