"""Comments, numbered within their topic."""

from django.db import models


class Topic(models.Model):
    name = models.CharField(max_length=100, primary_key=True)
    last = models.PositiveBigIntegerField(default=0)  # the number of its newest comment


class Comment(models.Model):
    topic = models.ForeignKey(Topic, models.CASCADE, related_name="comments")
    number = models.PositiveBigIntegerField()
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "number"], name="one_comment_for_a_number")]
