"""Cloud services on loopback that really run what is submitted to them, for tests of runners.

`FakeBatch`, `FakeEcs` and `FakeSageMaker` speak the protocol of AWS, so a client of boto3 needs
nothing but their endpoint. Requests are checked against botocore's model and against the limits
that stand only in AWS's documentation; commands of containers run as processes of this machine, in
the order and under the rules of the service. `FakeLogs` serves what they print, and `AwsFakes`
starts all of them, with the variables that point a client to them.

Every fake is a context manager; on leaving it, whatever it runs is ended. All take the keywords

``programs``
    What runs in place of a program of the image, for example ``{"swath": ["/usr/bin/swath"]}``. By
    default `swath` and `python` are those of this interpreter; others are found on the PATH.
``environment``
    Variables that every container sees beside its own. By default those of this process.
``folder``
    Where containers stand and print, kept; by default a temporary folder.
``second_s``
    How long a second of the service's time limits lasts: with 0.01 a timeout of 60 s takes 0.6 s.

and offer to tests

``endpoint``
    For `endpoint_url` of boto3.
``requests, count(*operations), received(operation)``
    The requests that came, with parameters, time and the code of the error that was answered.
``throttle_next(*operations, n=1), throttle_share(share, *operations, seed=0)``
    Let calls be answered with the throttling error of the service.
``fail_next(*operations, n=1, error=ServiceError(code, message, status))``
    Let calls fail otherwise.
``lose_answers(operation, n=1)``
    Let calls do their work and then drop the connection, as when a client is cut off.
``heal()``
    Forget all these faults.
``wait_for(id, states=..., timeout_s=30)``
    Wait, without polling, until a job is in one of some states.
``log(id)``
    What it printed.

An operation, or a parameter, that a fake does not know is answered with ``NotImplementedByFake``
and never ignored.
"""

from swath.testing.aws import AwsFakes
from swath.testing.batch import FakeBatch
from swath.testing.ecs import FakeEcs
from swath.testing.logs import FakeLogs
from swath.testing.protocol import ServiceError
from swath.testing.sagemaker import FakeSageMaker
from swath.testing.service import FakeService, Request

__all__ = [
    "AwsFakes",
    "FakeBatch",
    "FakeEcs",
    "FakeLogs",
    "FakeSageMaker",
    "FakeService",
    "Request",
    "ServiceError",
]
