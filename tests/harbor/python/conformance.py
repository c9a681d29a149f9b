"""Asks what Harbor's description makes up, good and bad, and holds every answer against the description.

Prints `ok METHOD PATH` or `FAIL METHOD PATH: …` for each operation and `N passed, M failed` at the end; exits with 1
when anything failed. HARBOR_URL, HARBOR_USER and HARBOR_PASSWORD say where and as whom; HARBOR_EXAMPLES how many
requests of each kind are made up for an operation (6), HARBOR_SEED from which seed (1), HARBOR_BUDGET how many seconds
the run may take (150). Before the end it names the statuses that deviations.py allowed (`allowed …`).
"""

import collections
import os
import pathlib
import sys
import time
import urllib.parse

import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import deviations

URL = os.environ["HARBOR_URL"].rstrip("/")
AUTH = (os.environ["HARBOR_USER"], os.environ["HARBOR_PASSWORD"])
EXAMPLES = int(os.environ.get("HARBOR_EXAMPLES", "6"))
SEED = int(os.environ.get("HARBOR_SEED", "1"))
# Shorter than what the story that runs this allows; what is not reached is a failure, never a silent pass.
BUDGET = float(os.environ.get("HARBOR_BUDGET", "150"))
DESCRIPTION = pathlib.Path(__file__).resolve().parent.parent / "harbor-api-part-1.yaml"
# Statuses met that are not described but allowed, and how often.
MET = collections.Counter()
# Where the administrator, who has the first id, and what the next requests need, might be deleted or shut out.
FIRST_ID = {"deleteUser", "deleteUserGroup", "DeleteRobot", "setUserSysAdmin", "updateUserPassword", "updateUserProfile"}


# What is there: with these the plain request of every reading operation has to succeed, so that a server without the
# routes, which refuses everything as described, is found out.
KNOWN = {
    "project_name": os.environ["HARBOR_PROJECT"],
    "project_name_or_id": os.environ["HARBOR_PROJECT"],
    "repository_name": urllib.parse.quote(os.environ["HARBOR_REPOSITORY"], safe=""),
    "reference": os.environ["HARBOR_TAGS"].split(",")[0],
    "addition": "build_history",
    "meta_name": "public",
}
QUERIES = {
    "search": {"q": "library"},
    "headProject": {"project_name": os.environ["HARBOR_PROJECT"]},
    "searchUsers": {"username": "admin"},
    "searchUserGroups": {"groupname": "crew"},
    "ListLabels": {"scope": "g"},
}
# Refused to everyone, and only there when somebody set it up.
NEVER_PLAIN = {"getInternalconfig", "getCert"}


def plain(operation, name):
    """The plain request of an operation that only reads, when everything that its path names is known; else None."""
    if operation.method.upper() not in ("GET", "HEAD") or name in NEVER_PLAIN:
        return None
    named = [part.definition["name"] for part in operation.path_parameters]
    if any(one not in KNOWN for one in named):
        return None
    return operation.Case(path_parameters={one: KNOWN[one] for one in named}, query=QUERIES.get(name, {}))


def is_first(value):
    """Whether a server could read this as the first id."""
    try:
        return int(str(value)) == 1
    except ValueError:
        return False


def check(case, answer, name):
    """Raises when the answer is not as described."""
    checks = [not_a_server_error]
    # Told apart from a route that is not there at all, whose refusal has another code.
    if answer.status_code == 404 and case.method.upper() != "HEAD":
        assert '"NOT_FOUND"' in answer.text, f"no such route: {answer.text[:200]}"
    described = str(answer.status_code) in case.operation.definition.raw["responses"]
    place = (case.operation.method.upper(), case.operation.path, answer.status_code)
    allowed = not described and place in deviations.STATUSES
    if allowed:
        MET[place] += 1
    # Errors are JSON also where the description gives all answers of an operation the type of its good one.
    refusal = answer.status_code >= 400 and name in deviations.ERRORS_AS_JSON
    if refusal or allowed:
        # Not described: at least a refusal in Harbor's shape.
        if case.method.upper() != "HEAD":
            try:
                first = answer.json()["errors"][0]
                assert first["code"] and first["message"]
            except Exception:
                raise AssertionError(f"a refusal ({answer.status_code}) that is not of Harbor's shape: {answer.text[:200]}") from None
    else:
        checks += [status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
    case.validate_response(answer, checks=checks)


def ask(operation, name, mode):
    session = requests.Session()
    # No proxy of the machine takes part.
    session.trust_env = False
    wrong = {}

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def one(case):
        if name in FIRST_ID and any(is_first(value) for value in (case.path_parameters or {}).values()):
            return
        answer = case.call(base_url=f"{URL}/api/v2.0", session=session, auth=AUTH, timeout=20)
        try:
            check(case, answer, name)
        except (AssertionError, FailureGroup) as failure:
            told = getattr(failure, "exceptions", [failure])
            for one_failure in told:
                text = " ".join(str(one_failure).split())[:260]
                # One line a kind: a hundred of the same help nobody.
                wrong.setdefault((type(one_failure).__name__, answer.status_code), f"{case.formatted_path} -> {answer.status_code}: {text}")

    strategy = operation.as_strategy(generation_mode=mode)
    given(case=strategy)(one)()
    return wrong


def main():
    host = urllib.parse.urlsplit(URL).hostname
    if host not in ("127.0.0.1", "::1", "localhost"):
        sys.exit("only a server on this machine is asked")
    raw = yaml.safe_load(DESCRIPTION.read_text())
    schema = schemathesis.openapi.from_dict(raw)
    passed = failed = 0
    end = time.monotonic() + BUDGET
    for result in schema.get_all_operations():
        operation = result.ok()
        name = operation.definition.raw["operationId"]
        if name in deviations.LEFT_OUT:
            continue
        label = f"{operation.method.upper()} {operation.path}"
        wrong = {}
        try:
            case = plain(operation, name)
            if case is not None:
                answer = case.call(base_url=f"{URL}/api/v2.0", auth=AUTH, timeout=20)
                if answer.status_code != 200:
                    wrong[("plain", 0)] = f"the plain request {case.formatted_path} -> {answer.status_code}: {answer.text[:200]}"
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if time.monotonic() > end:
                    raise TimeoutError("the run's time was over before this was asked")
                try:
                    wrong.update(ask(operation, name, mode))
                except Exception as error:
                    # An operation without parameters can not be asked badly.
                    if mode is GenerationMode.POSITIVE or type(error).__name__ not in ("Unsatisfiable", "SkipTest", "Skipped"):
                        raise
        except Exception as error:
            wrong[("run", 0)] = f"{type(error).__name__}: {' '.join(str(error).split())[:260]}"
        if wrong:
            failed += 1
            for what in wrong.values():
                print(f"FAIL {label}: {what}", flush=True)
        else:
            passed += 1
            print(f"ok {label}", flush=True)
    for (method, path, status), times in sorted(MET.items()):
        print(f"allowed {method} {path} -> {status}: {times} times")
    for method, path, status in sorted(deviations.STATUSES.keys() - MET.keys()):
        print(f"not met {method} {path} -> {status}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
