"""AWS Batch on loopback that runs its jobs as processes; see `FakeBatch`."""

from swath.testing.batch.fake import FakeBatch

__all__ = ["FakeBatch"]
