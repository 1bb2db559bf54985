"""A digest: one message to each person in the place of several that were held."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import checks
from django.utils import timezone

import notifyguard
from notifyguard import conf, sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.channels import digest as digest_of_held
from notifyguard.decision import Sending
from notifyguard.gate import digests
from notifyguard.ledger import held
from notifyguard.ledger.held import letting_go, pace, releases
from notifyguard.ledger.held.choice import Choice
from notifyguard.models import Claim, FrozenMessage, Release
from tests.mailbox import letter, rows, states
from tests.operators import deed, events, facts, status

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB = "ann@example.com", "bob@example.com"
ME = unrestricted("me")
SUBJECT = "{{ count }} changes\n of your tickets\n"
TEXT = """{% autoescape off %}{% for each in messages %}\
- {{ each.subject }}: {{ each.text }}
{% endfor %}{% endautoescape %}"""


@pytest.fixture
def templates(settings):
    """Templates by name, from memory."""
    found = {"tickets/digest.subject.txt": SUBJECT, "tickets/digest.txt": TEXT}
    loader = ("django.template.loaders.locmem.Loader", found)
    options = {"loaders": [loader]}
    engine = "django.template.backends.django.DjangoTemplates"
    settings.TEMPLATES = [{"BACKEND": engine, "OPTIONS": options}]
    return found


@pytest.fixture
def digest(mailbox, settings, templates):
    """Mail of the type is held, and names a digest."""
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"digest": "tickets/digest"}}}
    switchboard.set_switch("*", Sending.HOLD, reason="test", actor=ME)
    return mailbox


def go_on():
    switchboard.clear_switch("*", reason="test", actor=ME)


def send(to=ANN, subject="A", body="changed", **more):
    letter(to, subject=subject, body=body, **more).send()


def release(*words):
    go_on()
    return deed("release", "--yes", *words)


def test_several_to_one_person_leave_as_one(digest):
    for n in range(3):
        send(subject=f"Ticket <{n}>", key=str(n))
    send(BOB, subject="B")
    assert "3 discarded" in release()
    assert sorted(digest.subjects()) == ["3 changes of your tickets", "B"]
    assert digest.recipients() == [ANN, BOB]
    (sent,) = rows(recipient=ANN, state="sent")
    assert sent.subject == "3 changes of your tickets"
    told = rows(recipient=ANN, state="discarded")
    assert {row.rule for row in told} == {"digest"}
    assert {row.reason for row in told} == {f"The digest, delivery {sent.id}, tells of it."}


def test_it_tells_what_was_held_the_first_first(digest, mail_server):
    for n in range(3):
        send(subject=f"Ticket <{n}>", body=f"text {n}")
    go_on()
    what = held.meant(Choice())
    assert what is not None
    number = releases.begin(what, reason="x", actor=ME).pk
    assert digests.advance(number).let_go == 1
    (row,) = rows(state="queued")
    payload = FrozenMessage.objects.get(dispatch=row.dispatch).payload
    assert "- Ticket <0>: text 0\\n- Ticket <1>: text 1\\n- Ticket <2>: text 2" in payload
    sweeper.sweep()
    assert digest.recipients() == [ANN]


def test_it_leaves_once_and_has_a_key(digest):
    for n in range(2):
        send(subject=str(n))
    release()
    (sent,) = rows(state="sent")
    assert [claim.key for claim in Claim.objects.filter(delivery=sent.id)] == [sent.key]
    sweeper.sweep()
    assert len(digest.accepted()) == 1


def test_what_was_had_back_from_one_is_told_again(digest):
    for n in range(2):
        send(subject=f"Ticket {n}", key=str(n))
    release()
    deed("undo-discard", "--rule", "digest", "--yes")
    assert "2 discarded" in release("--rule", "undone")
    assert digest.subjects() == ["2 changes of your tickets"] * 2


def test_the_keys_of_what_it_tells_stay_taken(digest):
    for n in range(2):
        send(subject=str(n), key=str(n))
    release()
    send(subject="0", key="0")
    assert len(digest.accepted()) == 1


def test_one_alone_leaves_as_it_is(digest):
    send(subject="A")
    release()
    assert digest.subjects() == ["A"]


def test_each_type_has_its_own_and_other_types_have_none(digest):
    for type in ("ticket.a", "ticket.a", "ticket.b", "ticket.b", "invoice", "invoice"):
        send(subject=f"{type} {len(rows())}", type=type)
    release()
    assert len(digest.accepted()) == 4
    assert states(type="ticket.a") == ["discarded", "discarded", "sent"]
    assert states(type="invoice") == ["sent", "sent"]


def test_what_says_the_same_is_told_once(digest):
    for subject in ("A", "A", "B"):
        send(subject=subject)
    release()
    assert digest.subjects() == ["2 changes of your tickets"]
    assert states() == ["discarded"] * 3 + ["sent"]


def test_it_gathers_what_lies_beyond_the_step(digest):
    for n in range(4):
        send(subject=f"a{n}")
        send(BOB, subject=f"b{n}")
    go_on()
    deed("release", "--yes", "--canary", "1")
    assert digest.subjects() == ["4 changes of your tickets"]
    deed("release", "--continue", str(releases.recent()[0].pk))
    assert digest.subjects() == ["4 changes of your tickets"] * 2
    assert digest.recipients() == [ANN, BOB]


def test_sweepers_make_digests_too(digest):
    for n in range(2):
        send(subject=str(n))
    release("--later")
    sweeper.sweep()
    assert digest.subjects() == ["2 changes of your tickets"]


def test_html_is_added_where_there_is_a_template(digest, templates):
    templates["tickets/digest.html"] = "<p>{{ messages.0.subject }}</p>"
    for n in range(2):
        send(subject=f"<{n}>")
    go_on()
    what = held.meant(Choice())
    assert what is not None
    digests.advance(releases.begin(what, reason="x", actor=ME).pk)
    payload = FrozenMessage.objects.get(dispatch=rows(state="queued")[0].dispatch).payload
    assert "<p>&lt;0&gt;</p>" in payload


def test_the_preview_says_how_many(digest):
    for n in range(3):
        send(subject=str(n))
    go_on()
    found = facts("release", "--preview")["findings"]
    assert [(each["name"], each["deliveries"], each["outcome"]) for each in found] == [
        ("digest", 3, "told in digests to people, 1 in all")
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tickets/digest.txt", None, "there is no template tickets/digest.txt"),
        ("tickets/digest.subject.txt", None, "there is no template tickets/digest.subject.txt"),
        ("tickets/digest.txt", "{% bogus %}", "TemplateSyntaxError"),
        ("tickets/digest.txt", "{% include 'gone.txt' %}", "there is no template gone.txt"),
        ("tickets/digest.html", "{% if %}", "TemplateSyntaxError"),
    ],
)
def test_where_it_cannot_be_made_the_release_rests_and_all_stays_held(
    digest, templates, capsys, name, content, said
):
    if content is None:
        del templates[name]
    else:
        templates[name] = content
    for n in range(2):
        send(subject=str(n))
    go_on()
    assert status("release", "--yes", "--reason", "x") == 1
    complaint = capsys.readouterr().err
    assert 'NOTIFYGUARD["TYPES"]["ticket.*"]["digest"] is "tickets/digest"' in complaint
    assert said in complaint
    assert states() == ["held", "held"]
    assert digest.accepted() == []
    assert releases.recent()[0].state == "paused"
    assert events()[-1][0] == "release"


def test_a_reply_to_that_is_none_is_none(digest):
    for n in range(2):
        message = letter(ANN, subject=f"Ticket {n}")
        message.reply_to = None
        message.send()
    assert "2 discarded" in release()
    assert digest.subjects() == ["2 changes of your tickets"]


def test_a_message_that_cannot_be_told_ends_no_sweeper(digest, monkeypatch):
    for n in range(2):
        send(subject=f"Ticket {n}")
    thawed = digest_of_held.thaw

    def incomplete(frozen):
        message = thawed(frozen)
        del message.reply_to
        return message

    monkeypatch.setattr(digest_of_held, "thaw", incomplete)
    release("--later")
    sweeper.sweep()
    (rests,) = Release.objects.all()
    assert (rests.state, states()) == ("paused", ["held", "held"])
    assert "cannot be told in a digest: AttributeError" in rests.note


def test_corrected_it_goes_on(digest, templates):
    templates["tickets/digest.txt"] = "{% bogus %}"
    for n in range(2):
        send(subject=str(n))
    go_on()
    assert status("release", "--yes", "--reason", "x") == 1
    templates["tickets/digest.txt"] = "fine"
    deed("release", "--continue", str(releases.recent()[0].pk))
    assert digest.subjects() == ["2 changes of your tickets"]


def test_what_was_discarded_while_it_was_made_is_not_told(digest, monkeypatch):
    for n in range(3):
        send(subject=str(n))
    go_on()
    made = digests._made
    before: list[str] = []

    def and_somebody_discards(group, release):
        done = made(group, release)
        if not before:
            before.append(deed("discard-held", "--id", str(rows()[0].id), "--yes"))
        return done

    monkeypatch.setattr(digests, "_made", and_somebody_discards)
    deed("release", "--yes")
    assert digest.subjects() == ["2 changes of your tickets"]
    assert rows()[0].rule == "discarded"


def test_what_another_worker_did_meanwhile_is_planned_anew(digest, monkeypatch):
    """A plan for the step before knows nothing of the digest that is due now."""
    monkeypatch.setattr(pace, "PORTION", 1)
    send(subject="invoice", type="invoice")
    for n in range(2):
        send(subject=str(n))
    go_on()
    plan = digests._plan
    others: list[int] = []

    def and_another_advances(release, types):
        made = plan(release, types)
        if not others:
            others.append(letting_go.advance(release.pk).let_go)
        return made

    monkeypatch.setattr(digests, "_plan", and_another_advances)
    deed("release", "--yes")
    assert sorted(digest.subjects()) == ["2 changes of your tickets", "invoice"]


def test_a_stopped_type_is_not_told(digest):
    for type in ("ticket.a", "ticket.a", "invoice"):
        send(subject=f"{type} {len(rows())}", type=type)
    go_on()
    switchboard.set_switch("ticket.a", Sending.HOLD, reason="test", actor=ME)
    deed("release", "--yes")
    assert states(type="ticket.a") == ["held", "held"]
    assert digest.subjects() == ["invoice 2"]


def test_it_waits_as_long_as_the_rate_says(digest):
    for n in range(2):
        send(subject=str(n))
    go_on()
    what = held.meant(Choice())
    assert what is not None
    release = releases.begin(what, reason="x", actor=ME, rate=60)
    release.next_at = timezone.now() + timedelta(minutes=1)
    release.save()
    step = digests.advance(release.pk)
    assert step.wait > timedelta(seconds=50)
    assert states() == ["held", "held"]


@pytest.mark.parametrize("part", [".subject.txt", ".txt"])
def test_a_missing_template_is_a_system_check(settings, templates, part):
    settings.NOTIFYGUARD = {"TYPES": {"ticket.*": {"digest": "tickets/digest"}}}
    del templates[f"tickets/digest{part}"]
    (found,) = [each for each in checks.run_checks() if each.id == "notifyguard.E006"]
    assert found.msg == (
        'NOTIFYGUARD["TYPES"]["ticket.*"]["digest"] is "tickets/digest", but there is no '
        f'template "tickets/digest{part}".'
    )


def test_a_broken_template_is_a_system_check_and_a_good_one_is_none(settings, templates):
    settings.NOTIFYGUARD = {"TYPES": {"ticket.*": {"digest": "tickets/digest"}}}
    assert not [each for each in checks.run_checks() if each.id == "notifyguard.E006"]
    templates["tickets/digest.html"] = "{% bogus %}"
    assert [each for each in checks.run_checks() if each.id == "notifyguard.E006"]


@pytest.mark.parametrize("wrong", ["", " ", 5, ["tickets/digest"], "a\nb"])
def test_a_digest_is_the_name_of_templates(wrong):
    (problem,) = conf.read({"TYPES": {"a": {"digest": wrong}}}).problems
    assert 'such as "tickets/digest"' in problem.fix


def test_what_is_scheduled_for_later_is_told_when_it_is_due(digest):
    go_on()
    for key in range(2):
        message = letter(ANN, subject="", body="")
        later = timezone.now() + timedelta(days=1)
        notifyguard.identify(message, "ticket.modified", key=key, send_at=later)
        message.send()
    deed("release", "--rule", "blank", "--yes", "--keep-repeats")
    sweeper.sweep()
    assert digest.accepted() == []
    assert states() == ["queued", "queued"]
