"""Starts: where in input space a climb begins. One short class each."""
