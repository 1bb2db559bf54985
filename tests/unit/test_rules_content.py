"""The rules on what a message says: what they stop, and what they must let pass."""

from __future__ import annotations

import time
from email.message import MIMEPart
from email.mime.text import MIMEText
from typing import Any

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import lazy

from notifyguard.channels.content import Content
from notifyguard.channels.email import describe
from notifyguard.conf import read
from notifyguard.decision import Decision
from notifyguard.rules import Candidate, decide
from notifyguard.switchboard import NO_LEDGER
from tests.compat.corpus import CORPUS


def judged(message: Any, **settings: Any) -> Decision | None:
    dispatch = describe(message, object())
    return decide(Candidate(dispatch, "ann@example.com", read(settings), NO_LEDGER))


def rule_of(message: Any, **settings: Any) -> str | None:
    decision = judged(message, **settings)
    return decision.rule if decision else None


def mail(subject: Any = "", body: Any = "", **more: Any) -> EmailMessage:
    return EmailMessage(subject, body, to=["ann@example.com"], **more)


def html(content: str, subject: str = "", body: str = "") -> EmailMultiAlternatives:
    message = EmailMultiAlternatives(subject, body, to=["ann@example.com"])
    message.attach_alternative(content, "text/html")
    return message


# Blank


NOTHING = [
    "",
    " \r\n\t\n",
    "\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{WORD JOINER}",
    "\N{SOFT HYPHEN}\N{BRAILLE PATTERN BLANK}",
]
NOTHING_IN_HTML = [
    "",
    "<html><head><title>News</title><style>p{color:red}</style></head><body></body></html>",
    "<p>&nbsp;</p><br><script>document.write('hello')</script>",
    '<p></p><img src="https://esp.example/open.gif" width="1" height="1">',
    '<img width="0px" height="1px"><!-- <p>text</p> -->',
    "<template><p>hidden</p></template>",
]
SOMETHING_IN_HTML = [
    "<p>x</p>",
    "&#65;",
    '<img src="poster.png" alt="">',
    '<img src="poster.png" width="600" height="1">',
    "<pre>x</pre>",
    "<p" + " " * 100_000 + ">text far below",
    "a < b",
    "<svg></svg>",
]


@pytest.mark.parametrize("nothing", NOTHING)
def test_a_message_that_says_nothing_is_held(nothing):
    decision = judged(mail(nothing, nothing))
    assert decision is not None
    assert (decision.rule, decision.state) == ("blank", "held")


@pytest.mark.parametrize("nothing", NOTHING_IN_HTML)
def test_html_that_renders_to_nothing_is_blank(nothing):
    assert rule_of(html(nothing)) == "blank"
    alone = mail(body=nothing)
    alone.content_subtype = "html"
    assert rule_of(alone) == "blank"


@pytest.mark.parametrize("something", SOMETHING_IN_HTML)
def test_html_that_shows_anything_is_not_blank(something):
    assert rule_of(html(something)) is None


def test_a_body_that_is_blank_under_a_subject_is_reported_and_may_be_held():
    decision = judged(mail("Backup is done"))
    assert decision is not None
    assert (decision.rule, decision.sending) == ("empty_body", "open")
    strict = {"*": {"rules": {"empty_body": "hold"}}}
    decision = judged(mail("Newsletter"), TYPES=strict)
    assert decision is not None
    assert decision.sending == "hold"
    assert judged(mail("Newsletter", "News"), TYPES=strict) is None


def test_a_message_without_subject_passes():
    assert rule_of(mail(body="Ticket 17 is yours.")) is None


def test_attachments_alone_are_a_message():
    message = mail()
    message.attach("invoice.pdf", b"%PDF", "application/pdf")
    assert rule_of(message) is None


@pytest.mark.parametrize("mimetype", ["text/calendar", "text/x-amp-html"])
def test_an_alternative_that_is_no_html_is_a_body(mimetype):
    message = EmailMultiAlternatives(to=["ann@example.com"])
    message.attach_alternative("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", mimetype)
    assert rule_of(message) is None


