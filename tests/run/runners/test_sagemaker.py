"""The `sagemaker` runner: definitions by the model and the limits, and runs on a fake SageMaker."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest

from swath.errors import ConfigError, RunError
from swath.plan.command import Resources
from swath.run.events import Event
from swath.run.folder import RunFolder
from swath.run.jobs import Edge, Job
from swath.run.runner import Cause, JobState, Outcome, RunContext, Severity
from swath.run.runners.sagemaker import SageMakerBackend
from swath.run.runners.sagemaker_request import (
    ARGUMENT_CHARACTERS,
    DEFINITION_CHARACTERS,
    definition_of,
    step_name,
)
from swath.run.runners.sagemaker_state import seen_of, unstarted
from swath.run.splits import RunSplit
from swath.run.submit import SubmittedRunner
from swath.settings import Settings, load_settings
from swath.testing import FakeLogs, FakeSageMaker
from swath.testing.conformance import Place, diamond_in, until
from swath.testing.diamond import total
from swath.testing.model import ServiceModel
from swath.testing.sagemaker.definition import parse_definition

ROLE = "arn:aws:iam::123456789012:role/swath-sagemaker"
SETTINGS = (
    f"sagemaker.role={ROLE}",
    "sagemaker.cpu_image=swath-cpu:0.1.0",
    "sagemaker.gpu_image=swath-gpu:0.1.0",
    "aws.poll_s=1",
)


@pytest.fixture(scope="module")
def model() -> ServiceModel:
    return ServiceModel("sagemaker")


def settings_of(*words: str) -> Settings:
    return load_settings((*SETTINGS, *words), environment={}, folder=Path("/nowhere"))


@pytest.fixture
def folder(s3_bucket: str) -> RunFolder:
    return RunFolder(f"s3://{s3_bucket}/root/runs/20260101-000000-abcd")


def job_of(folder: RunFolder, *keys: str, after: Sequence[str] = (), **resources: Any) -> Job:
    edges = tuple(Edge(f"{folder.id}-r0-{name}", is_each=False) for name in after)
    name = f"{folder.id}-r0-{keys[0]}-f00d"
    return Job(name, keys[0].partition("-")[0], keys, edges, Resources(**resources))


def steps_of(folder: RunFolder, *jobs: Job, words: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    definition = json.loads(definition_of(jobs, folder, settings_of(*words)))
    assert definition["Version"] == "2020-12-01"
    return {step["Name"]: step for step in definition["Steps"]}


# ------------------------------------------------------------------ definitions


def test_steps_are_processing_and_training_jobs_with_the_edges_of_the_graph(folder, model):
    jobs = [
        job_of(folder, "chip-1", "chip-2", "chip-3"),
        job_of(folder, "train-1", gpus=1, after=["chip-1-f00d"]),
        job_of(folder, "score-1", after=["chip-1-f00d", "train-1-f00d"]),
    ]
    words = ["aws.tags=project=demo", "store.requester_pays=yes"]
    text = definition_of(jobs, folder, settings_of(*words))
    assert set(parse_definition(text, model).steps) == {
        "chip-1-f00d",
        "train-1-f00d",
        "score-1-f00d",
    }
    steps = steps_of(folder, *jobs, words=words)
    assert [step["Type"] for step in steps.values()] == ["Processing", "Training", "Processing"]
    assert [step["DependsOn"] for step in steps.values()] == [
        [],
        ["chip-1-f00d"],
        ["chip-1-f00d", "train-1-f00d"],
    ]
    chip, train = steps["chip-1-f00d"]["Arguments"], steps["train-1-f00d"]["Arguments"]
    assert chip["ProcessingResources"]["ClusterConfig"] == {
        "InstanceType": "ml.m5.xlarge",
        "InstanceCount": 3,
        "VolumeSizeInGB": 100,
    }
    assert chip["AppSpecification"] == {
        "ImageUri": "swath-cpu:0.1.0",
        "ContainerEntrypoint": ["swath"],
        "ContainerArguments": [
            "run-command",
            "--copy-output",
            "--array-hosts",
            f"{folder.uri}/arrays/{jobs[0].name}.json",
        ],
    }
    assert train["AlgorithmSpecification"]["TrainingImage"] == "swath-gpu:0.1.0"
    assert train["AlgorithmSpecification"]["ContainerArguments"] == [
        "run-command",
        "--copy-output",
        f"{folder.uri}/commands/train-1.json",
    ]
    assert train["ResourceConfig"]["InstanceType"] == "ml.g4dn.xlarge"
    assert chip["RoleArn"] == train["RoleArn"] == ROLE
    assert chip["Environment"] == {"SWATH_STORE_REQUESTER_PAYS": "yes"}
    assert {"Key": "project", "Value": "demo"} in chip["Tags"]
    assert {"Key": "swath-kind", "Value": "train"} in train["Tags"]


def test_spot_instances_are_for_training_jobs_and_can_be_turned_off(folder):
    (spot,) = steps_of(folder, job_of(folder, "train-1", gpus=1, time_limit_s=3600)).values()
    assert spot["Arguments"]["EnableManagedSpotTraining"] is True
    assert spot["Arguments"]["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 3600,
        "MaxWaitTimeInSeconds": 7200,
    }
    job = job_of(folder, "train-1", gpus=1)
    (plain,) = steps_of(folder, job, words=["sagemaker.spot=no"]).values()
    assert plain["Arguments"]["EnableManagedSpotTraining"] is False
    assert plain["Arguments"]["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}


def test_settings_of_a_kind_and_of_the_runner_reach_the_step(folder):
    words = [
        "commands.chip.instance=ml.c5.4xlarge",
        "sagemaker.volume_gib=7",
        "sagemaker.time_limit_s=60",
        "sagemaker.attempts=5",
    ]
    chip, mosaic = steps_of(
        folder, job_of(folder, "chip-1"), job_of(folder, "mosaic-1"), words=words
    ).values()
    cluster = chip["Arguments"]["ProcessingResources"]["ClusterConfig"]
    assert (cluster["InstanceType"], cluster["VolumeSizeInGB"]) == ("ml.c5.4xlarge", 7)
    cluster = mosaic["Arguments"]["ProcessingResources"]["ClusterConfig"]
    assert cluster["InstanceType"] == "ml.m5.xlarge"
    assert chip["Arguments"]["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}
    assert {policy.get("MaxAttempts") for policy in chip["RetryPolicies"]} == {5, None}


def test_uri_that_is_too_long_for_one_argument_is_several(s3_bucket, model):
    folder = RunFolder(f"s3://{s3_bucket}/{'long/' * 120}root/runs/20260101-000000-abcd")
    (step,) = steps_of(folder, job_of(folder, "chip-1")).values()
    words = step["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert max(map(len, words)) == ARGUMENT_CHARACTERS
    assert "".join(words[2:]) == f"{folder.uri}/commands/chip-1.json"
    parse_definition(definition_of([job_of(folder, "chip-1")], folder, settings_of()), model)


def test_variable_that_is_too_long_is_refused(folder):
    with pytest.raises(ConfigError, match="SWATH_STORE_CACHE_FOLDER has 300 characters"):
        steps_of(folder, job_of(folder, "chip-1"), words=[f"store.cache_folder={'x' * 300}"])


def test_definition_that_is_too_long_is_refused_with_the_way_out(folder):
    jobs = [job_of(folder, f"chip-{n}") for n in range(1200)]
    with pytest.raises(ConfigError, match=f"1200 steps.* takes {DEFINITION_CHARACTERS}") as caught:
        definition_of(jobs, folder, settings_of())
    assert "sagemaker.instances" in str(caught.value.mend)


def test_training_job_without_s3_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "root" / "runs" / "r1")
    with pytest.raises(ConfigError, match="root_uri on s3://"):
        steps_of(folder, job_of(folder, "train-1", gpus=1))


def test_long_names_of_steps_are_cut_and_stay_apart(folder):
    names = [f"{folder.id}-r0-{'segmentation-' * 6}{n}" for n in range(2)]
    short = [step_name(name, folder) for name in names]
    assert [len(name) for name in short] == [64, 64]
    assert len(set(short)) == 2


# ------------------------------------------------------------------ states


@pytest.mark.parametrize(
    ("told", "state", "cause"),
    [
        ({"StepStatus": "Starting"}, JobState.WAITING, None),
        ({"StepStatus": "Stopping"}, JobState.RUNNING, None),
        ({"StepStatus": "Succeeded"}, JobState.DONE, None),
        ({"StepStatus": "Stopped"}, JobState.GONE, None),
        ("ClientError: AlgorithmError: , exit code: 1", JobState.FAILED, Cause.WORK),
        ("ClientError: ResourceLimitExceeded: The limit is 0.", JobState.FAILED, Cause.WORK),
        ("ClientError: InternalServerError: an internal error", JobState.FAILED, Cause.RECLAIMED),
        ("ClientError: CapacityError: Unable to provision", JobState.FAILED, Cause.RECLAIMED),
    ],
)
def test_state_and_cause_are_told_by_status_and_reason(told, state, cause):
    if isinstance(told, str):
        told = {"StepStatus": "Failed", "FailureReason": told}
    seen = seen_of({"StepName": "chip", **told}, "chip")
    assert (seen.state, seen.cause) == (state, cause)


def test_what_ran_out_of_memory_is_told_to_take_a_larger_instance():
    why = "ClientError: Please use an instance type with more memory, or reduce, exit code: 137"
    seen = seen_of({"StepName": "s", "StepStatus": "Failed", "FailureReason": why}, "chip")
    assert seen.cause is Cause.WORK
    assert "set commands.chip.instance to a larger type" in seen.reason


def test_step_that_is_tried_again_says_so():
    seen = seen_of({"StepName": "s", "StepStatus": "Starting", "AttemptCount": 3}, "chip")
    assert (seen.state, "attempt 3" in seen.reason) == (JobState.WAITING, True)


def test_step_that_is_not_listed_waits_or_never_will_start():
    states = {status: unstarted(status).state for status in ("Executing", "Failed", "Stopped")}
    assert states == {
        "Executing": JobState.WAITING,
        "Failed": JobState.GONE,
        "Stopped": JobState.GONE,
    }
    assert unstarted("Failed").cause is Cause.UPSTREAM


# ------------------------------------------------------------------ runs on a fake SageMaker

WORKER = """
import json, os, sys, time
from pathlib import Path

