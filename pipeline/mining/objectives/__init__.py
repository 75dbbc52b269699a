"""Objectives: the disagreement D(T(x), S(x)) whose gradient is climbed. One short class each."""
