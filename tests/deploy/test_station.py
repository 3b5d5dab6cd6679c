"""One station: messages of every kind, deadlines, failures, and legal actions in spite of them."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from networld_algos.deploy.mailbox import MOST_AHEAD
from networld_algos.deploy.wire import Message, encode
from tests.helpers.stations import TOY, SumEngine, make


def message(sender=1, slot=0, values=(1.0, 2.0), model=TOY.model):
    return encode(Message(model, sender, slot, np.array(values, np.float32)))


def test_a_step_uses_the_messages_of_the_slot_before():
    station = make()
    action, outbox = station.step([0.5, 0.5])
    assert action == np.float32(0.1)
    assert outbox == message(0, 0, (0.5, 0.5))
    action, _ = station.step([0.5, 0.5], [message(1, 0), message(2, 0, (0.5, 0.5))])
    assert action == np.float32(0.5)


def test_messages_of_the_same_slot_cross_between_observe_and_decide():
    station = make(message_delay=0)
    station.observe([0.0, 0.0])
    assert station.waits_for == [1, 2]
    assert station.receive(message(1, 0)) == "kept"
    assert station.waits_for == [2]
    assert station.decide([message(2, 0)]) == np.float32(0.6)
    with pytest.raises(ValueError, match="same time; with 0, call observe"):
        station.step([0.0, 0.0])


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [
        (message(slot=5), "kept"),
        (message(slot=4), "late"),
        (message(slot=6 + MOST_AHEAD), "kept"),
        (message(slot=7 + MOST_AHEAD), "early"),
        (message(sender=3, slot=5), "foreign"),
        (message(sender=0, slot=5), "foreign"),
        (message(slot=5, model=8), "foreign"),
        (message(slot=5, values=(1.0,)), "malformed"),
        (message(slot=5, values=(1.0, np.inf)), "malformed"),
        (message(slot=5)[:-1], "malformed"),
        (b"", "malformed"),
        (None, "malformed"),
    ],
)
def test_every_kind_of_message_is_counted_and_only_good_ones_are_used(datagram, kind):
    station = make()
    station.observe([0.0, 0.0], slot=6)
    used = kind == "kept" and datagram == message(slot=5)
    assert station.decide([datagram]) == np.float32(0.3 * used)
    assert station.message_counts == {kind: 1}
    assert not station.fell_back


def test_the_first_of_two_equal_messages_counts():
    station = make(message_delay=0)
    station.observe([0.0, 0.0])
    assert station.decide([message(), message(values=(9.0, 9.0)), message()]) == np.float32(0.3)
    assert station.message_counts == {"kept": 1, "doubled": 2}


def test_messages_that_come_early_or_out_of_order_wait_for_their_slot():
    station = make(message_delay=0)
    later = [message(slot=s, values=(s, 0.0)) for s in (2, 0, 1)]
    heard = []
    for _ in range(3):
        station.observe([0.0, 0.0])
        heard.append(float(station.decide(later)[0]))
        later = []
    assert heard == pytest.approx([0.0, 0.1, 0.2])


def test_an_old_message_replaces_a_lost_one_for_as_long_as_the_model_says():
    station = make(engine=SumEngine(replace(TOY, message_max_age=2)), message_delay=0)
    inboxes = [[message(slot=0)], [], [], [], [message(slot=3, values=(5.0, 0.0))]]
    heard = []
    for inbox in inboxes:
        station.observe([0.0, 0.0])
        heard.append(round(float(station.decide(inbox)[0]), 3))
    assert heard == [0.3, 0.3, 0.3, 0.0, 0.5]  # the last one is a slot late, and still new enough


def test_a_flood_does_not_fill_the_memory():
    station = make(neighbours=(1,))
    station.observe([0.0, 0.0])
    for slot in range(1000):
        station.receive(message(slot=slot))
    assert sum(len(kept) for kept in station._mail._kept.values()) <= MOST_AHEAD + 2


class Blocked(SumEngine):
    """An engine that answers when it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def decide(self, observation, held, usable):
        assert self.go.wait(60)
        return super().decide(observation, held, usable)


def test_a_late_model_gives_the_fallback_and_recovers():
    engine = Blocked()
    station = make(engine=engine, deadline_ms=50, fallback=lambda o, slot: o[:1] / 100)
    assert station.step([0.5, 0.0])[0] == np.float32(0.005)
    assert station.fell_back == "late"
    action, outbox = station.step([0.6, 0.0])  # the model still works on the slot before
    assert (action, outbox) == (np.float32(0.006), b"")
    engine.go.set()
    while station._worker.is_busy:
        pass
    station.deadline_ms = 60_000
    action, outbox = station.step([0.7, 0.0])
    assert action == np.float32(0.07)
    assert outbox == message(0, 2, (0.7, 0.0))
    assert station.counts == {"decisions": 3, "late": 2}
    assert not station.fell_back


