-- The log and what the writers keep beside it. Rules for every table that grows: it carries `part`, every key
-- contains `part`, and order never comes from an identity column, a sequence or a trigger, so that the same
-- tables can be spread over several servers by `part`.

-- One row: what this ledger is. A program that disagrees with it refuses to start.
create table ledger_meta (
  id int primary key check (id = 1),
  schema_version int not null,
  partitions int not null check (partitions between 1 and 4096),
  hash_name text not null,
  ledger_id uuid not null,
  mode text not null check (mode in ('test', 'live')),
  layout text not null check (layout in ('single', 'distributed')),
  created_at timestamptz not null
);

-- The last position given out in each part. Almost empty pages keep its updates inside the page (HOT).
create table log_head (
  part int primary key,
  position bigint not null default 0
) with (fillfactor = 10);

-- The facts. The first seven columns are those the stock cqrs-es repository reads. `json` keeps the text
-- exactly as it was hashed; `jsonb` would reorder it.
create table events (
  aggregate_type text not null,
  aggregate_id text not null,
  sequence bigint not null check (sequence >= 1),
  event_type text not null,
  event_version text not null,
  payload json not null,
  metadata json not null,
  part int not null,
  position bigint not null,
  tenant text,
  event_id uuid not null,
  causation_id text not null,
  correlation_id text not null,
  occurred_at timestamptz not null,
  recorded_at timestamptz not null,
  content_hash bytea not null check (octet_length(content_hash) = 32),
  primary key (aggregate_type, aggregate_id, sequence, part),
  unique (part, position)
);

-- Signed deliveries as they came. `part` is the hash of the receipt's own key: the stream is not known yet.
create table webhook_receipts (
  part int not null,
  source text not null,
  event_id text not null,
  body bytea,
  body_digest bytea not null check (octet_length(body_digest) = 32),
  signature text not null,
  secret_name text not null,
  endpoint text not null,
  event_type text,
  livemode boolean,
  received_at timestamptz not null,
  state text not null check (state in
    ('new', 'applied', 'duplicate', 'superseded', 'ignored', 'parked', 'quarantined', 'discarded')),
  reason text,
  attempts int not null default 0,
  next_at timestamptz,
  stream_id text,
  stream_part int,
  first_position bigint,
  last_position bigint,
  settled_at timestamptz,
  primary key (part, source, event_id)
);
-- A body is 3 to 6 kB of JSON. lz4 takes a third of the time of Postgres' own compression, which was a tenth of all the
-- work of a webhook; out of line, an outcome is written beside it without writing it again. A server that was built
-- without lz4 compresses by its own way.
alter table webhook_receipts set (toast_tuple_target = 256);
do $$ begin
  execute 'alter table webhook_receipts alter column body set compression lz4';
exception when feature_not_supported then
  null;
end $$;
-- The sweep for leftovers reads the oldest due receipts of a part; settled ones are not in it.
create index webhook_receipts_due on webhook_receipts (part, next_at, received_at) where state in ('new', 'parked');
-- An operator lists what needs a person.
create index webhook_receipts_held on webhook_receipts (part, received_at) where state in ('parked', 'quarantined');

-- Every append leaves its key here in the same transaction: what was done once is never done again.
create table inbox (
  part int not null,
  source text not null,
  key text not null,
  request_hash bytea,
  received_at timestamptz not null,
  outcome text not null check (outcome in ('recorded', 'no_change')),
  first_position bigint,
  last_position bigint,
  primary key (part, source, key)
);

-- Effects intended by events, with their attempts and outcome. `position` is that of the cause.
create table outbox (
  part int not null,
  outbox_id uuid not null,
  kind text not null,
  body json not null,
  cause_event_id uuid not null,
  position bigint not null,
  state text not null check (state in ('due', 'sending', 'done', 'failed', 'unknown')),
  attempts int not null default 0,
  next_at timestamptz not null,
  fence bigint,
  result json,
  done_at timestamptz,
  primary key (part, outbox_id)
);
create index outbox_due on outbox (part, next_at) where state in ('due', 'sending', 'unknown');

-- Who works on a part. It only saves work; safety rests on the inbox, the checkpoints and the fence.
create table lease (
  part int not null,
  role text not null,
  owner text,
  fence bigint not null default 0,
  expires_at timestamptz,
  primary key (part, role)
);

-- How far each view has read its part of the log, in each of its two slots.
create table projection_checkpoint (
  part int not null,
  name text not null,
  slot int not null check (slot in (0, 1)),
  version int not null,
  position bigint not null,
  updated_at timestamptz not null,
  stopped_reason text,
  primary key (part, name, slot)
);

-- Which slot of each view readers use. Small: one row a view.
create table projection_active (
  name text primary key,
  slot int not null check (slot in (0, 1)),
  version int not null,
  activated_at timestamptz not null
);

-- Proofs over the log; written by the sealer of a later release, reserved here so that the rights are settled.
create table seal (
  part int not null,
  seal_no bigint not null,
  from_pos bigint not null,
  to_pos bigint not null,
  root bytea not null,
  prev_seal bytea not null,
  seal_hash bytea not null,
  sealed_at timestamptz not null,
  primary key (part, seal_no)
);
create table epoch_seal (
  part int not null check (part = 0),
  epoch bigint not null,
  parts_root bytea not null,
  prev_epoch bytea not null,
  tree_root bytea not null,
  key_id text not null,
  checkpoint text not null,
  sealed_at timestamptz not null,
  witness_ref text,
  primary key (part, epoch)
);

-- Which stream a customer, tenant, charge, payment intent or invoice belongs to: an authority, claimed before
-- the first append. `part` is the hash of `kind:key`.
create table directory (
  part int not null,
  kind text not null,
  key text not null,
  stream_id text not null,
  version int not null default 1,
  updated_at timestamptz not null,
  primary key (part, kind, key)
);

-- Answers of commands that carried an Idempotency-Key. `status` is null while the command runs.
create table api_idempotency (
  part int not null,
  scope text not null,
  key text not null,
  request_hash bytea not null,
  command_id uuid not null,
  status int,
  body json,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (part, scope, key)
);
create index api_idempotency_expired on api_idempotency (part, expires_at);
