"""Stripe's Python SDK against a sandbox: `calls BASE`, or `deliveries BASE SECRET` with what an endpoint received.

Ends well and prints what it has checked, as a list in JSON; or fails with what is wrong.
"""

import json
import sys
import urllib.request

import stripe

KEY = "sk_test_oracle0123456789012345"
checked = []


def client(base, key=KEY, retries=0):
    bases = {"api": base, "meter_events": base}
    return stripe.StripeClient(key, base_addresses=bases, max_network_retries=retries)


def switch(base, path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=20))


def walk(name, service, params=None, change=None, remove=False, under=(), listed=None, retrieve=True):
    """Three are made, read, one is changed, all are listed page by page; one goes."""
    made = []
    if params is not None:
        for number in range(3):
            made.append(service.create(*under, params=params(number)))
    for one in made if retrieve else []:
        again = service.retrieve(*under, one.id)
        assert (again.id, type(again)) == (one.id, type(one)), (name, again)
    if change:
        assert made, name
        changed = service.update(*under, made[0].id, params=change).to_dict()
        for field, value in change.items():
            assert changed[field] == value, (name, field, changed)
    pages = service.list(*under, params={**(listed or {}), "limit": 2})
    seen = [one.id for one in pages.auto_paging_iter()]
    assert len(seen) == len(set(seen)), (name, seen)
    assert len(seen) >= 3, (name, seen, "more than a page")
    assert [one.id for one in reversed(made)] == [one for one in seen if one in {m.id for m in made}], (name, seen)
    if not made:
        service.retrieve(*under, seen[0])
    if remove:
        assert service.delete(*under, made[0].id).deleted is True, name
    checked.append(name)
    return made


def refused(kind, call, **fields):
    try:
        call()
    except stripe.StripeError as error:
        assert type(error) is kind, (kind, error)
        for field, value in fields.items():
            assert getattr(error, field) == value, (field, getattr(error, field), value)
        assert error.request_id, error
        checked.append(kind.__name__)
        return error
    raise AssertionError(f"no {kind}")


def objects(base):
    v1 = client(base).v1
    customer = walk("customers", v1.customers, lambda n: {"name": f"n{n}"}, {"name": "changed"}, remove=True)[1].id
    product = walk("products", v1.products, lambda n: {"name": f"p{n}"}, {"name": "changed"})[0].id
    walk("products that go", v1.products, lambda n: {"name": f"q{n}"}, remove=True)
    recurring = {"interval": "month"}
    price = lambda n: {"product": product, "currency": "usd", "unit_amount": n, "recurring": recurring}
    walk("prices", v1.prices, price, {"nickname": "n"})
    walk("plans", v1.plans, lambda n: {"product": product, "currency": "usd", "amount": n, "interval": "year"},
         {"nickname": "n"}, remove=True)
    coupon = walk("coupons", v1.coupons, lambda n: {"percent_off": 5 + n}, {"name": "c"}, remove=True)[1].id
    walk("promotion codes", v1.promotion_codes, lambda n: {"promotion": {"type": "coupon", "coupon": coupon}},
         {"active": False})
    walk("tax rates", v1.tax_rates, lambda n: {"display_name": "VAT", "percentage": 19, "inclusive": False},
         {"display_name": "TVA"})
    walk("customer balance", v1.customers.balance_transactions, lambda n: {"amount": -n - 1, "currency": "usd"},
         under=(customer,))
    walk("customer tax ids", v1.customers.tax_ids, lambda n: {"type": "eu_vat", "value": "DE123456789"},
         under=(customer,), remove=True)
    walk("tax ids", v1.tax_ids, lambda n: {"type": "eu_vat", "value": "DE123456789"}, remove=True)
    walk("sources", v1.customers.payment_sources, lambda n: {"source": "tok_visa"}, {"name": "A"}, under=(customer,))
    for number in range(3):
        v1.payment_methods.attach("pm_card_visa", params={"customer": customer})
    walk("payment methods", v1.payment_methods, listed={"customer": customer, "type": "card"})
    walk("setup intents", v1.setup_intents, lambda n: {"customer": customer}, {"description": "d"})
    paid = {"amount": 2000, "currency": "usd", "payment_method": "pm_card_createDispute", "confirm": True,
            "return_url": "https://example.com"}
    walk("payment intents", v1.payment_intents, lambda n: {**paid, "description": f"{n}"}, {"description": "d"})
    walk("charges", v1.charges)
    charges = list(v1.charges.list())
    walk("refunds", v1.refunds, lambda n: {"charge": charges[0].id, "amount": 5 + n}, {"metadata": {"a": "b"}})
    walk("disputes", v1.disputes)
    walk("balance transactions", v1.balance_transactions)
    walk("webhook endpoints", v1.webhook_endpoints,
         lambda n: {"url": "http://127.0.0.1:9/", "enabled_events": ["payment_link.updated"]},
         {"description": "d"}, remove=True)
    walk("test clocks", v1.test_helpers.test_clocks, lambda n: {"frozen_time": 1_700_000_000}, remove=True)
    walk("events", v1.events)
    assert v1.balance.retrieve().object == "balance"
    assert v1.accounts.retrieve_current().object == "account"
    # Parts are there when they are asked for.
    full = v1.payment_intents.list(params={"limit": 1, "expand": ["data.latest_charge.balance_transaction"]})
    assert full.data[0].latest_charge.balance_transaction.object == "balance_transaction"
    thin = client(base).v2.core.events.list(params={"limit": 2, "types": ["v1.customer.created"]})
    names = [event.type for event in thin.auto_paging_iter()]
    assert len(names) >= 3 and set(names) == {"v1.customer.created"}, names
    checked.append("thin events")