def test_reset_does_not_wait_for_a_late_model():
    engine = Blocked()
    station = make(engine=engine, deadline_ms=20)
    station.step([0.5, 0.0])
    station.reset()
    station.engine, station.deadline_ms = SumEngine(), 60_000
    assert station.step([0.5, 0.0])[0] == np.float32(0.05)
    engine.go.set()


@pytest.mark.parametrize("broken", [RuntimeError("no memory"), np.nan, [1.0, 2.0], None])
@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_a_model_that_fails_gives_the_fallback(broken, deadline_ms):
    class Failing(SumEngine):
        def decide(self, *given):
            if isinstance(broken, Exception):
                raise broken
            return broken

    station = make(engine=Failing(), deadline_ms=deadline_ms, fallback=lambda o, s: [0.25])
    assert station.step([0.5, 0.0])[0] == np.float32(0.25)
    assert station.fell_back == "failed"
    assert station.last_error is not None


def test_a_message_that_cannot_be_made_is_not_sent():
    class Mute(SumEngine):
        def message(self, observation):
            return observation * np.nan

    action, outbox = make(engine=Mute()).step([0.5, 0.0])
    assert (action, outbox) == (np.float32(0.05), b"")


def test_an_observation_with_a_hole_gives_the_fallback_on_the_last_whole_one():
    station = make(fallback=lambda o, slot: o[:1])
    station.step([0.5, 0.0])
    action, outbox = station.step([np.nan, 0.0])
    assert (action, outbox) == (np.float32(0.5), b"")
    assert station.fell_back == "unusable"
    blind = make(fallback=lambda o, slot: o[:1])
    assert blind.step([np.inf, 0.0])[0] == np.float32(-1.0)  # nothing is known: the smallest


def test_without_a_fallback_the_last_action_is_repeated():
    station = make()
    station.step([0.5, 0.0])
    assert station.step([np.nan, 0.0])[0] == np.float32(0.05)
    broken = make(fallback=lambda o, slot: 1 / 0)
    assert broken.step([np.nan, 0.0])[0] == np.float32(-1.0)
    broken.step([0.5, 0.0])
    assert broken.step([np.nan, 0.0])[0] == np.float32(0.05)


def test_actions_are_legal_whatever_the_model_says():
    assert make().step([1e30, 0.0])[0] == np.float32(1.0)
    whole = replace(TOY, action_kind="ordered", action_high=(5.0,), action_low=(0.0,))

    class Integers(SumEngine):
        def decide(self, observation, *given):
            return np.int64(observation[0])

    station = make(engine=Integers(whole))
    actions = [station.step([v, 0.0])[0] for v in (-3.0, 2.0, 99.0)]
    assert [int(a) for a in actions] == [0, 2, 5]
    assert {a.dtype for a in actions} == {np.dtype(np.int64)}


def test_a_restarted_station_joins_the_slot_of_the_others():
    station = make()
    station.observe([0.0, 0.0], slot=100)
    station.decide()
    fresh = make(number=1, neighbours=(0,))
    fresh.reset(slot=101)
    _, outbox = fresh.step([0.5, 0.5])
    station.observe([0.0, 0.0], slot=102)
    assert station.decide([outbox]) == np.float32(0.1)
    with pytest.raises(ValueError, match="slot must be in 103"):
        station.observe([0.0, 0.0], slot=102)


def test_wrong_use_is_named():
    station = make()
    with pytest.raises(ValueError, match="call observe"):
        station.decide()
    station.step([0.0, 0.0])
    with pytest.raises(ValueError, match="call observe"):
        station.decide()
    with pytest.raises(ValueError, match=r"has shape \(2,\), got \(3,\)"):
        station.step([0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="holds numbers"):
        station.step(["a", "b"])
    for wrong in ({"neighbours": (0, 1)}, {"neighbours": (1, 1)}, {"neighbours": (-2,)}):
        with pytest.raises(ValueError, match="must be different and at least 0"):
            make(**wrong)
    with pytest.raises(ValueError, match="message_delay must be"):
        make(message_delay=-1)
    with pytest.raises(ValueError, match="deadline_ms must be"):
        make(deadline_ms=0)
