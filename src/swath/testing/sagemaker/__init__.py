"""SageMaker Pipelines on loopback, running jobs as processes; see `FakeSageMaker`."""

from swath.testing.sagemaker.fake import FakeSageMaker

__all__ = ["FakeSageMaker"]
