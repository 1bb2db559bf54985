"""Pages to look at: deliveries and events, fast with millions of rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from notifyguard import database
from notifyguard.decision import OPEN_STATES
from notifyguard.ledger import search
from notifyguard.models import Delivery, Event

COUNTED = 10_000
"""Rows are counted, and can be paged through, so far and no further."""


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """A paginator that never counts a whole table: that takes seconds at ten million rows."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most ``COUNTED``."""
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows[:COUNTED].count()


class LookingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A page on which nothing can be changed."""

    paginator = BoundedPaginator
    show_full_result_count = False
    # Only what an index gives: the newest first.
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the ledger's rows, past routers."""
        return super().get_queryset(request).using(database.alias())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class WaitingFilter(admin.SimpleListFilter):
    """Deliveries that wait for a process or a person: the states that an index finds."""

    title = _("waiting")
    parameter_name = "waiting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in OPEN_STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(wake_at__isnull=False, state=self.value())


@admin.register(Delivery)
class DeliveryAdmin(LookingAdmin):
    """The ledger: who was sent what, when, and what came of it."""

    list_display = ("created_at", "state", "recipient", "type", "rule", "origin", "instance")
    list_filter = (WaitingFilter, "created_at")
    search_fields = ("recipient",)  # the box is shown; what it finds is said below
    search_help_text = _(
        "An address or its beginning, a type or its beginning, or the id of a delivery, "
        "a message or a key."
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find by what has an index; the second value says that no row comes twice."""
        if not search_term.strip():
            return queryset, False
        return queryset.filter(search.matching(search_term)), False


@admin.register(Event)
class EventAdmin(LookingAdmin):
    """What was done to switches and messages, by whom and why."""

    list_display = ("at", "actor", "action", "subject", "before", "after", "count", "reason")
