"""Annotation formats: each file reads and writes one; ``conversion`` leads from one to another."""
