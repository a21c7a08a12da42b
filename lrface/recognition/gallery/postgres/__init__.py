"""Galleries in PostgreSQL, with pgvector. Nothing here is imported unless a gallery's address says so."""
