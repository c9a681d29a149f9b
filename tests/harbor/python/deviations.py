"""What the conformance run leaves out of Harbor's description, and where Portolan answers otherwise; each with its reason.

Nothing belongs here that Portolan could answer as described.
"""

# Why an answer is right, and to which operations it is given although the description does not list its status there.
_REASONS = [
    (400, "a list's q that can't be read; other lists say so", (
        "GET /quotas",
        "GET /system/purgeaudit",
        "GET /usergroups",
        "GET /users",
    )),
    (400, "what is searched for is needed and may not be empty", (
        "GET /usergroups/search",
        "GET /users/search",
    )),
    (400, "the scope is not of a form that is known", ("GET /users/current/permissions",)),
    (400, "a malformed body; the description forgets it here alone among the operations on a user", (
        "PUT /users/{user_id}/sysadmin",
    )),
    (404, "there is no such project; who may not read it is told the same", (
        "POST /projects/{project_name_or_id}/members",
        "GET /projects/{project_name}/logs",
        "GET /projects/{project_name}/auditlog-exts",
    )),
    (404, "there is no such group", ("DELETE /usergroups/{group_id}",)),
    (404, "there is no such user", ("PUT /users/{user_id}/password",)),
    (422, "a parameter of the wrong form: Harbor's own server answers so everywhere, before it looks at anything else", (
        "GET /audit-logs",
        "GET /auditlog-exts",
        "GET /labels",
        "DELETE /labels/{label_id}",
        "GET /labels/{label_id}",
        "PUT /labels/{label_id}",
        "HEAD /projects",
        "POST /projects",
        "DELETE /projects/{project_name_or_id}",
        "GET /projects/{project_name_or_id}",
        "PUT /projects/{project_name_or_id}",
        "GET /projects/{project_name_or_id}/_deletable",
        "GET /projects/{project_name_or_id}/members",
        "POST /projects/{project_name_or_id}/members",
        "DELETE /projects/{project_name_or_id}/members/{mid}",
        "GET /projects/{project_name_or_id}/members/{mid}",
        "PUT /projects/{project_name_or_id}/members/{mid}",
        "GET /projects/{project_name_or_id}/metadatas/",
        "POST /projects/{project_name_or_id}/metadatas/",
        "DELETE /projects/{project_name_or_id}/metadatas/{meta_name}",
        "GET /projects/{project_name_or_id}/metadatas/{meta_name}",
        "PUT /projects/{project_name_or_id}/metadatas/{meta_name}",
        "GET /projects/{project_name_or_id}/summary",
        "GET /quotas",
        "GET /quotas/{id}",
        "GET /repositories",
        "GET /robots",
        "DELETE /robots/{robot_id}",
        "GET /robots/{robot_id}",
        "PATCH /robots/{robot_id}",
        "PUT /robots/{robot_id}",
        "GET /search",
        "GET /system/purgeaudit",
        "GET /system/purgeaudit/{purge_id}",
        "PUT /system/purgeaudit/{purge_id}",
        "GET /usergroups",
        "GET /usergroups/search",
        "DELETE /usergroups/{group_id}",
        "GET /usergroups/{group_id}",
        "PUT /usergroups/{group_id}",
        "GET /users",
        "GET /users/current/permissions",
        "GET /users/search",
        "DELETE /users/{user_id}",
        "GET /users/{user_id}",
        "PUT /users/{user_id}",
        "PUT /users/{user_id}/cli_secret",
        "PUT /users/{user_id}/password",
    )),
]

# The same by (method, path, status).
STATUSES = {
    (*operation.split(" "), status): why for status, why, operations in _REASONS for operation in operations
}

# Operations whose good answer is no JSON, as the description then says of their errors too; Harbor's own errors are JSON.
ERRORS_AS_JSON = {"getCert", "getPurgeJobLog"}

# Operations that are not called, because what they may do would end the run.
LEFT_OUT = {
    "updateConfigurations": "read_only, auth_mode and the like change what every other operation answers",
}
