"""Calls everything of this part of Harbor's API that harborapi offers, and lets its models judge every answer.

Prints `ok STEP` or `FAIL STEP: …`, goes on after a failure, ends with `N passed, M failed` and exits with 1 when
anything failed. The environment is that of the Go client (tests/harbor/goclient/main.go).
"""

import asyncio
import os
import sys

from harborapi import HarborAsyncClient
from harborapi import exceptions as refused
from harborapi.models import (
    Access,
    Configurations,
    Label,
    ProjectMetadata,
    ProjectReq,
    QuotaUpdateReq,
    Repository,
    ResourceList,
    RobotCreate,
    RobotPermission,
    Schedule,
    ScheduleObj,
    Tag,
    UserCreationReq,
    UserGroup,
    UserProfile,
)

URL = os.environ["HARBOR_URL"].rstrip("/") + "/api/v2.0"
PROJECT = os.environ["HARBOR_PROJECT"]
REPOSITORY = os.environ["HARBOR_REPOSITORY"]
TAG = os.environ["HARBOR_TAGS"].split(",")[0]
IMAGE = os.environ["HARBOR_IMAGE"]
INDEX = os.environ["HARBOR_INDEX"]
ACCESSORY = os.environ["HARBOR_ACCESSORY"]
PASSWORD = "Deck-Hand-4711"


def open_as(user, secret):
    return HarborAsyncClient(url=URL, username=user, secret=secret, validate=True, raw=False, retry=None, timeout=30)


class Walk:
    """One run: the administrator's client, what earlier steps made, and the count of steps."""

    def __init__(self):
        self.admin = open_as(os.environ["HARBOR_USER"], os.environ["HARBOR_PASSWORD"])
        self.passed = self.failed = 0
        self.made = {}

    async def step(self, name, body):
        try:
            await body()
        except Exception as error:
            self.failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)


def same(what, got, want):
    if got != want:
        raise AssertionError(f"{what} is {got!r}, not {want!r}")


def one_of(what, items, holds):
    for item in items:
        if holds(item):
            return item
    raise AssertionError(f"{what} is not among {len(items)}")


def number(location):
    return int(location.rsplit("/", 1)[1])


async def refuses(kind, awaitable):
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"not refused by {kind.__name__}")


