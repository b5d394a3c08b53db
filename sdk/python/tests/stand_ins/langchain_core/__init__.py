"""Stands for LangChain where it is not installed: see README.md."""
