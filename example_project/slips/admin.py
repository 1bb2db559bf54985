from django.contrib import admin

from example_project.slips.models import Slip


@admin.register(Slip)
class SlipAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic only in the stubs
    list_display = ("email", "sent")
    list_filter = ("sent",)