def test_an_alternative_may_be_bytes():
    message = EmailMultiAlternatives(to=["ann@example.com"])
    message.attach_alternative(b"BEGIN:VCALENDAR", "text/calendar")
    assert rule_of(message) is None
    message = EmailMultiAlternatives(to=["ann@example.com"])
    message.attach_alternative(b"<p></p>", "text/html")
    assert rule_of(message) == "blank"


@pytest.mark.parametrize(
    "attributes",
    [
        {"template_id": "welcome"},
        {"template_id": 17},
        {"merge_global_data": {"name": "Ann"}},
        {"merge_data": {"ann@example.com": {"name": "Ann"}}},
        {"esp_extra": {"template_uuid": "f00"}},
    ],
)
def test_what_the_provider_renders_is_not_blank(attributes):
    message = mail()
    vars(message).update(attributes)
    assert rule_of(message) is None


def test_a_class_that_builds_its_message_itself_is_not_judged_by_its_parts():
    class Encrypted(EmailMessage):
        def message(self, **options: Any) -> Any:
            return MIMEText("-----BEGIN PGP MESSAGE-----")

    assert rule_of(Encrypted(to=["ann@example.com"])) is None


def test_text_that_cannot_be_read_is_for_django_to_complain_about():
    def fails() -> str:
        raise RuntimeError("no such translation")

    assert rule_of(mail(lazy(fails, str)(), "Text")) is None
    assert rule_of(mail(lazy(fails, str)(), "")) == "empty_body"


# Visible recipients


def people(count: int, first: int = 0) -> list[str]:
    return [f"user{number}@example.com" for number in range(first, first + count)]


@pytest.mark.parametrize(
    ("to", "cc", "bcc", "held"),
    [
        (50, 0, 0, False),
        (51, 0, 0, True),
        (25, 25, 0, False),
        (25, 26, 0, True),
        (0, 51, 0, True),
        (1, 0, 5_000, False),
    ],
)
def test_more_than_fifty_visible_recipients_are_held(to, cc, bcc, held):
    everybody = people(to + cc + bcc)
    message = EmailMessage("News", "Text")
    message.to, message.cc, message.bcc = (
        everybody[:to],
        everybody[to : to + cc],
        everybody[to + cc :],
    )
    assert rule_of(message) == ("visible_recipients" if held else None)


def test_one_address_written_often_is_one():
    message = EmailMessage("News", "Text", to=["ann@example.com", "ANN@example.com"] * 60)
    assert Content(message).visible_recipients == 1


def test_a_comma_in_a_name_is_not_another_recipient():
    to = [f'"Doe, Ann {number}" <ann{number}@example.com>' for number in range(40)]
    assert Content(EmailMessage("News", "Text", to=to)).visible_recipients == 40
    assert Content(EmailMessage("News", "Text", to=["a@b.com, c@b.com"])).visible_recipients == 2


def test_a_header_of_its_own_is_what_recipients_read():
    message = EmailMessage("News", "Text", to=people(500), headers={"To": "list@example.com"})
    assert rule_of(message) is None
    message = EmailMessage("News", "Text", headers={"to": ", ".join(people(51))}, bcc=people(1))
    assert rule_of(message) == "visible_recipients"


@pytest.mark.parametrize("name", ["merge_data", "merge_metadata", "merge_headers"])
def test_what_the_provider_sends_one_by_one_shows_nobody_to_anybody(name):
    message = EmailMessage("News", "Text", to=people(1_000))
    setattr(message, name, {})
    assert rule_of(message) is None


# Unrendered


