"""What a schema cannot say, and the service therefore refuses although the schema allows it.

Everything else that fits the schema must be accepted, and everything that does not must be refused. A rule excuses a
refusal by its status, its problem and the place it names, on the operations it is about; there is no other excuse.
"""

import atexit
import collections
import re
import sys
import uuid

import schemathesis

# Nothing may be there, somebody else may have been first, a credential may lack a right: all that says nothing about
# the request. Failures of the server are judged by a check of their own.
ABOUT_THE_STATE = {401, 403, 404, 409, 429}

# (operations, problem, place or None, why no schema says it)
RULES = [
    (r"^GET ", "invalid-cursor", None, "a cursor is signed: only one that the service gave is good"),
    (r"^POST /webhooks/", "signature-invalid", None, "a body is signed by Stripe"),
    (r"^GET ", "malformed-request", "?as_of", "basis and known_at say how as_of is meant, and mean nothing without it"),
    (r"^GET ", "malformed-request", "?known_at", "known_at belongs to basis=occurred"),
    (r"^GET ", "malformed-request", "?to", "from and to lie at most ten years apart"),
    (r"^POST /v1/webhook-inbox-replays$", "validation-failed", "/filter/to", "the same in a body"),
    (r"^POST ", "unknown-plan", None, "plans are those of the catalogue"),
    (r"/checkout-sessions$", "validation-failed", "/success_path", "its origin is on a list"),
    (r"/checkout-sessions$", "validation-failed", "/cancel_path", "the same"),
    (r"/portal-sessions$", "validation-failed", "/return_path", "the same"),
    (r"/checkout-sessions$", "validation-failed", "/allow_promotion_codes", "a coupon excludes promotion codes"),
    (r"/portal-sessions$", "validation-failed", "/plan", "a plan belongs to one flow"),
    (r"/preview$", "validation-failed", "/plan", "something is to be previewed"),
    (r"/change-quantity$", "validation-failed", "", "quantity or delta, not both"),
    (r"/pause$", "validation-failed", "/until", "only the pause of collection ends by itself"),
    (r"^POST /v1/api-keys$", "validation-failed", "/expires_at", "a key ends in the future, and time passes"),
]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Takes what is sure to be refused out of the way of what else a request says, so that the rest is judged too."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.query and "cursor" in case.query and len(case.query) > 1:
        del case.query["cursor"]
    if isinstance(case.body, dict) and isinstance(case.body.get("expires_at"), str):
        case.body["expires_at"] = "2999-12-31T23:59:59Z"
    # A key belongs to the first body it came with; the fuzzer sends the same few with every body.
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())


judged = collections.Counter()
atexit.register(lambda: print("requests that fit the schema:", dict(judged), file=sys.stderr))


def excused(operation, problem):
    places = [error["pointer"] for error in problem.get("errors", [])]
    for operations, code, place, _why in RULES:
        about = re.search(operations, operation) and problem.get("code") == code
        if about and (place is None or places == [place]):
            return True
    return False


@schemathesis.check
def what_fits_the_schema_is_accepted(ctx, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return None
    status = response.status_code
    if status < 400 or status >= 500 or status in ABOUT_THE_STATE:
        judged["not refused for what they say"] += 1
        return None
    problem = response.json()
    if not excused(case.operation.label, problem):
        raise AssertionError(f"fits the schema and is refused: {problem}")
    judged[problem["code"]] += 1
    return None
