"""Random legal parameters of every task, corners of the ranges included."""

import math
import typing
from dataclasses import fields, replace

import numpy as np

from networld_envs import cbf, ns, rb

BASES = {
    "cbf": cbf.Params(),
    "rb": rb.Params(),
    "ns": ns.Params(),
    "hua2019": ns.PacketParams(slots=20),  # a window of 20 slots, to be quick
}
"""Name of a model -> the parameters that a random setting starts from."""
SMALL = {
    "rings": 2,
    "num_clusters": 12,
    "nodes_per_cluster": 8,
    "antennas": 8,
    "neighbours": 40,
    "paths": 16,
    "sub_slots": 300,
    "hotspots": 20,
    "slots": 20,
    "users": 40,
    "buffer": 50,
}
"""Largest values drawn for what determines the size of a network, to be quick."""


def task_of(model):
    return "ns" if model == "hua2019" else model


def random_settings(model, rng):
    """Legal parameters: each field is the base's, a corner of its range, or anything between."""
    base = BASES[model]
    hints = typing.get_type_hints(type(base))
    share, corners = rng.choice([0.1, 0.3, 0.6, 1.0]), rng.random() < 0.3
    values = {
        f.name: _draw(f.name, hints[f.name], base.LIMITS, rng, corners)
        for f in fields(base)
        if f.name in base.LIMITS and rng.random() < share
    }
    for f in fields(base):
        if f.name not in base.LIMITS and rng.random() < share:
            values.update(_draw_word(f.name, hints[f.name], rng))
    return completed(model, values, rng)


def _draw(name, hint, limits, rng, corners):
    args = typing.get_args(hint)
    if type(None) in args:
        if rng.random() < 0.5:
            return None
        hint = args[0]
        args = ()
    if args:  # a tuple
        length = int(rng.integers(1, 5)) if args[-1] is Ellipsis else len(args)
        return tuple(_draw(name, args[0], limits, rng, corners) for _ in range(length))
    low, high = limits[name]
    if name in SMALL and hint is int:
        high = min(high, SMALL[name])
    where = rng.random()
    if corners or where < 0.3:
        value = (low, high)[rng.integers(2)]
    elif where < 0.65:
        value = rng.uniform(low, high)
    else:
        value = np.exp(rng.uniform(math.log(max(low, 1e-6)), math.log(high)))
    value = min(max(value, low), high)
    return int(value) if hint is int else float(value)


def _draw_word(name, hint, rng):
    """Words and flags; what depends on other fields comes later."""
    args = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        return {name: args[rng.integers(len(args))]}
    return {name: bool(rng.integers(2))} if hint is bool else {}


def completed(model, values, rng):
    """Parameters of these values, with the rules between several fields met."""
    base = BASES[model]

    def get(name):
        return values.get(name, getattr(base, name))

    if model == "rb":
        _complete_rb(values, get, rng)
    elif model == "cbf":
        _complete_cbf(values, get)
    elif model == "ns":
        shares = np.array(get("load_shares"))
        shares = shares / shares.sum() if shares.sum() else np.array([1.0, 0.0, 0.0])
        values["load_shares"] = (*shares[:2].tolist(), 1.0 - float(shares[:2].sum()))
        values["load_shares"] = tuple(max(0.0, s) for s in values["load_shares"])
    else:
        values["min_distance_m"] = min(get("min_distance_m"), get("radius_m"))
        least = 2.0 * get("slot_s")
        values["sla_latency_s"] = tuple(max(s, least) for s in get("sla_latency_s"))
        if not sum(get("users")):
            values["users"] = (0, 1, 0)
    if model != "rb" and model != "cbf" and not sum(get("slice_weights")):
        values["slice_weights"] = (0.0, 0.0, 1.0)
    return replace(base, **values)


def _complete_rb(values, get, rng):
    values["initial_backlog"] = int(rng.integers(0, get("buffer") + 1))
    clusters = get("num_clusters")
    if get("topology") == "edges":
        pairs = [(a, b) for a in range(clusters) for b in range(a)]
        values["edges"] = tuple(pair for pair in pairs if rng.random() < 0.3)
    elif rng.random() < 0.3:
        least = 2 if get("topology") == "ring" else (2 if clusters % 2 else 3)
        most = clusters - 1
        values["max_degree"] = int(rng.integers(min(least, most), most + 1))


def _complete_cbf(values, get):
    values["max_distance_m"] = max(get("max_distance_m"), get("min_distance_m"))
    if get("observation") == "ge2020":
        values["action"] = "codebook"
    if get("observation") == "ge2020" or get("reward_set") == "power":
        values["max_links"] = None
    gain_db = get("power_dbm") - get("path_loss_1km_db") + 9 * get("shadowing_db")
    gain_db -= get("path_loss_slope_db") * math.log10(get("min_distance_m") / 1e3)
    least_noise_dbm = gain_db - 299.0
    if least_noise_dbm > 300.0:  # no noise is enough
        values.update(path_loss_1km_db=120.9, path_loss_slope_db=37.6, shadowing_db=8.0)
        values.update(power_dbm=0.0, noise_dbm=-100.0)
    else:
        values["noise_dbm"] = max(get("noise_dbm"), least_noise_dbm)
