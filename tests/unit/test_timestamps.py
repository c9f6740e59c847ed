"""Times as callers write them."""

import pytest

from edgeneuro.domain.fields import read_timestamp
from tests.unit.conftest import Product
from tests.unit.test_keys import create


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2027-01-15T08:00:00Z", "2027-01-15T08:00:00.000000+00:00"),
        ("2027-01-15", "2027-01-15T00:00:00.000000+00:00"),
        ("2027-01-15T08:00:00.1234567Z", "2027-01-15T08:00:00.123456+00:00"),
        ("2027-01-15t08:00:00.5z", "2027-01-15T08:00:00.500000+00:00"),
        ("2027-01-15 08:00:00Z", "2027-01-15T08:00:00.000000+00:00"),
        ("2027-01-15T08:00:00-02:30", "2027-01-15T10:30:00.000000+00:00"),
        ("2028-02-29", "2028-02-29T00:00:00.000000+00:00"),
    ],
)
def test_a_time_is_read(text: str, moment: str) -> None:
    assert read_timestamp(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "1700000000",
        "2027-01",
        "2027-1-5",
        "2027-01-15T08:00:00",
        "2027-01-15T08:00Z",
        "2027-01-15T24:00:01Z",
        "2027-02-29",
        "2027-01-15T08:00:00.Z",
        "2027-01-15T08:00:00+99:00",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "\uff12\uff10\uff12\uff17-01-15",
        "2027-01-15Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|no time"):
        read_timestamp(text)


@pytest.mark.parametrize("text", ["2027-03-01", "2027-03-01 00:00:00.0000000z"])
async def test_it_is_read_wherever_a_time_is(product: Product, text: str) -> None:
    key = await create(product, expires_at=text)
    assert key["expires_at"] == "2027-03-01T00:00:00.000Z"
    for path in ("/v1/logs", "/v1/analytics"):
        answered = await product.call("GET", f"{path}?to={text.replace(' ', '%20')}")
        assert answered.status == 200, answered.text
    body = {"from": "2027-01-01", "to": "2027-01-02"}
    assert (await product.call("POST", "/v1/analytics/rebuild", body)).status == 200
