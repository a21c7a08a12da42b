"""The statements that deepface's pgvector back end runs, as a client for ``gallery_stores.py``.

``vector`` of 32 bits, an HNSW index for the cosine from the start, parts of 100 with a commit each, ``ORDER BY embedding <=>
query LIMIT n``. Left out are the picture of the face, which it stores in each row, too, and its checks.
"""

from typing import Any

import numpy as np
from gallery_people import DIM, TOP


class PlainClient:
    """The statements of deepface's back end."""

    def __init__(self, place: str, limit: int | None = None) -> None:
        import psycopg
        from pgvector.psycopg import register_vector

        self.handle = psycopg.connect(place)
        self.handle.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self.handle)
        self.handle.execute(
            "CREATE TABLE IF NOT EXISTS plain (id serial PRIMARY KEY, img_name text NOT NULL, "
            f"embedding vector({DIM}) NOT NULL, embedding_hash text NOT NULL, UNIQUE (embedding_hash))"
        )
        self.handle.execute("CREATE INDEX IF NOT EXISTS plain_index ON plain USING hnsw (embedding vector_cosine_ops)")
        self.handle.commit()
        self.index_s = 0.0

    def add(self, names: list[str], rows: np.ndarray) -> None:
        """Enrol people."""
        for first in range(0, len(names), 100):
            values = [(name, row, name) for name, row in zip(names[first:][:100], rows[first:][:100], strict=True)]
            with self.handle.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO plain (img_name, embedding, embedding_hash) VALUES (%s, %s, %s)", values
                )
            self.handle.commit()

    def search(self, query: np.ndarray) -> list[str]:
        """The nearest people."""
        statement = (
            "SELECT id, img_name, embedding <=> (%s::vector) FROM plain ORDER BY embedding <=> (%s::vector) LIMIT %s"
        )
        found = [row[1] for row in self.handle.execute(statement, (query, query, TOP))]
        self.handle.commit()
        return found

    def facts(self) -> dict[str, Any]:
        """Kind of search, and disk."""
        row = self.handle.execute("SELECT pg_total_relation_size('plain')").fetchone()
        assert row is not None
        return {"method": "approximate", "said": None, "disk_mb": row[0] / 1e6}

    def close(self) -> None:
        """Close it."""
        self.handle.close()
