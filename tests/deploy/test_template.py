"""The CloudFormation template: valid, costs nothing when idle, and says what the runners expect."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import boto3

from swath.settings import Settings


def test_cfn_lint_has_nothing_to_say(template_file):
    lint = Path(sys.executable).with_name("cfn-lint")
    told = subprocess.run(
        [lint, "--include-checks", "I", "--template", template_file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_template_is_small_enough_to_be_passed_without_a_bucket(template_file):
    assert template_file.stat().st_size <= 51_200


def test_stack_is_created_with_every_resource(create_stack, template):
    create_stack()
    made = boto3.client("cloudformation").list_stack_resources(StackName="swath")
    # moto lists what a condition has left out without a name.
    summaries = [s for s in made["StackResourceSummaries"] if s["LogicalResourceId"]]
    unconditional = {name for name, r in template["Resources"].items() if "Condition" not in r}
    assert {s["LogicalResourceId"] for s in summaries} == unconditional
    assert {s["ResourceStatus"] for s in summaries} == {"CREATE_COMPLETE"}


def test_nothing_runs_while_nobody_asks_for_it(create_stack):
    create_stack()
    for environment in boto3.client("batch").describe_compute_environments()["computeEnvironments"]:
        assert environment["computeResources"]["minvCpus"] == 0
        assert environment["computeResources"].get("desiredvCpus", 0) == 0
    assert boto3.client("ec2").describe_instances()["Reservations"] == []
    assert boto3.client("ec2").describe_nat_gateways()["NatGateways"] == []
    assert boto3.client("ecs").list_tasks(cluster="swath")["taskArns"] == []


def test_desired_vcpus_are_left_to_batch(resources):
    for environment in resources("AWS::Batch::ComputeEnvironment").values():
        assert "DesiredvCpus" not in environment["ComputeResources"]


def environments(**parameters) -> list[tuple[str, str]]:
    found = boto3.client("batch").describe_compute_environments()["computeEnvironments"]
    return [
        (e["computeResources"]["type"], e["computeResources"]["allocationStrategy"]) for e in found
    ]


def test_instances_are_spot_unless_asked_otherwise(create_stack):
    create_stack()
    assert environments() == [("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED")] * 2


def test_instances_are_on_demand_on_request(create_stack):
    create_stack(Purchase="on-demand")
    assert environments() == [("EC2", "BEST_FIT_PROGRESSIVE")] * 2


def test_reclaimed_instances_are_retried_and_failures_are_not(resources):
    for definition in resources("AWS::Batch::JobDefinition").values():
        strategy = definition["RetryStrategy"]
        assert strategy["Attempts"] == Settings({})["batch.attempts"]
        assert strategy["EvaluateOnExit"] == [
            {"OnStatusReason": "Host EC2*", "Action": "RETRY"},
            {"OnReason": "*", "Action": "EXIT"},
        ]
        assert definition["Timeout"]["AttemptDurationSeconds"] >= 60


def test_only_the_gpu_definition_asks_for_a_gpu(resources):
    gpus = {
        name: [
            r["Value"]
            for r in d["ContainerProperties"]["ResourceRequirements"]
            if r["Type"] == "GPU"
        ]
        for name, d in resources("AWS::Batch::JobDefinition").items()
    }
    assert gpus == {"CpuDefinition": [], "GpuDefinition": ["1"]}
    images = {
        name: e["ComputeResources"]["Ec2Configuration"][0]["ImageType"]
        for name, e in resources("AWS::Batch::ComputeEnvironment").items()
    }
    assert images == {"CpuEnvironment": "ECS_AL2023", "GpuEnvironment": "ECS_AL2023_NVIDIA"}


def test_no_container_is_privileged_and_no_secret_is_passed(resources):
    containers = [d["ContainerProperties"] for d in resources("AWS::Batch::JobDefinition").values()]
    for task in resources("AWS::ECS::TaskDefinition").values():
        containers += task["ContainerDefinitions"]
    for container in containers:
        assert container.get("Privileged", False) is False
        assert "User" not in container  # the image's, and that is not root: test_images.py
        assert [variable["Name"] for variable in container["Environment"]] == ["SWATH_VERSION"]
        assert "Devices" not in container["LinuxParameters"]
        assert "Capabilities" not in container["LinuxParameters"]


def test_every_worker_has_both_roles_and_writes_to_the_log_group(resources):
    log_group = {"Ref": "LogGroup"}
    for definition in resources("AWS::Batch::JobDefinition").values():
        container = definition["ContainerProperties"]
        assert container["JobRoleArn"] == {"Fn::GetAtt": ["WorkerRole", "Arn"]}
        assert container["ExecutionRoleArn"] == {"Fn::GetAtt": ["ExecutionRole", "Arn"]}
        assert container["LogConfiguration"]["Options"]["awslogs-group"] == log_group
    for task in resources("AWS::ECS::TaskDefinition").values():
        assert task["TaskRoleArn"] == {"Fn::GetAtt": ["WorkerRole", "Arn"]}
        assert task["ExecutionRoleArn"] == {"Fn::GetAtt": ["ExecutionRole", "Arn"]}
        (container,) = task["ContainerDefinitions"]
        assert container["LogConfiguration"]["Options"]["awslogs-group"] == log_group


def test_instances_have_a_large_encrypted_volume_and_imdsv2(resources):
    (launch,) = resources("AWS::EC2::LaunchTemplate").values()
    data = launch["LaunchTemplateData"]
    (volume,) = data["BlockDeviceMappings"]
    assert volume["Ebs"]["VolumeType"] == "gp3"
    assert volume["Ebs"]["VolumeSize"] == {"Ref": "ScratchGiB"}
    assert volume["Ebs"]["Encrypted"] is True
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    for environment in resources("AWS::Batch::ComputeEnvironment").values():
        used = environment["ComputeResources"]["LaunchTemplate"]["LaunchTemplateId"]
        assert used == {"Ref": "LaunchTemplate"}


def test_nothing_reaches_a_worker_and_workers_reach_https_only(resources):
    (group,) = resources("AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group
    assert [(r["FromPort"], r["ToPort"]) for r in group["SecurityGroupEgress"]] == [(443, 443)]


def test_bucket_is_private_and_encrypted_and_forgets_broken_uploads(resources):
    (bucket,) = resources("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert "ExpirationInDays" not in rule


def test_only_the_bucket_outlives_the_stack(create_stack):
    bucket = create_stack().outputs["RootUri"].removeprefix("s3://")
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key="result", Body=b"1")

    boto3.client("cloudformation").delete_stack(StackName="swath")

    assert s3.get_object(Bucket=bucket, Key="result")["Body"].read() == b"1"
    assert boto3.client("ecr").describe_repositories()["repositories"] == []


def test_images_are_scanned_never_overwritten_and_old_ones_expire(resources):
    for repository in resources("AWS::ECR::Repository").values():
        assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert repository["ImageTagMutability"] == "IMMUTABLE"
        policy = repository["LifecyclePolicy"]["LifecyclePolicyText"]["Fn::Sub"]
        (rule,) = json.loads(policy.replace("${KeepImages}", "3"))["rules"]
        assert rule["selection"] == {
            "tagStatus": "any",
            "countType": "imageCountMoreThan",
            "countNumber": 3,
        }
        assert rule["action"] == {"type": "expire"}


def test_images_have_the_tag_of_the_version_or_the_one_given(create_stack):
    create_stack(SwathVersion="1.2.3", ImageTag="1.2.3-2")
    for definition in boto3.client("batch").describe_job_definitions()["jobDefinitions"]:
        container = definition["containerProperties"]
        assert container["image"].endswith(f"/{definition['jobDefinitionName']}:1.2.3-2")
        assert container["environment"] == [{"name": "SWATH_VERSION", "value": "1.2.3"}]


def test_logs_are_kept_for_the_days_asked_for(create_stack):
    name = create_stack(LogDays="14").outputs["LogGroup"]
    (group,) = boto3.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert group["retentionInDays"] == 14
