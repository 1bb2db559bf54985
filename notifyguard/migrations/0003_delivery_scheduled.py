from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifyguard", "0002_heartbeat")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="scheduled",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Its sender said when it is to leave."
            ),
        ),
    ]