async def run(walk):
    api, made = walk.admin, walk.made
    steps = []

    def step(body):
        steps.append((body.__name__.replace("_", " "), body))
        return body

    @step
    async def ping():
        same("the answer", await api.ping(), "Pong")

    @step
    async def health():
        status = await api.health_check()
        same("status", status.status, "healthy")
        same("components", all(one.status == "healthy" for one in status.components), True)

    @step
    async def system_info():
        info = await api.get_system_info()
        same("auth_mode", info.auth_mode, "db_auth")
        assert info.harbor_version, "no harbor_version"

    @step
    async def volumes():
        assert (await api.get_system_volume_info()).storage[0].total > 0

    @step
    async def statistics():
        assert (await api.get_statistics()).total_project_count >= 2

    @step
    async def search():
        found = await api.search(REPOSITORY)
        same("repository_name", found.repository[0].repository_name, f"{PROJECT}/{REPOSITORY}")

    @step
    async def permissions():
        all_of_them = await api.get_permissions()
        assert all_of_them.system and all_of_them.project

    @step
    async def project_create():
        where = await api.create_project(ProjectReq(project_name="py-a", metadata=ProjectMetadata(public="false")))
        assert where.endswith("/projects/py-a"), where
        made["project"] = (await api.get_project("py-a")).project_id

    @step
    async def project_create_again():
        await refuses(refused.Conflict, api.create_project(ProjectReq(project_name="py-a")))

    @step
    async def project_get():
        project = await api.get_project("py-a")
        same("project_id", project.project_id, made["project"])
        same("public", project.metadata.public, "false")
        same("name", (await api.get_project(made["project"])).name, "py-a")

    @step
    async def project_get_none():
        await refuses(refused.NotFound, api.get_project("py-none"))

    @step
    async def project_exists():
        same("py-a", await api.project_exists("py-a"), True)
        same("py-none", await api.project_exists("py-none"), False)

    @step
    async def project_list():
        same("by q", [one.name for one in await api.get_projects(query="name=~py-")], ["py-a"])
        # With one project a page the client follows the links to the end.
        everything = await api.get_projects(page_size=1)
        assert {"library", "py-a", PROJECT} <= {one.name for one in everything}, [one.name for one in everything]

    @step
    async def project_update():
        await api.update_project("py-a", ProjectReq(metadata=ProjectMetadata(public="true", auto_scan="true")))
        same("public", (await api.get_project("py-a")).metadata.public, "true")

    @step
    async def project_summary():
        same("repo_count", (await api.get_project_summary("py-a")).repo_count, 0)

    @step
    async def project_deletable():
        same("deletable", (await api.get_project_deletable("py-a")).deletable, True)

    @step
    async def metadata_list():
        same("public", (await api.get_project_metadata("py-a")).public, "true")

    @step
    async def metadata_add():
        await api.set_project_metadata("py-a", ProjectMetadata(severity="low"))

    @step
    async def metadata_entry():
        await api.update_project_metadata_entry("py-a", "severity", {"severity": "high"})
        same("severity", (await api.get_project_metadata_entry("py-a", "severity"))["severity"], "high")

    @step
    async def metadata_delete():
        await api.delete_project_metadata_entry("py-a", "severity")

    @step
    async def user_create():
        request = UserCreationReq(username="py-ann", email="py-ann@example.org", realname="Ann", password=PASSWORD)
        made["user"] = number(await api.create_user(request))
        await refuses(refused.Conflict, api.create_user(request))

    @step
    async def user_get():
        same("username", (await api.get_user(made["user"])).username, "py-ann")
        same("user_id", (await api.get_user_by_username("py-ann")).user_id, made["user"])

    @step
    async def user_list():
        one_of("py-ann", await api.get_users(query="username=~py-"), lambda one: one.username == "py-ann")
        one_of("py-ann", await api.search_users_by_username("py-"), lambda one: one.user_id == made["user"])

    @step
    async def user_current():
        same("username", (await open_as("py-ann", PASSWORD).get_current_user()).username, "py-ann")
        one_of("push", await api.get_current_user_permissions(scope=f"/project/{made['project']}", relative=True),
               lambda one: (one.resource, one.action) == ("repository", "push"))

    @step
    async def user_update():
        await api.update_user(made["user"], UserProfile(email="ann@example.net", realname="Ann B", comment="c"))
        same("realname", (await api.get_user(made["user"])).realname, "Ann B")

    @step
    async def user_password():
        ann = open_as("py-ann", PASSWORD)
        await refuses(refused.Forbidden, ann.set_user_password(made["user"], "Boat-Swain-4711", "Wrong-Password-1"))
        await ann.set_user_password(made["user"], "Boat-Swain-4711", PASSWORD)
        await refuses(refused.Unauthorized, ann.get_current_user())
        await open_as("py-ann", "Boat-Swain-4711").get_current_user()

    @step
    async def user_admin():
        await api.set_user_admin(made["user"], True)
        same("sysadmin_flag", (await api.get_user(made["user"])).sysadmin_flag, True)
        await api.set_user_admin(made["user"], False)

    @step
    async def user_wrong_password():
        await refuses(refused.Unauthorized, open_as("py-ann", "Wrong-Password-1").get_current_user())

    @step
    async def user_plain():
        ann = open_as("py-ann", "Boat-Swain-4711")
        await refuses(refused.Forbidden, ann.get_users())
        await refuses((refused.Forbidden, refused.NotFound), ann.get_project(PROJECT))

    @step
    async def group_create():
        made["group"] = number(await api.create_usergroup(UserGroup(group_name="py-crew", group_type=3)))

    @step
    async def group_read():
        same("group_name", (await api.get_usergroup(made["group"])).group_name, "py-crew")
        one_of("py-crew", await api.get_usergroups(), lambda one: one.id == made["group"])
        one_of("py-crew", await api.search_usergroups("py-"), lambda one: one.group_name == "py-crew")

    @step
    async def group_update():
        await api.update_usergroup(made["group"], UserGroup(group_name="py-watch"))

    @step
    async def member_add():
        made["member"] = number(await api.add_project_member_user("py-a", "py-ann", 2))
        made["crew"] = number(await api.add_project_member_group("py-a", made["group"], 3))

    @step
    async def member_read():
        same("role_name", (await api.get_project_member("py-a", made["member"])).role_name, "developer")
        members = await api.get_project_members("py-a")
        same("kinds", sorted(one.entity_type for one in members), ["g", "u", "u"])
        same("one", [one.entity_name for one in await api.get_project_members("py-a", entity_name="py-ann")], ["py-ann"])

    @step
    async def member_update():
        await api.update_project_member_role("py-a", made["member"], 4)
        same("role_id", (await api.get_project_member("py-a", made["member"])).role_id, 4)

    @step
    async def member_remove():
        await api.remove_project_member("py-a", made["member"])
        await refuses(refused.NotFound, api.get_project_member("py-a", made["member"]))

    @step
    async def group_delete():
        await api.delete_usergroup(made["group"])

    @step
    async def user_delete():
        await api.delete_user(made["user"])
        await refuses(refused.NotFound, api.get_user(made["user"]))

    @step
    async def repository_list():
        repositories = await api.get_repositories(PROJECT)
        same("name", [one.name for one in repositories], [f"{PROJECT}/{REPOSITORY}"])
        one_of("it", await api.get_repositories(), lambda one: one.name == f"{PROJECT}/{REPOSITORY}")

    @step
    async def repository_get():
        same("artifact_count", (await api.get_repository(PROJECT, REPOSITORY)).artifact_count, 2)

    @step
    async def repository_update():
        await api.update_repository(PROJECT, REPOSITORY, Repository(description="what a till runs"))
        same("description", (await api.get_repository(PROJECT, REPOSITORY)).description, "what a till runs")

    @step
    async def artifact_list():
        artifacts = await api.get_artifacts(PROJECT, REPOSITORY, with_label=True, with_accessory=True)
        same("the number of artifacts", len(artifacts), 2)
        same("with this tag", [one.digest for one in await api.get_artifacts(PROJECT, REPOSITORY, query=f"tags={TAG}")], [IMAGE])

    @step
    async def artifact_get():
        for reference in (TAG, IMAGE):
            artifact = await api.get_artifact(PROJECT, REPOSITORY, reference, with_accessory=True)
            same("digest", artifact.digest, IMAGE)
            same("accessory", artifact.accessories[0].digest, ACCESSORY)
        await refuses(refused.NotFound, api.get_artifact(PROJECT, REPOSITORY, "none"))

    @step
    async def artifact_of_project():
        same("the number of artifacts", len(await api.get_project_artifacts(PROJECT, with_tag=True)), 2)

    @step
    async def artifact_accessories():
        same("digest", [one.digest for one in await api.get_artifact_accessories(PROJECT, REPOSITORY, TAG)], [ACCESSORY])

    @step
    async def artifact_history():
        history = await api.get_artifact_build_history(PROJECT, REPOSITORY, TAG)
        assert history[0].created_by, history

    @step
    async def artifact_copy():
        where = await api.copy_artifact("py-a", "copied", f"{PROJECT}/{REPOSITORY}:{TAG}")
        assert where.endswith(f"/artifacts/{TAG}"), where

    @step
    async def tag_create():
        # The client reads a Location, which Harbor does not send here.
        try:
            await api.create_artifact_tag(PROJECT, REPOSITORY, TAG, Tag(name="py-tag"))
        except KeyError:
            pass
        one_of("py-tag", await api.get_artifact_tags(PROJECT, REPOSITORY, IMAGE), lambda one: one.name == "py-tag")

    @step
    async def tag_delete():
        await api.delete_artifact_tag(PROJECT, REPOSITORY, IMAGE, "py-tag")
        await refuses(refused.NotFound, api.delete_artifact_tag(PROJECT, REPOSITORY, IMAGE, "py-tag"))

    @step
    async def label_create():
        await api.create_label(Label(name="py-global", scope="g", color="#FF0000"))
        await api.create_label(Label(name="py-own", scope="p", project_id=made["project"], color="#00FF00"))

    @step
    async def label_list():
        made["label"] = one_of("py-global", await api.get_labels(scope="g"), lambda one: one.name == "py-global").id
        one_of("py-own", await api.get_labels(scope="p", project_id=made["project"]), lambda one: one.name == "py-own")

    @step
    async def label_update():
        await api.update_label(made["label"], Label(name="py-world", color="#0000FF", scope="g"))
        same("name", (await api.get_label(made["label"])).name, "py-world")

    @step
    async def label_on_artifact():
        async def labels():
            artifact = await api.get_artifact(PROJECT, REPOSITORY, TAG, with_label=True)
            return [one.id for one in artifact.labels or []]

        await api.add_artifact_label(PROJECT, REPOSITORY, TAG, Label(id=made["label"]))
        same("labels", await labels(), [made["label"]])
        await api.delete_artifact_label(PROJECT, REPOSITORY, TAG, made["label"])
        same("labels", await labels(), [])

    @step
    async def label_delete():
        await api.delete_label(made["label"])
        await refuses(refused.NotFound, api.get_label(made["label"]))

    def robot(name, level, namespace):
        permission = RobotPermission(kind="project", namespace=namespace,
                                     access=[Access(resource="repository", action=one) for one in ("list", "pull")])
        return RobotCreate(name=name, level=level, duration=-1, permissions=[permission])

    @step
    async def robot_create():
        made["robot"] = await api.create_robot(robot("py-crane", "system", "*"))
        same("name", made["robot"].name, "robot$py-crane")
        made["winch"] = await api.create_robot(robot("py-winch", "project", "py-a"))
        same("name", made["winch"].name, "robot$py-a+py-winch")

    @step
    async def robot_signs_in():
        await open_as(made["robot"].name, made["robot"].secret).get_repositories(PROJECT)

    @step
    async def robot_list():
        one_of("it", await api.get_robots(), lambda one: one.id == made["robot"].id)
        robots = await api.get_robots(query=f"Level=project,ProjectID={made['project']}")
        same("of the project", [one.id for one in robots], [made["winch"].id])

    @step
    async def robot_update():
        now = await api.get_robot(made["robot"].id)
        now.disable = True
        await api.update_robot(made["robot"].id, now)
        same("disable", (await api.get_robot(made["robot"].id)).disable, True)
        await refuses(refused.Unauthorized, open_as(made["robot"].name, made["robot"].secret).get_repositories(PROJECT))

    @step
    async def robot_secret():
        await api.refresh_robot_secret(made["winch"].id, "Chosen-By-Me-1-And-Long-Enough-To-Keep")
        await open_as(made["winch"].name, "Chosen-By-Me-1-And-Long-Enough-To-Keep").get_repositories("py-a")

    @step
    async def robot_delete():
        for one in ("robot", "winch"):
            await api.delete_robot(made[one].id)
        await refuses(refused.NotFound, api.get_robot(made["robot"].id))

    @step
    async def quota_list():
        quotas = await api.get_quotas(reference="project", reference_id=str(made["project"]))
        same("the number of quotas", len(quotas), 1)
        made["quota"] = quotas[0].id

    @step
    async def quota_update():
        await api.update_quota(made["quota"], QuotaUpdateReq(hard=ResourceList(storage=1 << 30)))
        quota = await api.get_quota(made["quota"])
        same("storage", quota.hard.model_dump()["storage"], 1 << 30)

    @step
    async def configuration():
        now = await api.get_config()
        same("auth_mode", now.auth_mode.value, "db_auth")
        await api.update_config(Configurations(robot_token_duration=60))
        same("robot_token_duration", (await api.get_config()).robot_token_duration.value, 60)
        await api.update_config(Configurations(robot_token_duration=now.robot_token_duration.value))

    @step
    async def audit_logs():
        await api.get_audit_logs()

    @step
    async def project_logs():
        await api.get_project_logs("py-a")

    def plan(kind, cron):
        return Schedule(
            schedule=ScheduleObj(type=kind, cron=cron),
            parameters={"audit_retention_hour": 240, "include_event_types": "create_artifact", "dry_run": True},
        )

    @step
    async def purge_by_hand():
        made["purge"] = number(await api.create_purge_job_schedule(plan("Manual", "")))
        job = await api.get_purge_job(made["purge"])
        same("job_name", job.job_name, "PURGE_AUDIT_LOG")

    @step
    async def purge_history():
        one_of("it", await api.get_purge_job_history(), lambda one: one.id == made["purge"])

    @step
    async def purge_log():
        for _ in range(50):
            if (await api.get_purge_job(made["purge"])).job_status == "Success":
                break
            await asyncio.sleep(0.1)
        assert await api.get_purge_job_log(made["purge"])

    @step
    async def purge_schedule():
        await api.create_purge_job_schedule(plan("Weekly", "0 0 0 * * 0"))
        same("type", (await api.get_purge_job_schedule()).schedule.type.value, "Weekly")
        await api.update_purge_job_schedule(plan("None", ""))

    @step
    async def repository_delete():
        await refuses(refused.PreconditionFailed, api.delete_project("py-a"))
        await api.delete_repository("py-a", "copied")

    @step
    async def artifact_delete():
        # What an index names is served until that goes.
        await api.delete_artifact(PROJECT, REPOSITORY, INDEX)
        await api.delete_artifact(PROJECT, REPOSITORY, IMAGE)
        await refuses(refused.NotFound, api.get_artifact(PROJECT, REPOSITORY, IMAGE))

    @step
    async def project_delete():
        await api.delete_project("py-a")
        await refuses(refused.NotFound, api.get_project("py-a"))

    for name, body in steps:
        await walk.step(name, body)


def main():
    walk = Walk()
    asyncio.run(run(walk))
    print(f"{walk.passed} passed, {walk.failed} failed")
    sys.exit(1 if walk.failed else 0)


if __name__ == "__main__":
    main()
