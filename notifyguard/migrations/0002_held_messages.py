from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifyguard", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="HeldMessage",
            fields=[],
            options={
                "verbose_name": "held message",
                "verbose_name_plural": "held messages",
                "permissions": [("release_held", "Can release and discard held messages")],
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("notifyguard.delivery",),
        ),
        migrations.RemoveIndex(model_name="delivery", name="notifyguard_recipient"),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["recipient", "id"],
                name="notifyguard_recipient",
                opclasses=["varchar_pattern_ops", "uuid_ops"],
            ),
        ),
    ]
