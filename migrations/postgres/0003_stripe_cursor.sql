-- How far Stripe's lists have been read, by account and list. While a walk is under way: its lower edge, when it began,
-- and the last object that is recorded.
create table stripe_cursor (
  part int not null,
  source text not null,
  list text not null,
  read_until timestamptz not null,
  walk_since timestamptz,
  walk_began timestamptz,
  walk_after text,
  primary key (part, source, list)
);
