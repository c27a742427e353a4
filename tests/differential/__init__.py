"""All solvers, thousands of small random programs of every kind that the library makes."""
