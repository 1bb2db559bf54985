from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0001_initial")]

    operations = [
        migrations.AddField(
            "ticket", "complexity", models.PositiveSmallIntegerField(blank=True, null=True)
        )
    ]
