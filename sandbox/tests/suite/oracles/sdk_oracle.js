// Stripe's Node SDK against a sandbox: `calls BASE`, or `deliveries BASE SECRET` with what an endpoint received.
//
// Ends well and prints what it has checked, as a list in JSON; or fails with what is wrong.
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");

const [modules, mode, base, secret] = process.argv.slice(2);
const stripePackage = require(path.dirname(modules));
const Stripe = stripePackage.Stripe ?? stripePackage.default ?? stripePackage;
const KEY = "sk_test_oracle0123456789012345";
const checked = [];

function client(key = KEY, maxNetworkRetries = 0) {
  const url = new URL(base);
  return new Stripe(key, {
    host: url.hostname,
    port: url.port,
    protocol: "http",
    maxNetworkRetries,
    telemetry: false,
  });
}

async function send(path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(base + path, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}

// Three are made, read, one is changed, all are listed page by page; one goes.
async function walk(name, service, params, { change, remove = false, listed = {} } = {}) {
  const made = [];
  for (let number = 0; params && number < 3; number += 1) made.push(await service.create(params(number)));
  for (const one of made) {
    const again = await service.retrieve(one.id);
    assert.deepEqual([again.id, again.object], [one.id, one.object], name);
  }
  if (change) {
    const changed = await service.update(made[0].id, change);
    for (const [field, value] of Object.entries(change)) assert.deepEqual(changed[field], value, `${name}: ${field}`);
  }
  const all = await service.list({ ...listed, limit: 2 }).autoPagingToArray({ limit: 1000 });
  const seen = all.map((one) => one.id);
  assert.equal(new Set(seen).size, seen.length, name);
  assert.ok(seen.length >= 3, `${name}: more than a page`);
  const ids = made.map((one) => one.id);
  assert.deepEqual(
    seen.filter((one) => ids.includes(one)),
    ids.slice().reverse(),
    `${name}: newest first`,
  );
  if (made.length === 0) assert.equal((await service.retrieve(seen[0])).id, seen[0]);
  if (remove) assert.equal((await service.del(made[0].id)).deleted, true, name);
  checked.push(name);
  return made;
}

async function refused(kind, call, fields) {
  const error = await call().then(
    () => assert.fail(`no ${kind}`),
    (error) => error,
  );
  assert.equal(error.type, kind, error);
  for (const [field, value] of Object.entries(fields)) assert.deepEqual(error[field], value, `${kind}: ${field}`);
  assert.ok(error.requestId);
  checked.push(kind.replace(/^Stripe/, ""));
  return error;
}

// What belongs to a customer has calls of another form.
const under = (service, name, plural, customer) => ({
  create: (params) => service[`create${name}`](customer, params),
  retrieve: (id) => service[`retrieve${name}`](customer, id),
  update: (id, params) => service[`update${name}`](customer, id, params),
  list: (params) => service[`list${plural}`](customer, params),
  del: (id) => service[`delete${name}`](customer, id),
});

async function objects() {
  const stripe = client();
  const name = (n) => ({ name: `n${n}` });
  const customers = await walk("customers", stripe.customers, name, { change: { name: "changed" }, remove: true });
  const customer = customers[1].id;
  const products = await walk("products", stripe.products, name, { change: { name: "changed" } });
  const product = products[0].id;
  await walk("products that go", stripe.products, name, { remove: true });
  const price = (n) => ({ product, currency: "usd", unit_amount: n, recurring: { interval: "month" } });
  await walk("prices", stripe.prices, price, { change: { nickname: "n" } });
  const plan = (n) => ({ product, currency: "usd", amount: n, interval: "year" });
  await walk("plans", stripe.plans, plan, { change: { nickname: "n" }, remove: true });
  const off = (n) => ({ percent_off: 5 + n });
  const coupons = await walk("coupons", stripe.coupons, off, { change: { name: "c" }, remove: true });
  const promotion = { type: "coupon", coupon: coupons[1].id };
  await walk("promotion codes", stripe.promotionCodes, () => ({ promotion }), { change: { active: false } });
  const rate = () => ({ display_name: "VAT", percentage: 19, inclusive: false });
  await walk("tax rates", stripe.taxRates, rate, { change: { display_name: "TVA" } });
  const balance = under(stripe.customers, "BalanceTransaction", "BalanceTransactions", customer);
  await walk("customer balance", balance, (n) => ({ amount: -n - 1, currency: "usd" }));
  const taxIds = under(stripe.customers, "TaxId", "TaxIds", customer);
  const taxId = () => ({ type: "eu_vat", value: "DE123456789" });
  await walk("customer tax ids", taxIds, taxId, { remove: true });
  await walk("tax ids", stripe.taxIds, taxId, { remove: true });
  const sources = under(stripe.customers, "Source", "Sources", customer);
  await walk("sources", sources, () => ({ source: "tok_visa" }), { change: { name: "A" } });
  for (let n = 0; n < 3; n += 1) await stripe.paymentMethods.attach("pm_card_visa", { customer });
  await walk("payment methods", stripe.paymentMethods, null, { listed: { customer, type: "card" } });
  await walk("setup intents", stripe.setupIntents, () => ({ customer }), { change: { description: "d" } });
  const paid = (n) => ({
    amount: 2000,
    currency: "usd",
    payment_method: "pm_card_createDispute",
    confirm: true,
    return_url: "https://example.com",
    description: `${n}`,
  });
  await walk("payment intents", stripe.paymentIntents, paid, { change: { description: "d" } });
  await walk("charges", stripe.charges);
  const charge = (await stripe.charges.list()).data[0].id;
  const refund = (n) => ({ charge, amount: 5 + n });
  await walk("refunds", stripe.refunds, refund, { change: { metadata: { a: "b" } } });
  await walk("disputes", stripe.disputes);
  await walk("balance transactions", stripe.balanceTransactions);
  const endpoint = () => ({ url: "http://127.0.0.1:9/", enabled_events: ["payment_link.updated"] });
  await walk("webhook endpoints", stripe.webhookEndpoints, endpoint, { change: { description: "d" }, remove: true });
  await walk("test clocks", stripe.testHelpers.testClocks, () => ({ frozen_time: 1_700_000_000 }), { remove: true });
  await walk("events", stripe.events);
  assert.equal((await stripe.balance.retrieve()).object, "balance");
  assert.equal((await stripe.accounts.retrieveCurrent()).object, "account");
  const expand = ["data.latest_charge.balance_transaction"];
  const full = await stripe.paymentIntents.list({ limit: 1, expand });
  assert.equal(full.data[0].latest_charge.balance_transaction.object, "balance_transaction");
  const names = new Set();
  let count = 0;
  for await (const event of stripe.v2.core.events.list({ limit: 2, types: ["v1.customer.created"] })) {
    names.add(event.type);
    count += 1;
  }
  assert.ok(count >= 3, `${count} thin events`);
  assert.deepEqual([...names], ["v1.customer.created"]);
  checked.push("thin events");
}

async function errors() {
  const stripe = client();
  const payment = {
    amount: 500,
    currency: "usd",
    payment_method: "pm_card_visa_chargeDeclined",
    confirm: true,
  };
  const declined = { code: "card_declined", statusCode: 402, decline_code: "generic_decline" };
  const error = await refused("StripeCardError", () => stripe.paymentIntents.create(payment), declined);
  assert.ok(error.payment_intent.id);
  const missing = { code: "resource_missing", statusCode: 404, param: "id" };
  await refused("StripeInvalidRequestError", () => stripe.customers.retrieve("cus_none"), missing);
  const unknown = { code: "parameter_unknown", statusCode: 400, param: "nobody" };
  await refused("StripeInvalidRequestError", () => stripe.customers.create({ nobody: "x" }), unknown);
  const keyed = { idempotencyKey: "node-key" };
  const first = await stripe.customers.create({ name: "once" }, keyed);
  const again = await stripe.customers.create({ name: "once" }, keyed);
  assert.equal(first.id, again.id);
  assert.equal(first.lastResponse.headers["idempotent-replayed"], undefined);
  assert.equal(again.lastResponse.headers["idempotent-replayed"], "true");
  checked.push("replay");
  const other = () => stripe.customers.create({ name: "twice" }, keyed);
  await refused("StripeIdempotencyError", other, { statusCode: 400 });
  const stranger = client("sk_live_0123456789");
  await refused("StripeAuthenticationError", () => stranger.balance.retrieve(), { statusCode: 401 });
  await send("/_sandbox/faults", { kind: "http_429", count: 1, path: "/v1/balance" });
  const limited = { statusCode: 429, code: "rate_limit" };
  await refused("StripeRateLimitError", () => stripe.balance.retrieve(), limited);
  await send("/_sandbox/faults", { kind: "http_500", count: 1, path: "/v1/balance" });
  await refused("StripeAPIError", () => stripe.balance.retrieve(), { statusCode: 500 });
  // The SDK tries again what the sandbox says may be tried again.
  await send("/_sandbox/faults", { kind: "http_500", count: 2, path: "/v1/customers" });
  await client(KEY, 2).customers.create({ name: "third attempt" });
  checked.push("retries");
}

async function deliveries() {
  const stripe = client();
  const kinds = new Set();
  const received = JSON.parse(fs.readFileSync(0, "utf8"));
  const thin = received.map((one) => JSON.parse(one.body)).filter((one) => one.object !== "event");
  const deleted = thin.filter((one) => one.type.endsWith(".deleted"));
  const gone = new Set(deleted.map((one) => one.related_object.id));
  for (const { body, signature } of received) {
    if (JSON.parse(body).object === "event") {
      const event = stripe.webhooks.constructEvent(body, signature, secret);
      assert.ok(event.data.object.object);
      assert.equal((await stripe.events.retrieve(event.id)).type, event.type);
      kinds.add("snapshot");
    } else {
      const event = stripe.parseEventNotification(body, signature, secret);
      assert.match(event.type, /^v1\./);
      assert.equal((await event.fetchEvent()).id, event.id);
      if (event.related_object && !gone.has(event.related_object.id)) {
        assert.equal((await event.fetchRelatedObject()).id, event.related_object.id);
      }
      kinds.add("thin");
    }
    const verify = (...given) => stripe.webhooks.signature.verifyHeader(...given);
    assert.throws(() => verify(`${body} `, signature, secret, 300));
    assert.throws(() => verify(body, signature, `${secret}x`, 300));
  }
  checked.push(...[...kinds].sort());
}

(mode === "calls" ? objects().then(errors) : deliveries()).then(
  () => console.log(JSON.stringify(checked)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