*_, uri = sys.argv
run = Path(uri).parent.parent
name = Path(uri).stem
if "--array-hosts" in sys.argv:
    told = json.loads(Path(os.environ["SWATH_OPT_ML"], "config/resourceconfig.json").read_text())
    name = json.loads(Path(uri).read_text())[told["hosts"].index(told["current_host"])]
print("did", name, flush=True)
if (run / f"hang.{name}").exists():
    time.sleep(60)
if (run / f"bad.{name}").exists():
    (run / "failed").mkdir(exist_ok=True)
    (run / "failed" / name).touch()
    sys.exit(3)
if (run / f"slow.{name}").exists():
    time.sleep(1)
(run / "done" / name).touch()
"""
"""In place of the worker: what it does with a split is told by files in the folder of the run."""


@pytest.fixture
def sagemaker(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[FakeSageMaker]:
    """Return a SageMaker whose images have the program `WORKER`."""
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    programs = {"swath": [sys.executable, "-S", str(worker)]}
    fake = FakeSageMaker(second_s=0.005, slots=8, programs=programs)
    with fake, FakeLogs(fake.logs) as logs:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", fake.endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", logs.endpoint)
        make_role()
        yield fake


def make_role() -> None:
    iam: Any = boto3.client("iam")
    trust = {"Statement": [{"Principal": {"Service": "sagemaker.amazonaws.com"}}]}
    names = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    if "swath-sagemaker" not in names:
        iam.create_role(RoleName="swath-sagemaker", AssumeRolePolicyDocument=json.dumps(trust))


class Run:
    """A run whose splits are told as ``key: [what it reads from]``."""

    def __init__(
        self,
        root: Path | str,
        splits: dict[str, Sequence[str]],
        *words: str,
        keep_going: bool = False,
        **resources: Any,
    ) -> None:
        self.settings = settings_of(*words)
        self.folder = RunFolder.create(root)
        keys = list(splits)
        self.splits = [
            RunSplit(
                key,
                (kind := key.partition("-")[0]),
                kind,
                1,
                "f00d" * 5,
                Resources(**resources),
                tuple(keys.index(other) for other in upstream),
            )
            for key, upstream in splits.items()
        ]
        self.events: list[Event] = []
        self.context = RunContext(
            self.folder, tuple(self.splits), self.settings, keep_going, self.events.append
        )

    @property
    def runner(self) -> SubmittedRunner:
        """Another client."""
        return SubmittedRunner(SageMakerBackend(self.settings))

    def follow(self) -> Outcome:
        return self.runner.follow(self.context)

    def tell(self, fault: str, *keys: str) -> None:
        for key in keys:
            (self.folder.path / f"{fault}.{key}").touch()

    def mend(self, fault: str, key: str) -> None:
        (self.folder.path / f"{fault}.{key}").unlink()


def executions(sagemaker: FakeSageMaker) -> list[str]:
    """Return the ARN of each execution of all pipelines, oldest first."""
    client: Any = boto3.client("sagemaker")
    return [
        execution["PipelineExecutionArn"]
        for pipeline in client.list_pipelines(SortOrder="Ascending")["PipelineSummaries"]
        for execution in client.list_pipeline_executions(
            PipelineName=pipeline["PipelineName"], SortOrder="Ascending"
        )["PipelineExecutionSummaries"]
    ]


def steps_started(execution: str) -> list[str]:
    client: Any = boto3.client("sagemaker")
    answer = client.list_pipeline_execution_steps(
        PipelineExecutionArn=execution, SortOrder="Ascending"
    )
    return [step["StepName"] for step in answer["PipelineExecutionSteps"]]


DIAMOND = {
    "source-1": [],
    "source-2": [],
    "double-1": ["source-1", "source-2"],
    "square-1": ["source-1"],
    "square-2": ["source-2"],
    "join-1": ["double-1", "square-1", "square-2"],
}


def test_run_is_one_pipeline_whose_steps_follow_the_graph(sagemaker, tmp_path):
    run = Run(tmp_path, DIAMOND)
    assert run.follow().succeeded
    (create,) = sagemaker.received("CreatePipeline")
    assert create["PipelineName"] == f"swath-{run.folder.id}"
    assert create["RoleArn"] == ROLE
    (execution,) = executions(sagemaker)
    started = steps_started(execution)
    assert started[-1].startswith("join-1")
    assert {name.partition("-")[0] for name in started[:-1]} == {"source", "double", "square"}


def test_array_that_is_too_long_is_several_steps(sagemaker, tmp_path):
    run = Run(tmp_path, {f"chip-{n}": [] for n in range(7)}, "sagemaker.instances=3")
    assert run.follow().succeeded
    definition = json.loads(sagemaker.received("CreatePipeline")[0]["PipelineDefinition"])
    counts = [
        step["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
        for step in definition["Steps"]
    ]
    assert counts == [3, 3, 1]


CHIPS: dict[str, Sequence[str]] = {
    "chip-1": [],
    "chip-2": [],
    "chip-3": [],
    "train-1": ["chip-1", "chip-2", "chip-3"],
}


def test_failed_split_is_blamed_and_not_those_that_went_down_with_it(sagemaker, tmp_path):
    run = Run(tmp_path, CHIPS)
    run.tell("bad", "chip-1")
    run.tell("hang", "chip-2", "chip-3")
    outcome = run.follow()
    assert outcome.failed == ("chip-1",)
    assert "exit code: 3" in outcome.reasons["chip-1"]
    assert outcome.causes == {"chip-1": Cause.WORK}
    assert set(outcome.waiting) == {"chip-2", "chip-3", "train-1"}
    assert "another split of its step failed" in outcome.reasons["chip-2"]


def test_only_what_is_left_is_in_the_next_round(sagemaker, tmp_path):
    run = Run(tmp_path, CHIPS)
    run.tell("bad", "chip-1")
    run.tell("slow", "chip-1")
    run.follow()
    done = run.folder.done()
    run.mend("bad", "chip-1")
    run.runner.start(run.context)
    assert run.follow().succeeded
    assert sagemaker.count("CreatePipeline") == 1
    definition = json.loads(sagemaker.received("UpdatePipeline")[-1]["PipelineDefinition"])
    left = sum(
        step["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
        for step in definition["Steps"]
    )
    assert left == len(CHIPS) - len(done)
    assert len(executions(sagemaker)) == 2


def test_client_that_is_killed_between_any_two_requests_starts_one_execution(sagemaker, tmp_path):
    """Seen as a client of which nothing is known but what it had written down."""
    run = Run(tmp_path, CHIPS)
    run.tell("slow", *CHIPS)
    run.runner.start(run.context)
    for job in list((run.folder.path / "jobs").iterdir())[1:]:
        job.unlink()  # killed while it noted what it had started
    run.runner.start(run.context)
    for job in (run.folder.path / "jobs").iterdir():
        job.unlink()
    run.runner.start(run.context)
    assert run.follow().succeeded
    assert len(executions(sagemaker)) == 1
    assert sagemaker.count("StartPipelineExecution") == 1


def test_request_whose_answer_was_lost_starts_one_execution(sagemaker, tmp_path):
    sagemaker.lose_answers("CreatePipeline")
    sagemaker.lose_answers("StartPipelineExecution")
    run = Run(tmp_path, CHIPS)
    assert run.follow().succeeded
    assert sagemaker.count("StartPipelineExecution") == 2
    assert len(executions(sagemaker)) == 1


def test_any_process_sees_cancels_and_reads_logs(sagemaker, tmp_path):
    run = Run(tmp_path, CHIPS)
    run.tell("hang", "chip-2")
    run.runner.start(run.context)
    (execution,) = executions(sagemaker)
    until(lambda: {"chip-1", "chip-3"} <= run.folder.done(), "two are done")
    seen = run.runner.look(run.context)
    assert {key: item.state for key, item in seen.items()} == {
        "chip-1": JobState.DONE,
        "chip-2": JobState.RUNNING,
        "chip-3": JobState.DONE,
        "train-1": JobState.WAITING,
    }
    assert run.runner.logs(run.context, "chip-2") == "did chip-2\n"
    assert run.runner.logs(run.context, "train-1") == ""
    run.runner.cancel(run.context)
    assert sagemaker.wait_for(execution) == "Stopped"
    states = {key: item.state for key, item in run.runner.look(run.context).items()}
    assert states["chip-2"] is states["train-1"] is JobState.GONE
    run.runner.cancel(run.context)  # nothing is left to stop
    assert sagemaker.count("StopPipelineExecution") == 1


def test_fault_of_the_service_is_tried_again_within_the_step(sagemaker, tmp_path):
    sagemaker.fail_step("chip*", "SageMaker.CAPACITY_ERROR", n=2)
    run = Run(tmp_path, CHIPS)
    assert run.follow().succeeded
    assert len(executions(sagemaker)) == 1


def test_fault_that_stays_is_tried_again_in_another_round(sagemaker, tmp_path):
    sagemaker.fail_step("chip*", "SageMaker.JOB_INTERNAL_ERROR", n=2)
    run = Run(tmp_path, CHIPS, "sagemaker.attempts=1")
    assert run.follow().succeeded
    assert len(executions(sagemaker)) == 2


def test_what_ran_out_of_memory_is_not_tried_again_and_says_what_to_do(sagemaker, tmp_path):
    sagemaker.need_instance("chip*", "ml.r5.4xlarge")
    run = Run(tmp_path, CHIPS)
    outcome = run.follow()
    assert "set commands.chip.instance to a larger type" in outcome.reasons["chip-1"]
    assert len(executions(sagemaker)) == 1
    larger = Run(tmp_path, CHIPS, "commands.chip.instance=ml.r5.4xlarge")
    assert larger.follow().succeeded


def test_throttling_slows_a_run_and_does_not_end_it(sagemaker, tmp_path):
    sagemaker.throttle_share(0.3)
    assert Run(tmp_path, CHIPS).follow().succeeded
    assert len(executions(sagemaker)) == 1


def test_quota_of_steps_is_told_with_the_way_out(s3_bucket, monkeypatch, tmp_path):
    with FakeSageMaker(largest_pipeline=1) as fake:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", fake.endpoint)
        with pytest.raises(RunError, match="may have 1 steps, not 2") as caught:
            Run(tmp_path, CHIPS).follow()
    assert "sagemaker.instances" in str(caught.value.mend)


def test_requests_are_told_without_sending_any(sagemaker, tmp_path, model):
    run = Run(tmp_path, CHIPS)
    create, start = run.runner.requests(run.context)
    shown = json.dumps(create.pop("PipelineDefinition"))
    parse_definition(shown, model)
    assert model.request_problems("CreatePipeline", create | {"PipelineDefinition": shown}) == []
    assert model.request_problems("StartPipelineExecution", start) == []
    assert start["PipelineName"] == create["PipelineName"]
    assert sagemaker.count() == 0


# ------------------------------------------------------------------ with real workers


@pytest.fixture
def place(s3_bucket: str) -> Place:
    return Place("sagemaker", f"s3://{s3_bucket}/root", SETTINGS)


def test_reclaimed_spot_instance_is_replaced_by_the_service(place, monkeypatch, tmp_path):
    with FakeSageMaker(slots=8, second_s=0.02) as sagemaker:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", sagemaker.endpoint)
        make_role()
        with diamond_in(place, tmp_path, n=2) as diamond:
            diamond.tell("u1", "hang")
            client = diamond.start(n_gpus=1, splits=1)
            diamond.wait_until_hanging("u1")
            (execution,) = executions(sagemaker)
            (step,) = (s for s in steps_started(execution) if s.startswith("double"))
            sagemaker.interrupt(execution, step)
            diamond.mend("u1")
            assert client.wait(90) == 0
            assert diamond.total() == str(total(2))
        assert executions(sagemaker) == [execution]
        client = boto3.client("sagemaker")
        told = client.list_pipeline_execution_steps(PipelineExecutionArn=execution)
        (double,) = (s for s in told["PipelineExecutionSteps"] if s["StepName"] == step)
        assert "TrainingJob" in double["Metadata"]


def test_client_that_is_killed_at_any_moment_starts_nothing_twice(place, monkeypatch, tmp_path):
    with FakeSageMaker(slots=8, second_s=0.02) as sagemaker:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", sagemaker.endpoint)
        make_role()
        with diamond_in(place, tmp_path, n=2) as diamond:
            diamond.tell("u1", "hang")
            client = diamond.start()
            for n in range(1, 9, 2):
                until(lambda n=n: sagemaker.count() > n, f"{n} requests were sent")
                os.kill(client.pid, signal.SIGKILL)
                client.wait()
                client = diamond.start()
            diamond.mend("u1")
            assert client.wait(90) == 0
            assert diamond.total() == str(total(2))
        assert len(executions(sagemaker)) == 1
        (execution,) = executions(sagemaker)
        assert max(Counter(steps_started(execution)).values()) == 1


# ------------------------------------------------------------------ checks


def errors(*words: str, settings: Settings | None = None, **resources: Any) -> list[str]:
    split = RunSplit("chip-1", "chip", "n", 1, "f" * 20, Resources(**resources), ())
    backend = SageMakerBackend(settings or settings_of(*words))
    found = backend.findings([split])
    return [f"{item.what} {item.mend}" for item in found if item.severity is Severity.ERROR]


def test_what_is_there_and_fits_has_no_errors(sagemaker):
    assert errors() == []
    assert errors(gpus=1, cpus=4, memory_gib=16) == []


@pytest.mark.parametrize(
    ("words", "resources", "told"),
    [
        (["sagemaker.role=worker"], {}, "which is no ARN of a role"),
        ([f"sagemaker.role={ROLE}-2"], {}, f"there is no role {ROLE}-2"),
        (["sagemaker.cpu_image=swath:9.9.9"], {}, "has Swath 9.9.9"),
        (["sagemaker.cpu_instance=ml.m5.xlarg"], {}, "Did you mean ml.m5.xlarge?"),
        (["commands.chip.instance=ml.m5.xlarge"], {"gpus": 1}, "ml.m5.xlarge have none"),
        ([], {"memory_gib": 17}, "asks for 17 GiB, and ml.m5.xlarge has 16"),
        ([], {"cpus": 5}, "asks for 5 cores, and ml.m5.xlarge has 4"),
        (["sagemaker.instances=101"], {}, "SageMaker takes at most 100"),
        (["sagemaker.attempts=21"], {}, "SageMaker takes at most 20"),
        ([], {"time_limit_s": 800_000}, "jobs of SageMaker run at most 777600 s"),
    ],
)
def test_what_is_wrong_is_told_with_its_setting(sagemaker, words, resources, told):
    assert any(told in error for error in errors(*words, **resources)), errors(*words, **resources)


def test_what_is_missing_is_told_with_its_setting(sagemaker):
    none = load_settings((), environment={}, folder=Path("/nowhere"))
    for gpus, name in ((0, "sagemaker.cpu_image"), (1, "sagemaker.gpu_image")):
        found = errors(settings=none, gpus=gpus)
        assert any("the setting sagemaker.role is missing" in error for error in found)
        assert any(f"the setting {name} is missing" in error for error in found)


def test_image_that_is_not_there_is_told(sagemaker):
    repository = f"swath-{uuid.uuid4().hex}"  # the server is shared with other tests
    place = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{repository}"
    ecr: Any = boto3.client("ecr")
    (error,) = errors(f"sagemaker.cpu_image={place}:0.1.0")
    assert f"there is no image {place}:0.1.0" in error
    ecr.create_repository(repositoryName=repository)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "layers": [],
        "config": {"digest": "sha256:" + 64 * "0"},
    }
    ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag="0.1.0")
    assert errors(f"sagemaker.cpu_image={place}:0.1.0") == []
    elsewhere = place.replace("us-east-1", "eu-west-1")
    (error,) = errors(f"sagemaker.cpu_image={elsewhere}:0.1.0")
    assert "is in eu-west-1, and the jobs are to run in us-east-1" in error


def test_role_that_sagemaker_cannot_take_is_warned_of(sagemaker):
    iam: Any = boto3.client("iam")
    trust = {"Statement": [{"Principal": {"Service": "ec2.amazonaws.com"}}]}
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(trust))
    backend = SageMakerBackend(settings_of("sagemaker.role=arn:aws:iam::123456789012:role/other"))
    warned = [item.what for item in backend.findings([]) if item.severity is Severity.WARNING]
    assert any("does not name sagemaker.amazonaws.com" in text for text in warned)
