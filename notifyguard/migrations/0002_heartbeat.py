from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifyguard", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=20)),
                ("name", models.CharField(max_length=200)),
                ("heard_at", models.DateTimeField()),
                ("every", models.PositiveIntegerField(help_text="Seconds between two.")),
                (
                    "ended_at",
                    models.DateTimeField(
                        blank=True, help_text="When it ended because it was told to.", null=True
                    ),
                ),
            ],
            options={
                "verbose_name": "heartbeat",
                "verbose_name_plural": "heartbeats",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("kind", "name"), name="notifyguard_heartbeat_name"
                    )
                ],
            },
        )
    ]