def errors(base):
    v1 = client(base).v1
    payment = {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa_chargeDeclined", "confirm": True}
    error = refused(stripe.CardError, lambda: v1.payment_intents.create(payment), code="card_declined",
                    http_status=402)
    assert error.error.decline_code == "generic_decline" and error.error.payment_intent.id, error.error
    refused(stripe.InvalidRequestError, lambda: v1.customers.retrieve("cus_none"), code="resource_missing",
            http_status=404, param="id")
    refused(stripe.InvalidRequestError, lambda: v1.customers.create({"nobody": "x"}), code="parameter_unknown",
            http_status=400, param="nobody")
    keyed = {"idempotency_key": "python-key"}
    first = v1.customers.create({"name": "once"}, keyed)
    again = v1.customers.create({"name": "once"}, keyed)
    assert (first.id, first.last_response.headers.get("idempotent-replayed")) == (again.id, None)
    assert again.last_response.headers["idempotent-replayed"] == "true"
    checked.append("replay")
    refused(stripe.IdempotencyError, lambda: v1.customers.create({"name": "twice"}, keyed), http_status=400)
    other = client(base, "sk_live_0123456789").v1
    refused(stripe.AuthenticationError, other.balance.retrieve, http_status=401)
    switch(base, "/_sandbox/faults", {"kind": "http_429", "count": 1, "path": "/v1/balance"})
    # The SDK keeps the code of this one in the body alone.
    error = refused(stripe.RateLimitError, v1.balance.retrieve, http_status=429)
    assert error.error.code == "rate_limit", error.error
    switch(base, "/_sandbox/faults", {"kind": "http_500", "count": 1, "path": "/v1/balance"})
    refused(stripe.APIError, v1.balance.retrieve, http_status=500)
    # The SDK tries again what the sandbox says may be tried again.
    switch(base, "/_sandbox/faults", {"kind": "http_500", "count": 2, "path": "/v1/customers"})
    client(base, retries=2).v1.customers.create({"name": "third attempt"})
    checked.append("retries")


def deliveries(base, secret):
    asked = client(base)
    received = json.load(sys.stdin)
    kinds = set()
    thin = [json.loads(one["body"]) for one in received]
    gone = {one["related_object"]["id"] for one in thin if one["object"] != "event" and one["type"].endswith(".deleted")}
    for one in received:
        body, signature = one["body"], one["signature"]
        if json.loads(body)["object"] == "event":
            event = asked.construct_event(body, signature, secret)
            assert type(event) is stripe.Event and event.data.object.object, event
            assert asked.v1.events.retrieve(event.id).type == event.type
            kinds.add("snapshot")
        else:
            event = asked.parse_event_notification(body, signature, secret)
            assert event.type.startswith("v1."), event
            assert event.fetch_event().id == event.id
            if event.related_object is not None and event.related_object.id not in gone:
                assert event.fetch_related_object().id == event.related_object.id, event
            kinds.add("thin")
        for wrong in [(body + " ", signature, secret), (body, signature, secret + "x")]:
            try:
                stripe.WebhookSignature.verify_header(wrong[0], wrong[1], wrong[2])
            except stripe.SignatureVerificationError:
                continue
            raise AssertionError("a wrong signature was taken")
    checked.extend(sorted(kinds))


if sys.argv[1] == "calls":
    objects(sys.argv[2])
    errors(sys.argv[2])
else:
    deliveries(sys.argv[2], sys.argv[3])
print(json.dumps(checked))
