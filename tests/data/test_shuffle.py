import numpy as np

from networld_algos.data.shuffle import shuffled


def test_shuffled_data_keeps_every_distribution_and_loses_every_relation(toy):
    data = toy("box").collect(12)
    data.lengths[0] = data.actions.shape[1] - 2  # an episode that is shorter
    other = shuffled(data, seed=0)
    states = np.arange(data.obs.shape[1]) <= data.lengths[:, None]
    for name, real in (("obs", states), ("actions", data.step_mask), ("rewards", data.step_mask)):
        before, after = getattr(data, name), getattr(other, name)
        rows = [np.sort(x[real].reshape(-1, *x.shape[3:]), axis=0) for x in (before, after)]
        np.testing.assert_array_equal(*rows)
        np.testing.assert_array_equal(before[~real], after[~real])  # padding stays
        assert not np.array_equal(before, after)
    np.testing.assert_array_equal(other.neighbours, data.neighbours)
    whole = other.step_mask.all(1)
    now, ahead = other.obs[whole, :-1, ..., 0].ravel(), other.obs[whole, 1:, ..., 0].ravel()
    assert abs(np.corrcoef(now, ahead)[0, 1]) < 0.15
    np.testing.assert_array_equal(shuffled(data, seed=0).obs, other.obs)
    assert not np.array_equal(shuffled(data, seed=1).obs, other.obs)
