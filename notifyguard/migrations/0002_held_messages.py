from django.db import migrations


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
    ]
