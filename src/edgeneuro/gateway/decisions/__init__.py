"""Requests to decision models and their answers: one module per wire format."""
