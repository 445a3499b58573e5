"""Answers signature questions with the official Python SDK: a JSON list in, a JSON list out."""
import json
import sys

import stripe
from stripe import _webhook


def answer(question):
    body = bytes.fromhex(question["body"])
    try:
        if question["do"] == "sign":
            return stripe.WebhookSignature.generate_signature_header(
                body.decode("utf-8"), question["secret"], question["now"]
            )
        _webhook.time.time = lambda: question["now"]
        stripe.WebhookSignature.verify_header(body, question["header"], question["secret"], 300)
        return "accepted"
    except (stripe.SignatureVerificationError, UnicodeDecodeError) as refusal:
        return "refused: " + str(refusal)[:80]


print(json.dumps([answer(question) for question in json.load(sys.stdin)]))
