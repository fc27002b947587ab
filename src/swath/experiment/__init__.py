"""Declare experiments, compile them into pipelines, plan and run them."""
