"""The text of a kept message: by its own right, on record, and unable to do anything."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import content_disposition_header

from notifyguard import database
from notifyguard.admin.actors import actor_of
from notifyguard.admin.pages import Pages
from notifyguard.channels.readable import Readable
from notifyguard.exceptions import CannotThaw, NotAllowed
from notifyguard.ledger import rows
from notifyguard.ledger.held import bodies
from notifyguard.models import Delivery

# Nothing is loaded, run or sent from within, and it is nobody's but this page's frame. The
# sandbox takes away its origin too, so that it is no page of this site.
HARMLESS = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
FRAMED_BY_US = "frame-src 'self'"
"""A link that is followed within the frame would leave it; this keeps it there."""


class BodyPages(Pages):
    """What a message says; a page, a frame for its HTML, and its attachments."""

    body_routes = (
        ("<uuid:delivery>/text/", "body"),
        ("<uuid:delivery>/html/", "html"),
        ("<uuid:delivery>/attachments/<int:number>/", "attachment"),
    )

    def body(self, request: HttpRequest, delivery: UUID) -> HttpResponse:
        """Show the text, and a frame for the HTML."""
        row = find(delivery)
        try:
            readable = _read(request, row, "text")
        except (NotAllowed, CannotThaw) as refusal:
            messages.error(request, str(refusal))
            return self.to("change", row.id)
        response = self.page(request, "body", "What it says", row=row, readable=readable)
        response["Content-Security-Policy"] = FRAMED_BY_US
        return _untouched(response)

    def html(self, request: HttpRequest, delivery: UUID) -> HttpResponse:
        """Serve the HTML, for the frame alone."""
        try:
            readable = _read(request, find(delivery), "HTML")
        except (NotAllowed, CannotThaw) as refusal:
            return _untouched(HttpResponse(str(refusal), "text/plain; charset=utf-8", 403))
        response = HttpResponse(readable.html)
        response["Content-Security-Policy"] = HARMLESS
        response["X-Frame-Options"] = "SAMEORIGIN"
        response["X-DNS-Prefetch-Control"] = "off"
        return _untouched(response)

    def attachment(self, request: HttpRequest, delivery: UUID, number: int) -> HttpResponse:
        """Serve an attachment, to be saved and never to be shown by the browser."""
        row = find(delivery)
        try:
            readable = _read(request, row, f"attachment {number}")
        except (NotAllowed, CannotThaw) as refusal:
            messages.error(request, str(refusal))
            return self.to("change", row.id)
        if not 1 <= number <= len(readable.attachments):
            raise Http404("There is no such attachment.")
        found = readable.attachments[number - 1]
        # Not by its own type: what is saved is opened by who asked for it, not by the browser.
        response = HttpResponse(found.content, content_type="application/octet-stream")
        saved = content_disposition_header(as_attachment=True, filename=found.name)
        response["Content-Disposition"] = saved or "attachment"
        response["Content-Security-Policy"] = HARMLESS
        return _untouched(response)


def find(delivery: UUID) -> Delivery:
    """Return a delivery, or the page that says that there is none."""
    row = rows.deliveries(database.connection()).filter(id=delivery).first()
    if row is None:
        raise Http404("There is no such delivery; it may have been pruned.")
    return row


def _read(request: HttpRequest, row: Delivery, part: str) -> Readable:
    return Readable(bodies.read(row, part, actor=actor_of(request)))


def _untouched(response: HttpResponse) -> HttpResponse:
    """Have it kept by nobody, told to nobody, and taken for nothing else than it says."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "same-origin"
    response["X-Content-Type-Options"] = "nosniff"
    return response
