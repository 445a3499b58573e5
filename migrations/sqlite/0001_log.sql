-- The same tables, columns and keys as on Postgres. Instants are integer microseconds since 1970 in UTC, unique ids are
-- lower-case text with hyphens, JSON is the text exactly as it was hashed. `part` is always 0: one writer, one order.

-- One row: what this ledger is. A program that disagrees with it refuses to start.
create table ledger_meta (
  id integer primary key check (id = 1),
  schema_version integer not null,
  partitions integer not null check (partitions between 1 and 4096),
  hash_name text not null,
  ledger_id text not null,
  mode text not null check (mode in ('test', 'live')),
  layout text not null check (layout in ('single', 'distributed')),
  created_at integer not null
) strict;

-- The last position given out in each part.
create table log_head (
  part integer primary key,
  position integer not null default 0
) strict;

-- The facts. The first seven columns are those the stock cqrs-es repository reads.
create table events (
  aggregate_type text not null,
  aggregate_id text not null,
  sequence integer not null check (sequence >= 1),
  event_type text not null,
  event_version text not null,
  payload text not null,
  metadata text not null,
  part integer not null,
  position integer not null,
  tenant text,
  event_id text not null,
  causation_id text not null,
  correlation_id text not null,
  occurred_at integer not null,
  recorded_at integer not null,
  content_hash blob not null check (length(content_hash) = 32),
  primary key (aggregate_type, aggregate_id, sequence, part),
  unique (part, position)
) strict;

-- Signed deliveries as they came. `part` is the hash of the receipt's own key: the stream is not known yet.
create table webhook_receipts (
  part integer not null,
  source text not null,
  event_id text not null,
  body blob,
  body_digest blob not null check (length(body_digest) = 32),
  signature text not null,
  secret_name text not null,
  endpoint text not null,
  event_type text,
  livemode integer,
  received_at integer not null,
  state text not null check (state in
    ('new', 'applied', 'duplicate', 'superseded', 'ignored', 'parked', 'quarantined', 'discarded')),
  reason text,
  attempts integer not null default 0,
  next_at integer,
  stream_id text,
  stream_part integer,
  first_position integer,
  last_position integer,
  settled_at integer,
  primary key (part, source, event_id)
) strict;
-- The sweep for leftovers reads the oldest due receipts of a part; settled ones are not in it.
create index webhook_receipts_due on webhook_receipts (part, next_at, received_at) where state in ('new', 'parked');
-- An operator lists what needs a person.
create index webhook_receipts_held on webhook_receipts (part, received_at) where state in ('parked', 'quarantined');

-- Every append leaves its key here in the same transaction: what was done once is never done again.
create table inbox (
  part integer not null,
  source text not null,
  key text not null,
  request_hash blob,
  received_at integer not null,
  outcome text not null check (outcome in ('recorded', 'no_change')),
  first_position integer,
  last_position integer,
  primary key (part, source, key)
) strict, without rowid;

-- Effects intended by events, with their attempts and outcome. `position` is that of the cause.
create table outbox (
  part integer not null,
  outbox_id text not null,
  kind text not null,
  body text not null,
  cause_event_id text not null,
  position integer not null,
  state text not null check (state in ('due', 'sending', 'done', 'failed', 'unknown')),
  attempts integer not null default 0,
  next_at integer not null,
  fence integer,
  result text,
  done_at integer,
  primary key (part, outbox_id)
) strict;
create index outbox_due on outbox (part, next_at) where state in ('due', 'sending', 'unknown');

-- Who works on a part. It only saves work; safety rests on the inbox, the checkpoints and the fence.
create table lease (
  part integer not null,
  role text not null,
  owner text,
  fence integer not null default 0,
  expires_at integer,
  primary key (part, role)
) strict, without rowid;

-- How far each view has read its part of the log, in each of its two slots.
create table projection_checkpoint (
  part integer not null,
  name text not null,
  slot integer not null check (slot in (0, 1)),
  version integer not null,
  position integer not null,
  updated_at integer not null,
  stopped_reason text,
  primary key (part, name, slot)
) strict, without rowid;

-- Which slot of each view readers use. Small: one row a view.
create table projection_active (
  name text primary key,
  slot integer not null check (slot in (0, 1)),
  version integer not null,
  activated_at integer not null
) strict, without rowid;

-- Proofs over the log; written by the sealer of a later release, reserved here so that the rights are settled.
create table seal (
  part integer not null,
  seal_no integer not null,
  from_pos integer not null,
  to_pos integer not null,
  root blob not null,
  prev_seal blob not null,
  seal_hash blob not null,
  sealed_at integer not null,
  primary key (part, seal_no)
) strict;
create table epoch_seal (
  part integer not null check (part = 0),
  epoch integer not null,
  parts_root blob not null,
  prev_epoch blob not null,
  tree_root blob not null,
  key_id text not null,
  checkpoint text not null,
  sealed_at integer not null,
  witness_ref text,
  primary key (part, epoch)
) strict;

-- Which stream a customer, tenant, charge, payment intent or invoice belongs to: an authority, claimed before
-- the first append. `part` is the hash of `kind:key`.
create table directory (
  part integer not null,
  kind text not null,
  key text not null,
  stream_id text not null,
  version integer not null default 1,
  updated_at integer not null,
  primary key (part, kind, key)
) strict, without rowid;

-- Answers of commands that carried an Idempotency-Key. `status` is null while the command runs.
create table api_idempotency (
  part integer not null,
  scope text not null,
  key text not null,
  request_hash blob not null,
  command_id text not null,
  status integer,
  body text,
  created_at integer not null,
  expires_at integer not null,
  primary key (part, scope, key)
) strict;
create index api_idempotency_expired on api_idempotency (part, expires_at);

-- Appended, never changed. These stop accidents; content hashes show intent. `insert or replace` passes them unless
-- the connection sets recursive_triggers, which the writer does.
create trigger events_no_update before update on events begin
  select raise(abort, 'events is append-only');
end;
create trigger events_no_delete before delete on events begin
  select raise(abort, 'events is append-only');
end;
create trigger seal_no_update before update on seal begin
  select raise(abort, 'seal is append-only');
end;
create trigger seal_no_delete before delete on seal begin
  select raise(abort, 'seal is append-only');
end;
create trigger epoch_seal_no_update before update on epoch_seal begin
  select raise(abort, 'epoch_seal is append-only');
end;
create trigger epoch_seal_no_delete before delete on epoch_seal begin
  select raise(abort, 'epoch_seal is append-only');
end;
