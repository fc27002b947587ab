"""FakeSageMaker against a real client: order, failures, retries, and what a definition may be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from swath.testing import FakeSageMaker

ROLE = "arn:aws:iam::123456789012:role/sagemaker"


@pytest.fixture
def sagemaker() -> Iterator[FakeSageMaker]:
    with FakeSageMaker(second_s=0.005) as fake:
        yield fake


@pytest.fixture
def client(sagemaker: FakeSageMaker, client_of: Callable[..., Any]) -> Any:
    return client_of(sagemaker)


def one_line(code: str) -> str:
    """Return code that says the same without a line break, which no argument may have."""
    return f"exec({code!r})" if "\n" in code else code


def processing(
    name: str, code: str = "pass", *, after: tuple[str, ...] = (), n: int = 1, **more: Any
) -> dict[str, Any]:
    """Return a processing step that runs Python code."""
    arguments = {
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": n,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 10,
            }
        },
        "AppSpecification": {
            "ImageUri": "swath",
            "ContainerEntrypoint": ["python", "-c"],
            "ContainerArguments": [one_line(code)],
        },
        "RoleArn": ROLE,
    }
    step = {"Name": name, "Type": "Processing", "DependsOn": list(after)}
    policies = more.pop("RetryPolicies", None)
    if policies is not None:
        step["RetryPolicies"] = policies
    return {**step, "Arguments": arguments | more}


def training(name: str, code: str = "pass", *, spot: bool = False, **more: Any) -> dict[str, Any]:
    """Return a training step that runs Python code."""
    arguments: dict[str, Any] = {
        "AlgorithmSpecification": {
            "TrainingImage": "swath",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-c"],
            "ContainerArguments": [one_line(code)],
        },
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.g5.xlarge",
            "VolumeSizeInGB": 10,
        },
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "RoleArn": ROLE,
    }
    if spot:
        arguments["EnableManagedSpotTraining"] = True
        arguments["StoppingCondition"]["MaxWaitTimeInSeconds"] = 7200
    return {"Name": name, "Type": "Training", "Arguments": arguments | more}


def definition(*steps: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Version": "2020-12-01", "Steps": list(steps), **more})


@pytest.fixture
def start(client: Any) -> Callable[..., str]:
    """Return a function that creates a pipeline of steps and starts it; returns the ARN."""

    def call(*steps: dict[str, Any], name: str = "pipeline", **request: Any) -> str:
        client.create_pipeline(
            PipelineName=name, PipelineDefinition=definition(*steps), RoleArn=ROLE
        )
        answer = client.start_pipeline_execution(PipelineName=name, **request)
        return str(answer["PipelineExecutionArn"])

    return call


def test_steps_run_in_the_order_of_their_dependencies(
    sagemaker: FakeSageMaker, client: Any, start: Any, tmp_path: Path
) -> None:
    write = f"import time; time.sleep(.1); open(r'{tmp_path}/%s', 'w')"
    read = f"import os; print(sorted(os.listdir(r'{tmp_path}')))"
    execution = start(
        processing("last", read, after=("left", "right")),
        processing("left", write % "left", after=("first",)),
        processing("right", write % "right", after=("first",)),
        processing("first", write % "first"),
    )
    assert sagemaker.wait_for(execution) == "Succeeded"
    assert sagemaker.log(execution, "last") == "['first', 'left', 'right']\n"
    told = client.describe_pipeline_execution(PipelineExecutionArn=execution)
    assert told["PipelineExecutionStatus"] == "Succeeded"
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=execution)
    names = [step["StepName"] for step in steps["PipelineExecutionSteps"]]
    assert (names[0], names[-1]) == ("first", "last")
    arn = steps["PipelineExecutionSteps"][0]["Metadata"]["ProcessingJob"]["Arn"]
    job = client.describe_processing_job(ProcessingJobName=arn.rpartition("/")[2])
    assert (job["ProcessingJobStatus"], job["RoleArn"]) == ("Completed", ROLE)


def test_dependants_of_a_failed_step_are_not_started_and_others_go_on(
    sagemaker: FakeSageMaker, client: Any, start: Any
) -> None:
    execution = start(
        processing("bad", "raise SystemExit(3)"),
        processing("never", after=("bad",)),
        processing("other", "import time; time.sleep(.2)"),
        processing("more", after=("other",)),
    )
    assert sagemaker.wait_for(execution) == "Failed"
    answer = client.list_pipeline_execution_steps(PipelineExecutionArn=execution)
    steps = {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}
    assert {name: step["StepStatus"] for name, step in steps.items()} == {
        "bad": "Failed",
        "other": "Succeeded",
        "more": "Succeeded",
    }
    assert steps["bad"]["FailureReason"].endswith("exit code: 3")


def test_failure_reason_is_what_the_container_left(sagemaker: FakeSageMaker, start: Any) -> None:
    code = (
        "import os; open(os.environ['SWATH_OPT_ML'] + '/output/failure', 'w').write('no data')\n"
        "raise SystemExit(1)"
    )
    execution = start(training("train", code))
    sagemaker.wait_for(execution)
    assert "no data" in sagemaker.step(execution, "train")["FailureReason"]


def test_each_instance_finds_its_own_resource_configuration(
    sagemaker: FakeSageMaker, start: Any
) -> None:
    code = (
        "import json, os; root = os.environ['SWATH_OPT_ML']\n"
        "c = json.load(open(root + '/config/resourceconfig.json'))\n"
        "print(c['hosts'].index(c['current_host']), len(c['hosts']))"
    )
    execution = start(processing("many", code, n=3))
    assert sagemaker.wait_for(execution) == "Succeeded"
    said = [sagemaker.log(execution, "many", instance=index) for index in range(3)]
    assert said == ["0 3\n", "1 3\n", "2 3\n"]


def test_one_failing_instance_fails_the_job_and_ends_the_others(
    sagemaker: FakeSageMaker, start: Any
) -> None:
    code = (
        "import json, os, time; root = os.environ['SWATH_OPT_ML']\n"
        "c = json.load(open(root + '/config/resourceconfig.json'))\n"
        "if c['current_host'] == 'algo-2': raise SystemExit(5)\n"
        "time.sleep(60)"
    )
    execution = start(processing("many", code, n=3))
    assert sagemaker.wait_for(execution) == "Failed"
    assert sagemaker.step(execution, "many")["FailureReason"].endswith("exit code: 5")


def test_environment_and_parameters_reach_the_container(
    sagemaker: FakeSageMaker, client: Any
) -> None:
    step = processing(
        "show",
        "import os; print(os.environ['PLACE'], os.environ['N'])",
        Environment={
            "PLACE": {
                "Std:Join": {"On": "/", "Values": ["s3:/", {"Get": "Parameters.Bucket"}, "x"]}
            },
            "N": {"Get": "Execution.PipelineName"},
        },
    )
    parameters = [
        {"Name": "Bucket", "Type": "String"},
        {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
    ]
    client.create_pipeline(
        PipelineName="p", PipelineDefinition=definition(step, Parameters=parameters), RoleArn=ROLE
    )
    with pytest.raises(ClientError, match="no value: Bucket"):
        client.start_pipeline_execution(PipelineName="p")
    for wrong in ({"Name": "Other", "Value": "x"}, {"Name": "Count", "Value": "many"}):
        with pytest.raises(ClientError, match=wrong["Name"]):
            client.start_pipeline_execution(PipelineName="p", PipelineParameters=[wrong])
    execution = client.start_pipeline_execution(
        PipelineName="p", PipelineParameters=[{"Name": "Bucket", "Value": "b"}]
    )["PipelineExecutionArn"]
    assert sagemaker.wait_for(execution) == "Succeeded"
    assert sagemaker.log(execution, "show") == "s3://b/x p\n"


def test_parallelism_bounds_the_steps_that_run_at_once(
    sagemaker: FakeSageMaker, client: Any, tmp_path: Path
) -> None:
    code = (
        f"import os, time; os.chdir(r'{tmp_path}'); me = str(os.getpid()); open(me, 'w'); "
        "print(len(os.listdir())); time.sleep(.05); os.unlink(me)"
    )
    steps = [processing(f"step-{index}", code) for index in range(6)]
    client.create_pipeline(
        PipelineName="p",
        PipelineDefinition=definition(*steps),
        RoleArn=ROLE,
        ParallelismConfiguration={"MaxParallelExecutionSteps": 2},
    )
    execution = client.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    assert sagemaker.wait_for(execution) == "Succeeded"
    assert max(int(sagemaker.log(execution, step["Name"])) for step in steps) == 2


def test_stopped_execution_starts_nothing_more(
    sagemaker: FakeSageMaker, client: Any, start: Any
) -> None:
    execution = start(
        processing("running", "import time; time.sleep(60)"),
        processing("later", after=("running",)),
    )
    sagemaker.wait_for_step(execution, "running", {"Executing"})
    client.stop_pipeline_execution(PipelineExecutionArn=execution)
    assert sagemaker.wait_for(execution) == "Stopped"
    assert sagemaker.step(execution, "running")["StepStatus"] == "Stopped"
    assert "StepStatus" not in sagemaker.step(execution, "later")
    with pytest.raises(ClientError, match="ValidationException"):
        client.stop_pipeline_execution(PipelineExecutionArn=execution)


def test_retry_goes_on_where_an_execution_failed(
    sagemaker: FakeSageMaker, client: Any, start: Any, tmp_path: Path
) -> None:
    code = f"open(r'{tmp_path}/%s', 'a').write('x')"
    execution = start(
        processing("good", code % "good"),
        processing("bad", f"import os; raise SystemExit(not os.path.exists(r'{tmp_path}/mended'))"),
        processing("after", code % "after", after=("good", "bad")),
    )
    assert sagemaker.wait_for(execution) == "Failed"
    (tmp_path / "mended").touch()
    client.retry_pipeline_execution(PipelineExecutionArn=execution)
    assert sagemaker.wait_for(execution) == "Succeeded"
    assert (tmp_path / "good").read_text() == "x"
    assert (tmp_path / "after").read_text() == "x"
    with pytest.raises(ClientError, match="can be retried"):
        client.retry_pipeline_execution(PipelineExecutionArn=execution)


def test_same_token_starts_one_execution(sagemaker: FakeSageMaker, client: Any, start: Any) -> None:
    token = "t" * 32
    first = start(processing("a"), ClientRequestToken=token)
    again = client.start_pipeline_execution(PipelineName="pipeline", ClientRequestToken=token)
    assert again["PipelineExecutionArn"] == first
    listed = client.list_pipeline_executions(PipelineName="pipeline")
    assert len(listed["PipelineExecutionSummaries"]) == 1


# ---------------------------------------------------------------- faults and limits of time

POLICY = {"ExceptionType": ["SageMaker.CAPACITY_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 2}


@pytest.mark.parametrize(
    ("n_faults", "policies", "status", "n_attempts"),
    [(2, [POLICY], "Succeeded", 3), (3, [POLICY], "Failed", 3), (1, [], "Failed", 1)],
)
def test_faults_of_the_service_are_retried_as_the_policy_says(
    sagemaker: FakeSageMaker,
    start: Any,
    n_faults: int,
    policies: list[Any],
    status: str,
    n_attempts: int,
) -> None:
    sagemaker.fail_step("a*", n=n_faults)
    execution = start(processing("a1", RetryPolicies=policies))
    assert sagemaker.wait_for(execution) == status
    step = sagemaker.step(execution, "a1")
    assert step["AttemptCount"] == n_attempts
    assert ("CapacityError" in step.get("FailureReason", "")) == (status == "Failed")


def test_throttling_of_a_step_is_retried_without_a_policy(
    sagemaker: FakeSageMaker, start: Any
) -> None:
    sagemaker.fail_step("a", "Step.THROTTLING", n=2)
    execution = start(processing("a"))
    assert sagemaker.wait_for(execution) == "Succeeded"
    assert sagemaker.step(execution, "a")["AttemptCount"] == 3


def test_no_policy_retries_a_command_that_fails(sagemaker: FakeSageMaker, start: Any) -> None:
    policy = POLICY | {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"]}
    execution = start(processing("a", "raise SystemExit(1)", RetryPolicies=[policy]))
    assert sagemaker.wait_for(execution) == "Failed"
    assert sagemaker.step(execution, "a")["AttemptCount"] == 1


def test_job_over_its_time_limit_is_stopped_and_its_step_fails(
    sagemaker: FakeSageMaker, client: Any, start: Any
) -> None:
    execution = start(
        processing(
            "long",
            "import time; time.sleep(60)",
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
    )
    assert sagemaker.wait_for(execution) == "Failed"
    step = sagemaker.step(execution, "long")
    assert step["FailureReason"].endswith("MaxRuntimeExceeded")
    name = step["Metadata"]["ProcessingJob"]["Arn"].rpartition("/")[2]
    assert (
        client.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "Stopped"
    )


def test_interrupted_spot_training_is_started_again_with_its_checkpoints(
    sagemaker: FakeSageMaker, start: Any
) -> None:
    code = (
        "import os, time; p = os.environ['SWATH_OPT_ML'] + '/checkpoints/epoch'\n"
        "if os.path.exists(p): print(open(p).read())\n"
        "else: open(p, 'w').write('3'); print('saved', flush=True); time.sleep(60)"
    )
    execution = start(
        training("train", code, spot=True, CheckpointConfig={"S3Uri": "s3://bucket/checkpoints"})
    )
    sagemaker.wait_for_step(execution, "train", {"Executing"})
    while not sagemaker.log(execution, "train"):
        time.sleep(0.01)
    sagemaker.interrupt(execution, "train")
    assert sagemaker.wait_for(execution) == "Succeeded"
    assert sagemaker.log(execution, "train") == "3\n"
    assert sagemaker.step(execution, "train")["AttemptCount"] == 1


def test_steps_on_too_small_an_instance_run_out_of_memory(
    sagemaker: FakeSageMaker, start: Any
) -> None:
    sagemaker.need_instance("train*", "ml.g5.4xlarge")
    execution = start(training("train"), processing("other"))
    assert sagemaker.wait_for(execution) == "Failed"
    assert sagemaker.step(execution, "train")["FailureReason"].endswith("exit code: 137")
    assert sagemaker.step(execution, "other")["StepStatus"] == "Succeeded"


def test_killed_step_looks_as_if_it_had_run_out_of_memory(
    sagemaker: FakeSageMaker, start: Any
) -> None:
    execution = start(processing("a", "import time; time.sleep(60)"))
    sagemaker.kill(execution, "a")
    sagemaker.wait_for(execution)
    assert "more memory" in sagemaker.step(execution, "a")["FailureReason"]


def test_job_of_a_step_can_be_stopped_by_itself(
    sagemaker: FakeSageMaker, client: Any, start: Any
) -> None:
    execution = start(training("a", "import time; time.sleep(60)"))
    sagemaker.wait_for_step(execution, "a", {"Executing"})
    name = sagemaker.step(execution, "a")["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    client.stop_training_job(TrainingJobName=name)
    assert sagemaker.wait_for_step(execution, "a") == "Stopped"
    assert client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "Stopped"


# ---------------------------------------------------------------- pipelines


def test_pipelines_are_updated_listed_and_deleted(client: Any) -> None:
    for name in ("a1", "a2", "b"):
        client.create_pipeline(
            PipelineName=name, PipelineDefinition=definition(processing("one")), RoleArn=ROLE
        )
    with pytest.raises(ClientError, match="already exists"):
        client.create_pipeline(
            PipelineName="b", PipelineDefinition=definition(processing("one")), RoleArn=ROLE
        )
    client.update_pipeline(PipelineName="b", PipelineDefinition=definition(processing("two")))
    told = client.describe_pipeline(PipelineName="b")["PipelineDefinition"]
    assert json.loads(told)["Steps"][0]["Name"] == "two"
    pages = client.get_paginator("list_pipelines").paginate(
        PipelineNamePrefix="a", SortBy="Name", SortOrder="Ascending", MaxResults=1
    )
    assert [[item["PipelineName"] for item in page["PipelineSummaries"]] for page in pages] == [
        ["a1"],
        ["a2"],
    ]
    client.delete_pipeline(PipelineName="b")
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client.describe_pipeline(PipelineName="b")


def test_steps_come_in_pages(sagemaker: FakeSageMaker, client: Any, start: Any) -> None:
    execution = start(*(processing(f"s{index}") for index in range(5)))
    sagemaker.wait_for(execution)
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=execution, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["PipelineExecutionSteps"]) for page in pages] == [2, 2, 1]


SPECIFICATION = {"ImageUri": "x", "ContainerEntrypoint": ["true"]}
SPOT_WITHOUT_WAIT = training("a", EnableManagedSpotTraining=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Unable to parse"),
        (json.dumps({"Version": "2019-01-01", "Steps": []}), "Version"),
        (definition(), "no steps"),
        (definition(processing("a b")), "no name of a step"),
        (definition(processing("a"), processing("a")), "unique: a"),
        (definition(processing("a", after=("b",))), "depends on b"),
        (definition(processing("a", after=("b",)), processing("b", after=("a",))), "cycle"),
        (definition({"Name": "a", "Type": "Fail"}), "NotImplementedByFake"),
        (definition(processing("a", "x" * 257)), "less than or equal to 256"),
        (
            definition(
                processing(
                    "a", AppSpecification=SPECIFICATION | {"ContainerArguments": ["x"] * 101}
                )
            ),
            "less than or equal to 100",
        ),
        (definition(processing("a", Environment={"A": "x" * 257})), "less than or equal to 256"),
        (definition(processing("a", Environment={"1": "x"})), "regular expression"),
        (definition(processing("a", n=101)), "less than or equal to 100"),
        (definition(processing("a", RoleArn="me")), "RoleArn"),
        (definition(processing("a", ProcessingInputs=[])), "NotImplementedByFake"),
        (definition(processing("a", Colour="red")), "NotImplementedByFake"),
        (definition(processing("a", StoppingCondition={"MaxRuntimeInSeconds": 0})), "MaxRuntime"),
        (definition(SPOT_WITHOUT_WAIT), "MaxWaitTimeInSeconds"),
        (
            definition(
                training(
                    "a",
                    StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
                )
            ),
            "for managed spot",
        ),
        (
            definition(processing("a", RetryPolicies=[POLICY | {"ExpireAfterMin": 5}])),
            "one of MaxAttempts",
        ),
        (definition(processing("a", RetryPolicies=[POLICY | {"MaxAttempts": 21}])), "at most 20"),
        (
            definition(processing("a", RetryPolicies=[{"ExceptionType": ["Bug"]}])),
            "ExceptionType",
        ),
        (
            definition(processing("a", Environment={"A": {"Get": "Parameters.Other"}})),
            "Parameters.Other",
        ),
        (definition(processing("a"), Metadata={"x": "y" * 1_048_576}), "1048576"),
    ],
)
def test_definition_is_refused(client: Any, text: str, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        client.create_pipeline(PipelineName="p", PipelineDefinition=text, RoleArn=ROLE)


def test_quota_of_steps_can_be_set(client_of: Callable[..., Any]) -> None:
    with FakeSageMaker(largest_pipeline=2) as sagemaker:
        steps = [processing(f"s{index}") for index in range(3)]
        with pytest.raises(ClientError, match="ResourceLimitExceeded"):
            client_of(sagemaker).create_pipeline(
                PipelineName="p", PipelineDefinition=definition(*steps), RoleArn=ROLE
            )


def test_no_job_runs_after_the_fake_is_closed(
    client_of: Callable[..., Any], has_ended: Callable[[int], bool]
) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with FakeSageMaker() as sagemaker:
        client = client_of(sagemaker)
        client.create_pipeline(
            PipelineName="p",
            PipelineDefinition=definition(*(processing(f"s{n}", code) for n in range(9))),
            RoleArn=ROLE,
        )
        execution = client.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
        sagemaker.wait_for_step(execution, "s0", {"Executing"})
        while not sagemaker.log(execution, "s0"):
            time.sleep(0.01)
        pid = int(sagemaker.log(execution, "s0"))
    assert has_ended(pid)
