"""Recipients that were refused leave a frozen message, and its To and Cc say so."""

from __future__ import annotations

from django.core.mail import EmailMessage

from notifyguard.channels.freezing import freeze, thaw


def narrowed(recipients, **fields):
    return thaw(freeze(EmailMessage("s", "b", "from@example.com", **fields), recipients=recipients))


def test_refused_recipients_leave_to_cc_and_bcc():
    message = narrowed(
        ["a@example.com", "d@example.com"],
        to=["A <a@example.com>", "b@example.com"],
        cc=["c@example.com"],
        bcc=["d@example.com", "e@example.com"],
    )
    assert (message.to, message.cc, message.bcc) == (["A <a@example.com>"], [], ["d@example.com"])
    assert message.message()["To"] == "A <a@example.com>"
    assert "Cc" not in message.message()


def test_without_recipients_all_stay():
    assert narrowed(None, to=["a@example.com"]).to == ["a@example.com"]


def test_domains_match_without_case_and_in_ascii_but_local_parts_as_they_stand():
    message = narrowed(
        ["a@EXAMPLE.com", "b@xn--bcher-kva.example"],
        to=["a@example.COM", "A@example.com", "b@Bücher.example"],
    )
    assert message.to == ["a@example.COM", "b@Bücher.example"]


def test_headers_that_replace_to_and_cc_lose_the_refused_only():
    headers = {"To": "Staff <staff@example.com>, b@example.com", "Cc": "b@example.com", "X": "b"}
    message = narrowed(["a@example.com"], to=["a@example.com", "b@example.com"], headers=headers)
    assert message.extra_headers["To"] == "Staff <staff@example.com>"
    assert "Cc" not in message.extra_headers
    assert message.extra_headers["X"] == "b"


def test_header_without_a_refused_address_is_left_as_it_was_written():
    headers = {"To": "undisclosed-recipients:;"}
    message = narrowed(["a@example.com"], to=["a@example.com", "b@example.com"], headers=headers)
    assert message.extra_headers["To"] == "undisclosed-recipients:;"


def test_address_with_an_impossible_domain_is_still_an_entry_of_the_list():
    impossible = f"a@{'ü' * 80}.example"
    assert narrowed([impossible], to=[impossible, "b@example.com"]).to == [impossible]
