from django.contrib import admin

from example_project.newsletter.models import Issue, Mailing, Subscriber

admin.site.register(Issue)
admin.site.register(Subscriber)


@admin.register(Mailing)
class MailingAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic only in the stubs
    list_display = ("issue", "subscriber", "status")
    list_filter = ("status",)
