"""Measurements on real Spark: a class of users under several policies, starts, and turns."""
