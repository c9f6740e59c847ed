"""Bytes that one row cannot hold, in numbered parts of a kind: models, and the examples and states
of their trainings."""

from collections.abc import Iterator
from dataclasses import dataclass

from edgeneuro.store.database import Database, Statement, statement

# They are read as hexadecimal digits, twice as long, and a row holds 2 MB.
_PART_BYTES = 500_000


@dataclass(frozen=True)
class Parts:
    """A table of parts; `owner` is the column that says whose they are."""

    table: str
    owner: str

    async def read(self, db: Database, owner_id: str, kind: str, *, first: int = 0) -> bytes:
        """The bytes of the parts from `first` on, one part a query; empty where there are none."""
        parts: list[bytes] = []
        while True:
            rows = await db.run(
                statement(
                    f"SELECT hex(content) AS content FROM {self.table}"
                    f" WHERE {self.owner} = ?1 AND kind = ?2 AND part = ?3",
                    owner_id,
                    kind,
                    first + len(parts),
                )
            )
            if not rows:
                return b"".join(parts)
            parts.append(bytes.fromhex(rows[0]["content"]))

    def write(
        self, owner_id: str, kind: str, content: bytes, *, first: int = 0
    ) -> Iterator[Statement]:
        """Writes the bytes in parts numbered from `first` on, over those that were there; a
        statement each, since a request to D1 must not grow with them."""
        yield statement(
            f"DELETE FROM {self.table} WHERE {self.owner} = ?1 AND kind = ?2 AND part >= ?3",
            owner_id,
            kind,
            first,
        )
        for number, at in enumerate(range(0, len(content), _PART_BYTES), first):
            yield statement(
                f"INSERT INTO {self.table} ({self.owner}, kind, part, content)"
                " VALUES (?1, ?2, ?3, ?4)",
                owner_id,
                kind,
                number,
                content[at : at + _PART_BYTES],
            )


CLASSIFIER_PARTS = Parts("classifier_parts", "classifier_id")
EMBEDDING_PARTS = Parts("embedding_parts", "embedding_id")
