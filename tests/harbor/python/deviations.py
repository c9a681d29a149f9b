"""What the conformance run leaves out of Harbor's description, and where Portolan answers otherwise; each with its reason.

Nothing belongs here that Portolan could answer as described.
"""

# Statuses that are right although the description does not list them for the operation: (operationId or "*", status, why).
STATUSES = [
    ("*", 401, "credentials are asked for everywhere; the description forgets it in places (listProjects of a private owner)"),
    ("*", 404, "who may not read is told that nothing is there, where Harbor says 403"),
    ("*", 403, "forgotten in places: deciding comes before looking at the body (createProject, labels, audit logs)"),
    ("*", 422, "Harbor's own server answers it to every parameter of the wrong form; the description lists it rarely"),
    ("*", 400, "a malformed body is answered so by every operation, listed or not"),
    ("*", 409, "what is there already (updateUserProfile with another's email address)"),
    ("*", 413, "a body over the limit"),
    ("*", 415, "a body of another type"),
]

# Operations whose good answer is no JSON, as the description then says of their errors too; Harbor's own errors are JSON.
ERRORS_AS_JSON = {"getCert", "getPurgeJobLog"}

# Operations that are not called, because what they may do would end the run.
LEFT_OUT = {
    "updateConfigurations": "read_only, auth_mode and the like change what every other operation answers",
    "updateUserPassword": "might hit upon the administrator's own",
    "setUserSysAdmin": "might hit upon the administrator",
    "updateUserProfile": "might hit upon the administrator",
}
