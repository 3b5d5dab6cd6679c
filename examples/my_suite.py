"""A suite of one's own.

networld bench run examples/my_suite.py --jobs 2
networld report results/messages
"""

from networld_algos.bench.suite import Entry, Robustness, Suite

SUITE = Suite(
    name="messages",
    tasks=("rb",),
    entries=(Entry("bc"), Entry("networld"), Entry("networld", "silent", {"mean_field": "off"})),
    seeds=3,
    updates=1_000,
    robustness=Robustness(("bc", "networld"), seeds=3, message_loss=(0.0, 0.3, 0.6, 0.9)),
)
