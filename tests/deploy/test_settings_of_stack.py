"""What the stack says about itself is what the runners ask for."""

from __future__ import annotations

import boto3
import pytest

from swath.settings import KEYS, Settings, load_settings

FOUND_OUT_ELSEWHERE = {
    "aws.profile",  # of whoever runs
    "aws.tags",  # of whoever pays
    "fargate.image",  # for task definitions that Swath makes; the stack has one
    "fargate.log_group",  # likewise
}


@pytest.fixture
def settings_of(tmp_path):
    """Return a function from a stack to the settings that its ``swath.toml`` makes."""

    def load(stack) -> Settings:
        (tmp_path / "swath.toml").write_text(stack.outputs["SwathToml"])
        return load_settings(environment={"XDG_CONFIG_HOME": str(tmp_path)}, folder=tmp_path)

    return load


def test_every_setting_without_a_default_is_told(create_stack, settings_of):
    settings = settings_of(create_stack())
    rooms = ("aws.", "batch.", "fargate.", "sagemaker.")
    missing = {name for name in KEYS if name.startswith(rooms) and settings[name] is None}
    assert missing == FOUND_OUT_ELSEWHERE


def test_settings_name_what_the_stack_has(create_stack, settings_of):
    stack = create_stack("team-a", ImageTag="0.1.0-2")
    settings = settings_of(stack)
    batch, ecs, iam = (boto3.client(name) for name in ("batch", "ecs", "iam"))

    queues = {queue["jobQueueName"] for queue in batch.describe_job_queues()["jobQueues"]}
    assert {settings["batch.cpu_queue"], settings["batch.gpu_queue"]} == queues
    definitions = batch.describe_job_definitions()["jobDefinitions"]
    images = {d["jobDefinitionName"]: d["containerProperties"]["image"] for d in definitions}
    assert {
        settings["batch.cpu_definition"]: settings["sagemaker.cpu_image"],
        settings["batch.gpu_definition"]: settings["sagemaker.gpu_image"],
    } == images

    (cluster,) = ecs.describe_clusters(clusters=[settings.text("fargate.cluster")])["clusters"]
    assert cluster["status"] == "ACTIVE"
    task = ecs.describe_task_definition(taskDefinition=settings.text("fargate.task_definition"))
    (container,) = task["taskDefinition"]["containerDefinitions"]
    assert container["name"] == settings["fargate.container"]
    assert settings.text("fargate.subnets").split(",") == list(stack.subnets)
    (group,) = boto3.client("ec2").describe_security_groups(
        GroupIds=settings.text("fargate.security_groups").split(",")
    )["SecurityGroups"]
    assert group["VpcId"] == stack.vpc

    roles = {role["Arn"] for role in iam.list_roles()["Roles"]}
    for name in ("fargate.task_role", "fargate.execution_role", "sagemaker.role"):
        assert settings[name] in roles


@pytest.mark.parametrize("answer", ["yes", "no"])
def test_public_subnets_give_tasks_a_public_address(create_stack, settings_of, answer):
    assert settings_of(create_stack(PublicSubnets=answer))["fargate.public_ip"] == answer


def test_definitions_ask_for_what_the_settings_have_as_default(resources):
    defaults = Settings({})
    definition = resources("AWS::Batch::JobDefinition")["CpuDefinition"]
    asked = definition["ContainerProperties"]["ResourceRequirements"]
    assert {r["Type"]: int(r["Value"]) for r in asked} == {
        "VCPU": defaults["batch.cpus"],
        "MEMORY": 1024 * defaults.count("batch.memory_gib", 0),
    }
    limit = definition["Timeout"]["AttemptDurationSeconds"]
    assert limit == defaults["batch.time_limit_s"]
    (task,) = resources("AWS::ECS::TaskDefinition").values()
    assert int(task["Cpu"]) == 1024 * defaults.count("fargate.cpus", 0)
    assert int(task["Memory"]) == 1024 * defaults.count("fargate.memory_gib", 0)
    assert task["RuntimePlatform"]["CpuArchitecture"] == defaults["fargate.architecture"]
