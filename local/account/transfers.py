"""D1's export and import, as wrangler calls them: a file of SQL is downloaded or uploaded by an
address of its own, which needs no token."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request

from local.account.database import Database, QueryError
from local.account.state import Account
from local.answers import Answer
from local.envelope import Endpoint, failure, result
from local.http import read_json

BOOKMARK = "00000000-00000001-00000000-00000000000000000000000000000000"
_FILES = "/_local/account/files"
_VIRTUAL = "D1 Export error: cannot export databases with Virtual Tables (fts5)"


def transfer_table(one: str, account: Account) -> list[tuple[str, str, str, Endpoint]]:
    """`one` is the path of a database."""

    def found(request: Request) -> Database | None:
        return account.database(request.path_params["database"])

    async def export(request: Request) -> Answer:
        database, options = found(request), (await read_json(request))["dump_options"]
        if database is None:
            return failure(404, 7404, "The database was not found")
        try:
            text = "\n".join(dump_rows(database.connection, options["tables"])) + "\n"
        except ValueError as error:
            return result({"success": False, "messages": [], "error": str(error)})
        name = _keep(account, text.encode("utf-8", "surrogateescape"))
        url = f"{str(request.base_url).rstrip('/')}{_FILES}/{name}"
        return _complete({"filename": name, "signed_url": url})

    async def bring_in(request: Request) -> Answer:
        database, body = found(request), await read_json(request)
        if database is None:
            return failure(404, 7404, "The database was not found")
        if body["action"] == "init":
            name = uuid.uuid4().hex
            url = f"{str(request.base_url).rstrip('/')}{_FILES}/{name}"
            return result({"success": True, "messages": [], "filename": name, "upload_url": url})
        try:
            done = database.query(account.files[str(body["filename"])].decode())
        except QueryError as error:
            return result(
                {"success": True, "messages": [], "status": "error", "errors": [str(error)]}
            )
        meta = {"duration": 1.0, "rows_read": 0, "rows_written": len(done), "size_after": 0}
        return _complete({"num_queries": len(done), "final_bookmark": BOOKMARK, "meta": meta})

    async def bookmark(request: Request) -> Answer:
        return result({"bookmark": BOOKMARK})

    return [
        ("POST", f"{one}/export", "d1:export", export),
        ("POST", f"{one}/import", "d1:import", bring_in),
        ("GET", f"{one}/time_travel/bookmark", "d1:list", bookmark),
    ]


def file_table(account: Account) -> list[tuple[str, str, Endpoint]]:
    async def download(request: Request) -> Answer:
        content = account.files.pop(request.path_params["file"], None)
        if content is None:
            return failure(404, 10007, "The file is not there")
        return Answer(200, content, media_type="application/sql")

    async def upload(request: Request) -> Answer:
        content = await request.body()
        account.files[request.path_params["file"]] = content
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return Answer(200, headers={"etag": f'"{etag}"'})

    path = f"{_FILES}/{{file}}"
    return [("GET", path, download), ("PUT", path, upload)]


def _keep(account: Account, content: bytes) -> str:
    name = uuid.uuid4().hex
    account.files[name] = content
    return name


def _complete(content: dict[str, Any]) -> Answer:
    done = {"success": True, "messages": [], "status": "complete", "at_bookmark": BOOKMARK}
    return result({**done, "result": content})


def dump_rows(connection: sqlite3.Connection, tables: Sequence[str]) -> Iterator[str]:
    """The rows as D1 writes them, without the schema. Raises ValueError for an FTS5 table."""
    yield "PRAGMA defer_foreign_keys=TRUE;"
    made = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    for name, sql in made:
        if tables and name not in tables:
            continue
        if str(sql).startswith("CREATE VIRTUAL TABLE"):
            raise ValueError(_VIRTUAL)
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
        names = ",".join(f'"{each}"' for each in columns)
        for row in connection.execute(f'SELECT {names} FROM "{name}"'):
            values = ",".join(map(_literal, row))
            yield f'INSERT INTO "{name}" ({names}) VALUES({values});'


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if not isinstance(value, str):
        return repr(value)
    text = "'" + value.replace("'", "''").replace("\n", "\\n").replace("\r", "\\r") + "'"
    if "\r" in value:
        text = f"replace({text},'\\r',char(13))"
    return f"replace({text},'\\n',char(10))" if "\n" in value else text
