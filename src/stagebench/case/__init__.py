"""What is measured: the axes, a case (one point of the matrix), and the workload that all cases share."""

from stagebench.case.axis import Axis, Trait
from stagebench.case.case import AXES, Case
from stagebench.case.plain import from_plain, plain
from stagebench.case.workload import Workload

__all__ = ["AXES", "Axis", "Case", "Trait", "Workload", "from_plain", "plain"]