LEFTOVERS = [
    "Dear {{ user.first_name }},",
    "Dear {{name}},",
    '{{ count|default:"0" }} tickets',
    "{% if user %}Hello{% endif %}",
    "{%- for ticket in tickets -%}",
    "{% load i18n %}",
    "Dear %(name)s,",
    "It costs %(price).2f",
]
NO_LEFTOVERS = [
    "int a[2][2] = {{1, 2}, {3, 4}};",
    "100 % (of all) seen",
    "\\newcommand{\\x}{{\\bf x}}",
    "{{}} and {% %} and %()s",
    "a {{ that was never closed\n}}",
    "Write `{{ name }}` in your template.",
    "```\n{% if user %}\n{% endif %}\n```",
    "> Dear {{ name }},\nwhat is this?",
    "50%(s) of them",
    "https://example.com/%7B%7Bname%7D%7D",
]


@pytest.mark.parametrize("text", LEFTOVERS)
@pytest.mark.parametrize("place", ["subject", "body", "html"])
def test_a_placeholder_is_reported_and_leaves(text, place):
    message = {
        "subject": lambda: mail(text, "Text"),
        "body": lambda: mail("Subject", f"Hello\n{text}\nBye"),
        "html": lambda: html(f"<p>Hello</p><p>{text}</p>", "Subject", "Text"),
    }[place]()
    decision = judged(message)
    assert decision is not None
    assert (decision.rule, decision.sending) == ("unrendered", "open")
    assert ("the subject" if place == "subject" else "the body") in decision.reason


@pytest.mark.parametrize("text", NO_LEFTOVERS)
def test_what_only_looks_like_a_placeholder_is_not_reported(text):
    assert rule_of(mail("Subject", text)) is None


@pytest.mark.parametrize("tag", ["pre", "code", "script", "style"])
def test_samples_of_code_in_html_are_not_reported(tag):
    sample = f"<p>Use</p><{tag}>Dear {{{{ name }}}}, %(x)s</{tag}><p>so.</p>"
    assert rule_of(html(sample, "Subject", "Text")) is None


def test_placeholders_of_the_provider_are_not_reported():
    message = mail("Hello {{name}}", "Dear {{name}}")
    message.merge_global_data = {"name": "Ann"}
    assert rule_of(message) is None


def test_error_mail_may_quote_the_template_that_failed():
    message = mail("TemplateSyntaxError", "Line 3: {% if %}")
    message._notifyguard_type = "django.admins"
    assert rule_of(message) is None


# All of them


@pytest.mark.parametrize("name", CORPUS)
def test_no_message_of_the_corpus_is_stopped_or_reported(name):
    message = CORPUS[name]()
    message.alternatives = getattr(message, "alternatives", [])
    assert rule_of(message) is None


@pytest.mark.parametrize(
    "message",
    [
        object(),
        type("Duck", (), {"subject": None, "body": None, "recipients": lambda self: []})(),
        EmailMessage(body=None),
        MIMEPart(),
    ],
    ids=["object", "duck", "nothing", "mime"],
)
def test_what_is_only_nearly_a_message_is_not_a_fault(message):
    content = Content(message)
    assert content.visible_recipients == 0
    assert content.leftover == ""
    assert content.subject_is_blank


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ a" * 50_000,
        "{% a" * 50_000,
        "%(a" * 50_000,
        "`" * 100_000 + "{{ a }}",
        "{{ a }}" + "<pre " * 20_000,
        "{{ a }}" + "<" * 100_000,
        "{{ a }}" + "<!--" * 25_000,
        "{{ a }}" + "<a x='" * 16_000,
        "{{ a }}" + "</" * 50_000,
        "{{ a }}" + "<![CDATA[" * 10_000,
        "{{ a }}" + "&" * 100_000,
        "{{ a }}" + "<pre>" * 20_000,
    ],
    ids=lambda text: text[:4] + text[-4:],
)
def test_hostile_text_costs_no_more_than_its_length(hostile):
    message = html(hostile, "", hostile)
    began = time.perf_counter()
    judged(message)
    assert time.perf_counter() - began < 2
