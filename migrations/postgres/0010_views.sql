-- The views. Each has two slots of one shape: readers use one while the other is rebuilt, and `projection_active`
-- says which. Rows carry the part of their stream, so that a row and its checkpoint share a transaction.

-- One row an account: who it is, the words lists filter by, and the book of its objects as JSON, from which reads
-- answer. `first_seen_at` and what follows `book` are bookkeeping: they depend on the order of arrival.
create table status_0 (
  part int not null,
  stream_id text not null,
  tenant text,
  customer text,
  status text not null,
  plan text,
  currency text,
  book text not null,
  first_seen_at timestamptz not null,
  sequence bigint not null,
  position bigint not null,
  changed_at timestamptz not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id)
);
-- Tenants are listed in their own order, over all parts.
create index status_0_tenant on status_0 (tenant, part);
-- An account is found by its Stripe customer when the directory is not at hand.
create index status_0_customer on status_0 (customer, part);
-- Finance lists accounts nobody owns, oldest first.
create index status_0_unassigned on status_0 (first_seen_at, part, stream_id) where tenant is null;
create table status_1 (
  part int not null,
  stream_id text not null,
  tenant text,
  customer text,
  status text not null,
  plan text,
  currency text,
  book text not null,
  first_seen_at timestamptz not null,
  sequence bigint not null,
  position bigint not null,
  changed_at timestamptz not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id)
);
create index status_1_tenant on status_1 (tenant, part);
create index status_1_customer on status_1 (customer, part);
create index status_1_unassigned on status_1 (first_seen_at, part, stream_id) where tenant is null;

-- One row an account: its subscriptions and disputes as JSON, all that decides what it may do.
create table entitlements_0 (
  part int not null,
  stream_id text not null,
  holdings text not null,
  sequence bigint not null,
  position bigint not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id)
);
create table entitlements_1 (
  part int not null,
  stream_id text not null,
  holdings text not null,
  sequence bigint not null,
  position bigint not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id)
);

-- One row an account: plans and quantities that give its limits, and what its windows turn on.
create table quota_0 (
  part int not null,
  stream_id text not null,
  holdings text not null,
  opened_at timestamptz not null,
  sequence bigint not null,
  position bigint not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id)
);
create table quota_1 (
  part int not null,
  stream_id text not null,
  holdings text not null,
  opened_at timestamptz not null,
  sequence bigint not null,
  position bigint not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id)
);

-- One row an invoice. Whose it is stands in the account's row, because a tenant can be assigned later.
create table invoices_0 (
  part int not null,
  stream_id text not null,
  invoice_id text not null,
  status text,
  number text,
  currency text,
  total_minor bigint,
  amount_due_minor bigint,
  amount_paid_minor bigint,
  created_at timestamptz,
  book text not null,
  sequence bigint not null,
  position bigint not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id, invoice_id)
);
-- An account lists its invoices, newest first.
create index invoices_0_created on invoices_0 (part, stream_id, created_at);
create table invoices_1 (
  part int not null,
  stream_id text not null,
  invoice_id text not null,
  status text,
  number text,
  currency text,
  total_minor bigint,
  amount_due_minor bigint,
  amount_paid_minor bigint,
  created_at timestamptz,
  book text not null,
  sequence bigint not null,
  position bigint not null,
  recorded_at timestamptz not null,
  primary key (part, stream_id, invoice_id)
);
create index invoices_1_created on invoices_1 (part, stream_id, created_at);

-- One slim row an event; payload, cause and hashes are read from `events` by (part, position). Every index ends in
-- position, because a listing goes on from one position in each part.
create table audit_0 (
  part int not null,
  position bigint not null,
  stream_id text not null,
  sequence bigint not null,
  tenant text,
  family text not null,
  event_type text not null,
  actor text not null,
  receipt text,
  event_id text not null,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  primary key (part, position)
);
-- The history of one account.
create index audit_0_stream on audit_0 (part, stream_id, position);
-- All that bears a tenant's name, in derived streams too.
create index audit_0_tenant on audit_0 (part, tenant, position);
-- One kind of event; a family is a list of types.
create index audit_0_type on audit_0 (part, event_type, position);
-- What one person, key or Stripe event caused.
create index audit_0_actor on audit_0 (part, actor, position);
-- A span of time.
create index audit_0_recorded on audit_0 (part, recorded_at, position);
create table audit_1 (
  part int not null,
  position bigint not null,
  stream_id text not null,
  sequence bigint not null,
  tenant text,
  family text not null,
  event_type text not null,
  actor text not null,
  receipt text,
  event_id text not null,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  primary key (part, position)
);
create index audit_1_stream on audit_1 (part, stream_id, position);
create index audit_1_tenant on audit_1 (part, tenant, position);
create index audit_1_type on audit_1 (part, event_type, position);
create index audit_1_actor on audit_1 (part, actor, position);
create index audit_1_recorded on audit_1 (part, recorded_at, position);
