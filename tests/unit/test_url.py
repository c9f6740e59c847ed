"""Addresses that the Worker may call: public ones only, however the others are written."""

import pytest

from edgeneuro.domain.agent import AgentCreate
from edgeneuro.domain.url import require_public_https

PUBLIC = [
    "https://agents.example.com",
    "https://agents.example.com/v1/chat?tenant=7#part",
    "https://Agents.Example.COM:8443/A",
    "https://xn--mnchen-3ya.example/",
    "https://xn--e1afmkfd.xn--p1ai/",
    "https://8.8.8.8/v1",
    "https://[2606:4700:4700::1111]:443/",
    "https://ec2-54-12-3-4.compute-1.amazonaws.com/",
    "https://v1-300-0-0.api.example.com/",
    "https://a.example/?next=http://10.0.0.1/&user=a@b.example",
]
PRIVATE = [
    # IPv4 as it is written
    "https://127.0.0.1/",
    "https://10.0.0.8/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://0.0.0.0/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    # and as it can be written
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://127.1/",
    "https://127.0.1/",
    "https://0/",
    "https://127.0.0.1./",
    "https://8.8.8.8./",
    "https://1.2.3.4.5/",
    "https://127.0.0.0x1/",
    "https://agents.example.0x7f/",
    # IPv6
    "https://[::]/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[2606:4700:4700::1111%25lo]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[64:ff9b::a00:1]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:808:808::]/",
    "https://[2001:db8::1]/",
    "https://[v1.a]/",
    "https://[]/",
    "https://[::1/",
    "https://::1/",
    # names of insiders
    "https://localhost/",
    "https://LocalHost/",
    "https://localhost./",
    "https://a.localhost/",
    "https://localhost.localdomain/",
    "https://printer.local/",
    "https://Metadata.Google.Internal/computeMetadata/v1/",
    "https://metadata.google.internal./",
    "https://metadata.goog/",
    "https://instance-data/",
    "https://db.corp/",
    "https://router.home.arpa/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://intranet/",
    # names that hold an address
    "https://127.0.0.1.nip.io/",
    "https://app.10.0.0.1.nip.io/",
    "https://7f000001.nip.io/",
    "https://192-168-1-1.sslip.io/",
    "https://--1.sslip.io/",
    "https://127.0.0.1.example.com/",
    "https://ip-10-0-0-1.example.com/",
    "https://8.169.254.169.254.example.com/",
    "https://localtest.me/",
    "https://a.lvh.me/",
    # what a parser of addresses makes of other letters
    "https://①②⑦.0.0.1/",
    "https://127。0。0。1/",
    "https://127\uff0e0\uff0e0\uff0e1/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://ⓛocalhost.example/",
    "https://loc\u00adalhost/",
    "https://exa\u200bmple.com/",
    "https://examp\u2044le.com/",
    "https://münchen.example/",
    "https://localhost%2ecom/",
    "https://%6cocalhost/",
    "https://127%2e0%2e0%2e1/",
    "https://agents.example%00.com/",
    # characters that a URL parser ignores
    "https://127.0.\t0.1/",
    "https://127.0.0.1\n/",
    "https://agents.example.com/\n",
    "https://agents.example.com/a b",
    " https://agents.example.com/",
    "https://a.example\\@10.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https://a.example\\.b.example/",
    # hosts within hosts
    "https://agents.example.com@10.0.0.1/",
    "https://user@agents.example.com/",
    "https://user:word@agents.example.com/",
    "https://:@agents.example.com/",
    "https://@agents.example.com/",
    "https://agents.example.com:443@10.0.0.1/",
    # no host, no name, no port
    "https://",
    "https:///agents.example.com/",
    "https:agents.example.com/",
    "https:/agents.example.com/",
    "https://?a.example",
    "https://#a.example",
    "https://.example.com/",
    "https://agents..example.com/",
    "https://agents.example.com./",
    "https://-a.example.com/",
    "https://a_b.example.com/",
    "https://a*.example.com/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example/",
    "https://agents.example.com:/",
    "https://agents.example.com:0/",
    "https://agents.example.com:65536/",
    "https://agents.example.com:4٤3/",
    "https://agents.example.com:44 3/",
    "https://agents.example.com:0x50/",
    "https://agents.example.com:443:80/",
    # not https
    "http://agents.example.com/",
    "HTTPS://agents.example.com/",
    "ftp://agents.example.com/",
    "javascript:alert(1)",
    "//agents.example.com/",
    "agents.example.com",
    "",
]


@pytest.mark.parametrize("url", PUBLIC)
def test_a_public_address_is_taken_as_it_is(url: str) -> None:
    assert require_public_https(url) == url
    body = {"id": "a", "name": "A", "description": "d", "endpoint": url}
    assert AgentCreate.model_validate(body).endpoint == url


@pytest.mark.parametrize("url", PRIVATE, ids=ascii)
def test_any_other_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|is not an address"):
        require_public_https(url)
    with pytest.raises(ValueError, match="endpoint"):
        AgentCreate.model_validate(
            {"id": "a", "name": "A", "description": "d", "endpoint": url}, strict=True
        )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:hunter2@agents.example.com/", "use a secret"),
        ("https://münchen.example/", "xn--"),
        ("http://agents.example.com/", "https://"),
        ("https://10.0.0.1/", "public host"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_not_the_address(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        require_public_https(url)
    assert url.partition("//")[2].strip("/") not in str(raised.value)
