"""What all pages here have in common: their addresses, who may see them, how a deed is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from notifyguard import conf
from notifyguard.exceptions import NotAllowed

SUCCESS = messages.SUCCESS
View = Callable[..., HttpResponse]


class Pages(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages of our own in the place of Django's list and form.

    They translate: what is asked for into a call, what it returns into a page. Rights and
    reasons are asked for below, by what is called; here is only looked after who may look.
    """

    # Route and name of the method that serves it; "changelist" is where the index leads.
    routes: ClassVar[tuple[tuple[str, str], ...]] = ()

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of the pages, in the place of Django's."""
        return [
            path(route, self._view(getattr(self, name)), name=f"{self._prefix}_{name}")
            for route, name in self.routes
        ]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def page(
        self, request: HttpRequest, template: str, title: str, **context: Any
    ) -> TemplateResponse:
        """Return a page with what every page shows."""
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/notifyguard/{template}.html",
            {
                **self.admin_site.each_context(request),
                "title": title,
                "opts": self.opts,
                **context,
            },
        )

    def done(self, request: HttpRequest, deed: Callable[[], str], level: int = SUCCESS) -> bool:
        """Do something and say what came of it, or why it was refused; tell whether it was done.

        Args:
            request: of the user who is told.
            deed: does it, and returns what to say.
            level: of what is said.
        """
        try:
            messages.add_message(request, level, deed())
        except NotAllowed as refusal:
            messages.error(request, f"{refusal} Nothing was changed.")
            return False
        return True

    def to(self, name: str, *args: Any, query: str = "") -> HttpResponseRedirect:
        """Return the way to another page of this kind, after something was done."""
        address = reverse(f"{self.admin_site.name}:{self._prefix}_{name}", args=args)
        return HttpResponseRedirect(f"{address}?{query}" if query else address)

    @property
    def _prefix(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def _view(self, view: View) -> View:
        def looked_after(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not self.has_view_permission(request):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        # What is done here commits by itself, each deed in a short transaction that is tried
        # again when it lost a race; a project's ATOMIC_REQUESTS would hold its locks for long.
        # By its name alone: this runs when the project's URLs are loaded, and a slip in a
        # setting is told by a system check and must not take the whole site down.
        by_itself = transaction.non_atomic_requests(using=conf.current().database)(looked_after)
        return self.admin_site.admin_view(by_itself)
