"""Users over the API, in process: one an address, and what becomes of their keys."""

from typing import Any

import pytest

from edgeneuro.domain.user import normalise_email
from edgeneuro.settings import Settings
from tests.unit.conftest import Answered, Product
from tests.unit.test_keys import ask, create, create_user, refused
from tests.unit.watched import WatchedDatabase


async def test_a_user_lives_its_life(product: Product) -> None:
    body = {"email": " Ada@Example.COM ", "name": "Ada", "role": "viewer"}
    created = (await product.call("POST", "/v1/users", body)).json()
    assert created["email"] == "ada@example.com"
    assert (created["role"], created["enabled"], created["object"]) == ("viewer", True, "user")
    path = f"/v1/users/{created['id']}"
    assert (await product.call("GET", path)).json() == created
    product.clock.seconds += 1
    patched = (await product.call("PATCH", path, {"role": "admin"})).json()
    assert (patched["role"], patched["name"]) == ("admin", "Ada")
    assert patched["updated_at"] > patched["created_at"]
    deleted = (await product.call("DELETE", path)).json()
    assert deleted == {
        "object": "user.deleted",
        "id": created["id"],
        "deleted": True,
        "revoked_keys": [],
    }
    assert refused(await product.call("GET", path)) == (404, "unknown_user")
    audit = (await product.call("GET", "/v1/audit?resource=user")).json()["data"]
    assert [entry["action"] for entry in audit] == ["delete", "update", "create"]
    assert (audit[1]["before"]["role"], audit[1]["after"]["role"]) == ("viewer", "admin")


async def test_an_address_has_one_user_whatever_its_case(product: Product) -> None:
    ada = await create_user(product, "viewer")
    body = {"email": ada["email"].upper(), "name": "Again", "role": "admin"}
    assert refused(await product.call("POST", "/v1/users", body)) == (409, "user_exists")
    bob = await create_user(product, "admin")
    taken = await product.call("PATCH", f"/v1/users/{bob['id']}", {"email": ada["email"]})
    assert refused(taken) == (409, "user_exists")
    page = (await product.call("GET", "/v1/users?limit=1")).json()
    rest = (await product.call("GET", f"/v1/users?after={page['last_id']}")).json()
    assert [user["id"] for user in page["data"] + rest["data"]] == [ada["id"], bob["id"]]
    found = (await product.call("GET", "/v1/users?email=VIEWER@example.com")).json()["data"]
    assert found == [ada]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "a\x00@example.com"}, "email"),
        ({"email": "a b@example.com"}, "email"),
        ({"email": "a" * 250 + "@x.org"}, "email"),
        ({"email": None}, "email"),
        ({"role": "root"}, "role"),
        ({"name": " "}, "name"),
        ({"enabled": "yes"}, "enabled"),
        ({"id": "usr_mine"}, "id"),
    ],
)
async def test_bad_fields_are_named(product: Product, change: dict[str, Any], param: str) -> None:
    body = {"email": "a@example.com", "name": "A", "role": "viewer", **change}
    answered = await product.call("POST", "/v1/users", body)
    assert (answered.status, answered.json()["error"]["param"]) == (400, param)
    assert product.rows("SELECT id FROM users") == []


async def test_a_disabled_users_key_stops_and_comes_back(product: Product) -> None:
    user = await create_user(product)
    key = await create(product, user_id=user["id"])
    path = f"/v1/users/{user['id']}"
    assert (await ask(product, key["key"])).status == 200
    await product.call("PATCH", path, {"enabled": False})
    assert refused(await ask(product, key["key"])) == (401, "user_disabled")
    await product.call("PATCH", path, {"enabled": True})
    assert (await ask(product, key["key"])).status == 200


@pytest.mark.parametrize(
    ("method", "code"), [("PATCH", "user_disabled"), ("DELETE", "key_revoked")]
)
async def test_a_users_key_stops_while_the_revision_is_being_read(
    settings: Settings, method: str, code: str
) -> None:
    database = WatchedDatabase()
    product = Product(database, settings)
    user = await create_user(product)
    key = await create(product, user_id=user["id"])
    assert (await product.call("GET", "/v1/models", key=key["key"])).status == 200
    await product.call(method, f"/v1/users/{user['id']}", {"enabled": False})
    meanwhile: list[Answered] = []

    async def another_request() -> None:
        meanwhile.append(await product.call("GET", "/v1/models", key=key["key"]))

    database.before("SELECT value AS routing", another_request)
    await product.call("GET", "/v1/models", key=key["key"])
    assert refused(meanwhile[0]) == (401, code)
    database.close()


async def test_a_deleted_users_keys_are_revoked(product: Product) -> None:
    user, other = await create_user(product), await create(product)
    key = await create(product, user_id=user["id"])
    gone = await create(product, user_id=user["id"])
    await product.call("DELETE", f"/v1/keys/{gone['id']}")
    product.clock.seconds += 1
    deleted = (await product.call("DELETE", f"/v1/users/{user['id']}")).json()
    assert deleted["revoked_keys"] == [key["id"]]
    assert refused(await ask(product, key["key"])) == (401, "key_revoked")
    assert (await ask(product, other["key"])).status == 200
    rows = {row["id"]: row for row in (await product.call("GET", "/v1/keys")).json()["data"]}
    assert (rows[key["id"]]["user_id"], rows[key["id"]]["revoked_at"][-5:]) == (None, ".000Z")
    assert rows[gone["id"]]["revoked_at"] < rows[key["id"]]["revoked_at"]
    audit = (await product.call("GET", "/v1/audit?resource=user&limit=1")).json()["data"]
    assert audit[0]["after"]["revoked_keys"] == [key["id"]]


async def test_every_change_of_users_and_keys_raises_the_access_revision_alone(
    product: Product,
) -> None:
    def revisions() -> tuple[int, int]:
        [row] = product.rows("SELECT value, access FROM revision")
        return row["value"], row["access"]

    for sql in (
        "INSERT INTO users (id, email, name, role, enabled, created_at, updated_at)"
        " VALUES ('u', 'u@example.com', 'U', 'viewer', 1, 0, 0)",
        "UPDATE users SET enabled = 0",
        "INSERT INTO keys (id, name, hint, hash, scopes, user_id, created_at)"
        " VALUES ('k', 'K', 'en_', 'h', '[]', 'u', 0)",
        "UPDATE keys SET revoked_at = 1",
        "DELETE FROM keys",
        "DELETE FROM users",
    ):
        routing, access = revisions()
        product.execute(sql)
        assert revisions() == (routing, access + 1)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_user_is_a_404(product: Product, method: str) -> None:
    answered = await product.call(method, "/v1/users/usr_none", {} if method == "PATCH" else None)
    assert refused(answered) == (404, "unknown_user")


@pytest.mark.parametrize("other", ["\u212aate@example.com", "kate@example.\u212aom"])
def test_only_ascii_letters_change_their_case(other: str) -> None:
    """The lower case of the Kelvin sign is k, so that one mailbox could pass for another."""
    assert normalise_email("KATE@Example.COM") == "kate@example.com"
    assert normalise_email(other) != normalise_email(other.lower())
    assert normalise_email("\u00c4@example.com") != normalise_email("\u00e4@example.com")
