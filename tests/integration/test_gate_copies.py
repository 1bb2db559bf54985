"""The copy that is handed over in place of the caller's object: who gets it, what comes back."""

from __future__ import annotations

import copy
import pickle

import pytest
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

import notifyguard
from notifyguard import sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.channels import email, passes
from notifyguard.channels.freezing import freeze, thaw
from notifyguard.decision import Sending
from tests.mailbox import letter, outcomes, rows, use_backend
from tests.operators import release

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB, CAT, BOOKS = (f"{name}@example.com" for name in ("ann", "bob", "cat", "books"))


class WithBooks(EmailMessage):
    """A message of the project that always goes to the bookkeeper, too."""

    def recipients(self):
        return [*super().recipients(), BOOKS]


class Reporting(BaseEmailBackend):
    """Reports as real backends do: by attributes and headers, and it tidies up the recipients."""

    def send_messages(self, email_messages):
        for message in email_messages:
            message.anymail_status = "queued"
            message.message_id = "<1@provider>"
            message.extra_headers["X-Sent-By"] = "provider"
            message.to = [address.lower() for address in message.to]
        return len(email_messages)


def with_books(*to, key="1", **more):
    message = WithBooks("Invoice", "Pay.", "a@example.com", list(to), **more)
    notifyguard.identify(message, "ticket.modified", key=key)
    return message


def test_a_class_with_recipients_of_its_own_does_not_reach_who_was_refused(mailbox):
    letter(BOOKS, key="1", subject="Invoice", body="Pay.", from_email="a@example.com").send()
    message = with_books(ANN)
    assert message.send() == 1
    assert outcomes(message) == {ANN: "sent", BOOKS: "duplicate"}
    assert mailbox.recipients() == [ANN, BOOKS]


def test_nor_does_it_leave_out_whom_only_the_class_names(mailbox):
    letter(ANN, key="1", subject="Invoice", body="Pay.", from_email="a@example.com").send()
    with_books(ANN).send()
    assert mailbox.recipients() == [ANN, BOOKS]
    assert mailbox.accepted()[-1]["to"] == [BOOKS]


def test_a_smaller_copy_goes_through_pickle_deepcopy_and_can_be_smaller_still(mailbox):
    smaller = email.reduced(with_books(ANN, BOB), [ANN, BOB])
    assert pickle.loads(pickle.dumps(smaller)).recipients() == [ANN, BOB]
    assert copy.deepcopy(smaller).recipients() == [ANN, BOB]
    assert email.reduced(smaller, [BOB]).recipients() == [BOB]


def test_a_smaller_copy_that_comes_out_of_a_queue_can_be_held(mailbox):
    smaller = pickle.loads(pickle.dumps(email.reduced(with_books(ANN, BOB), [ANN])))
    assert "recipients" not in vars(thaw(freeze(smaller)))


def test_what_was_held_of_such_a_message_is_released_to_those_it_was_held_for(mailbox):
    letter(ANN, key="1", subject="Invoice", body="Pay.", from_email="a@example.com").send()
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="test", actor=unrestricted("me"))
    with_books(ANN).send()
    assert [row.recipient for row in rows(state="held")] == [BOOKS]
    switchboard.clear_switch("ticket.*", reason="test", actor=unrestricted("me"))
    ids = [row.id for row in rows(state="held")]
    release(*ids)
    sweeper.sweep()
    assert mailbox.accepted()[-1]["to"] == [BOOKS]


def test_a_header_that_stands_for_to_names_only_those_who_get_it(mailbox, settings):
    from django.core import mail

    letter(BOB, key="1", subject="Hi").send()
    use_backend(settings, "django.core.mail.backends.locmem.EmailBackend")
    mail.outbox = []
    message = letter(ANN, BOB, key="1", subject="Hi", headers={"To": f"{ANN}, {BOB}"})
    message.send()
    assert BOB not in str(mail.outbox[0].message())
    assert message.extra_headers == {"To": f"{ANN}, {BOB}"}


def test_what_a_backend_writes_arrives_and_the_recipients_stay_the_callers(mailbox, settings):
    letter(BOB, key="1", subject="Hi").send()
    use_backend(settings, f"{__name__}.Reporting")
    message = letter("Ann@Example.com", BOB, key="1", subject="Hi", cc=[CAT], bcc=[BOOKS])
    assert message.send() == 1
    assert outcomes(message)[BOB] == "duplicate"
    assert (message.to, message.cc, message.bcc) == (["Ann@Example.com", BOB], [CAT], [BOOKS])
    assert (message.anymail_status, message.message_id) == ("queued", "<1@provider>")
    assert message.extra_headers == {"X-Sent-By": "provider"}
    assert not passes.claims_pass(message)


def test_on_a_whole_message_all_that_a_backend_writes_arrives(mailbox, settings):
    use_backend(settings, f"{__name__}.Reporting")
    message = letter("Ann@Example.com")
    message.send()
    assert message.to == ["ann@example.com"]
    assert message.extra_headers == {"X-Sent-By": "provider"}
