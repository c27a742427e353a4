"""The tolerances of all searches, each with its reason.

Those that decide whether an answer of a solver is accepted stand in `layermilp.program`
(`FEASIBILITY_TOLERANCE`, 1e-6; `PROVEN_GAP`, 1e-7); a solver is asked for `PRIMAL_TOLERANCE`, 1e-9,
of `layermilp.solvers.base`."""

FAR = 2.0**10
"""Factor by which numbers differ from one where a problem is solved in units of its own, see
`layermilp.algorithms.scaling`: up to there the absolute tolerances are still small beside them.
Losses and preactivations below are in these units."""

SMALLEST = 2.0**-17
"""Share of the largest output within the box that counts as one at least: what is much smaller
cannot be told from rounding in sums that reach so far."""

LEAST_COLUMN = 2.0**-26
"""Least size of an unknown's largest coefficient: HiGHS takes one of up to 1e-9 for zero."""

ROUNDING = 1e-9
"""Difference of two losses per row, or relative to them, that counts as none: what solvers leave
open when they are asked for a feasibility of 1e-9. Losses, bounds and falls are compared so."""

FINE_ROUNDING = 1e-10
"""The same for interior points, which no solver's tolerance limits: they come nearer to a loss of
zero."""

TIE_TOLERANCE = 1e-8
"""Loss per row that a tie-break may cost. Its rows hold within ten times the feasibility tolerance
that its solver is asked for."""

MET = 1e-6
"""Loss below which a program's targets are met at its start, so that nothing is asked of a solver:
the feasibility tolerance of an answer."""

EMPTY_BOX = 1e-9
"""Width by which rounding may turn a box inside out before it counts as empty; more where the box
reaches beyond `FAR`, by as much as it does."""

EXACT = 1e-12
"""Error of an envelope that counts as none: rounding of a sum of some numbers near one."""

LEAST_GAIN = 1e-6
"""Least gain expected of a branch, so that the other branch of the row still counts in the product
of both."""

POSITIVE = 1e-9
"""Share of its bound above which a dual value counts as positive."""

ERROR_ROOM = 1e-7
"""Relative room of an error that may not grow: with many samples the present weights are the only
ones that have none, and a solver would call the program infeasible."""

MARGIN_ROOM = 1e-3
"""Share of the margin that may be missing where a sample counts as right: a row of a program holds
within its solver's tolerance only, which is relative to the size of the row."""

NO_EFFECT = 1e-9
"""Effect of a neuron on a sample's loss that counts as none: rounding of two sums of losses."""

NEW_NEURON = 1e-6
"""Least amount by which the weighted votes of a neuron add up to more than those of all known ones,
or a dual objective lies below zero: the feasibility tolerance of an answer."""

WHOLE_ROOM = 1e-6
"""How far a bound of a whole number may exceed the next lower one and still is rounded down to it:
the feasibility tolerance of an answer."""
