"""Queues with deadlines and shares in whole blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from networld_envs.physics.queueing import largest_remainder, serve_before_deadline
from tests.helpers.ns import OracleQueue


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.floats(0.0, 5.0),
    st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=12), min_size=1, max_size=3),
)
def test_deadline_service_equals_cohorts(deadline, service, intervals):
    queue, backlog = OracleQueue(deadline), np.zeros((7, 1))
    for arrivals in intervals:
        before = backlog[0, 0]
        result = serve_before_deadline(
            np.array(arrivals, dtype=float)[:, None],
            np.array([service]),
            [deadline],
            backlog,
        )
        done = [queue.slot(float(a), service) for a in arrivals]
        in_time, expired = (sum(column) for column in zip(*done, strict=True))
        backlog = result.backlog
        assert result.in_time[0] == pytest.approx(in_time, abs=1e-9)
        assert result.expired[0] == pytest.approx(expired, abs=1e-9)
        assert backlog[0, 0] == pytest.approx(queue.queued, abs=1e-9)
        left = result.in_time[0] + result.expired[0] + backlog[0, 0]
        assert before + sum(arrivals) == pytest.approx(left, abs=1e-9)
        assert (backlog[max(deadline - 1, 0) :, 0] == 0).all()
        assert (np.diff(backlog[:, 0]) <= 0).all()


def test_a_deadline_counts_the_slot_of_arrival():
    """Three packets, one served per slot, two slots allowed: two are in time, one expires."""
    result = serve_before_deadline(
        np.array([[3.0], [0.0], [0.0]]), np.ones(1), [2], np.zeros((1, 1))
    )
    assert result.in_time[0] == 2.0
    assert result.expired[0] == 1.0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 60))
def test_largest_remainder_is_within_one_of_the_exact_share(requests, capacity):
    tie_break = np.linspace(0.0, 0.9, len(requests))
    grants = largest_remainder(np.array(requests), capacity, tie_break)
    total = sum(requests)
    assert grants.sum() == min(total, capacity)
    assert (grants <= requests).all()
    exact = np.array(requests) * (min(1.0, capacity / total) if total else 1.0)
    assert (np.abs(grants - exact) < 1.0).all()
