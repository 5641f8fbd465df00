"""What is measured: the axes, a case (one point of the matrix), and the workload that all cases share."""

from stagebench.case.case import *  # noqa: F403
