import numpy as np


def read_points(path):
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1]


def mean(values):
    return float(np.mean(values))
