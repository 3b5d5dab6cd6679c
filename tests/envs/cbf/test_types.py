"""Parameters out of range are named with their value."""

import pytest

from networld_envs import cbf


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rings", -1),
        ("rings", 1.5),
        ("antennas", 0),
        ("power_dbm", float("nan")),
        ("min_distance_m", 0.0),
        ("max_distance_m", 5.0),
        ("correlation", 1.2),
        ("shadowing_db", "8"),
        ("paths", True),
        ("observation", "image"),
        ("action", "beam"),
        ("reward_set", None),
        ("wrap_around", 1),
        ("user_speed_mps", -3.0),
        ("slot_s", 0.0),
        ("sinr_cap_db", float("inf")),
        ("power_dbm", 4000.0),
        ("noise_dbm", -4000.0),
        ("path_loss_1km_db", -4000.0),
        ("path_loss_slope_db", 4000.0),
        ("shadowing_db", 1000.0),
        ("inter_site_m", 1e9),
        ("max_links", 1),
        ("power_levels", 1),
        ("codewords", 0),
    ],
)
def test_illegal_parameters_are_named_with_their_value(field, value):
    with pytest.raises((ValueError, TypeError), match=rf"{field}.*{value}"):
        cbf.Params(**{field: value})
