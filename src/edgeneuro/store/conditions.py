"""The conditions of a WHERE that depends on what was asked for: the text holds `?` alone, and the
values are bound in the same order."""

from dataclasses import dataclass, field

from edgeneuro.store.database import Value


@dataclass
class Conditions:
    values: list[Value] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)

    def add(self, sql: str, *values: Value) -> None:
        self._parts.append(sql)
        self.values += values

    def add_all(self, others: "Conditions") -> None:
        self._parts += others._parts
        self.values += others.values

    @property
    def is_empty(self) -> bool:
        return not self._parts

    @property
    def sql(self) -> str:
        return " AND ".join(self._parts) or "true"
