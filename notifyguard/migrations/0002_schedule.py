from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifyguard", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="frozenmessage",
            name="key",
            field=models.UUIDField(
                blank=True, db_column="idempotency_key", db_index=True, null=True
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="retries",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="How often it was queued again to be tried again.",
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="crashes",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="How many processes died that had taken it.",
            ),
        ),
    ]
