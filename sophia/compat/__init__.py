"""Shapes of other libraries over Sophia's own parts."""
