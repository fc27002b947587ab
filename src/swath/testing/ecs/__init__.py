"""ECS and Fargate on loopback, running tasks as processes; see `FakeEcs`."""

from swath.testing.ecs.fake import FakeEcs

__all__ = ["FakeEcs"]
