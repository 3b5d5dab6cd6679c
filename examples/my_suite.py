"""A user-defined suite: how much does NetWorld lose when messages are lost?

    networld bench run examples/my_suite.py --jobs 2
    networld report results/messages

It compares behaviour cloning, NetWorld, and NetWorld without messages on `rb`.
"""

from networld_algos.bench import Entry, Robustness, Suite

SUITE = Suite(
    name="messages",
    tasks=("rb",),
    entries=(Entry("bc"), Entry("networld"), Entry("networld", "silent", {"mean_field": False})),
    seeds=3,
    updates=1_000,
    robustness=Robustness(("bc", "networld"), seeds=3, message_loss=(0.0, 0.3, 0.6, 0.9)),
)
