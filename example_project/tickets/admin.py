from django.contrib import admin

from example_project.tickets.models import Ticket


@admin.register(Ticket)
class TicketAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic only in the stubs
    list_display = ("title", "status", "owner", "version", "complexity")
    list_filter = ("status", "complexity")
    search_fields = ("title",)
    raw_id_fields = ("owner", "watchers")
