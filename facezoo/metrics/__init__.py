"""Metrics: faces found and faces annotated in, numbers and curves out. No torch in here."""
