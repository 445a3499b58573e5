-- One row a charge, refund, credit note, dispute, or link of a payment to the invoice it paid. `payment` is the payment
-- intent, else the charge: by it, and by `invoice`, rows that belong together find each other.
create table money_0 (
  part integer not null,
  stream_id text not null,
  object_id text not null,
  kind text not null,
  status text,
  currency text,
  amount_minor integer,
  payment text,
  invoice text,
  created_at integer,
  book text not null,
  sequence integer not null,
  position integer not null,
  recorded_at integer not null,
  primary key (part, stream_id, object_id)
) strict;
-- An account lists what it has of one kind, newest first.
create index money_0_created on money_0 (part, stream_id, kind, created_at);
create table money_1 (
  part integer not null,
  stream_id text not null,
  object_id text not null,
  kind text not null,
  status text,
  currency text,
  amount_minor integer,
  payment text,
  invoice text,
  created_at integer,
  book text not null,
  sequence integer not null,
  position integer not null,
  recorded_at integer not null,
  primary key (part, stream_id, object_id)
) strict;
create index money_1_created on money_1 (part, stream_id, kind, created_at);
