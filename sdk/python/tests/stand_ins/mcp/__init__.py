"""Stands for the Model Context Protocol's SDK where it is not installed: see README.md."""
