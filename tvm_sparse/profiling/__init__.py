"""Measure how long layers take under schemes, and predict it where nobody measured."""
