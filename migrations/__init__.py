"""Alembic migrations of the history's database."""
