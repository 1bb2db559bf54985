from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import migrations
from django.db.models import F

AT_ONCE = 1000


def tell_what_was_scheduled(apps: Any, schema_editor: Any) -> None:
    """Write down of what waits that it was scheduled, which was told by its times until now.

    What was released is left out: who released it has had it due then. Found by what wakes
    rows, which nearly none do, so that no lock is on the others; the range has two ends as
    those of ``ledger.rows``, and for the same reason.
    """
    deliveries = apps.get_model("notifyguard", "Delivery").objects.using(
        schema_editor.connection.alias
    )
    zone = UTC if settings.USE_TZ else None
    ever = datetime(1971, 1, 1, tzinfo=zone), datetime(9999, 1, 1, tzinfo=zone)
    waiting = deliveries.filter(wake_at__range=ever)
    planned = waiting.filter(due_at__gt=F("created_at")).exclude(rule="released")
    found = list(planned.values_list("pk", flat=True))
    for start in range(0, len(found), AT_ONCE):
        deliveries.filter(pk__in=found[start : start + AT_ONCE]).update(scheduled=True)


class Migration(migrations.Migration):
    # Apart from the new column, and with a commit for each portion: nobody waits for all of it.
    atomic = False
    dependencies = [("notifyguard", "0003_delivery_scheduled")]

    operations = [
        migrations.RunPython(tell_what_was_scheduled, migrations.RunPython.noop, elidable=True)
    ]
