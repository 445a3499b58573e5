-- How far Stripe's lists have been read, by account and list. While a walk is under way: its lower edge, when it began,
-- and the last object that is recorded.
create table stripe_cursor (
  part integer not null,
  source text not null,
  list text not null,
  read_until integer not null,
  walk_since integer,
  walk_began integer,
  walk_after text,
  primary key (part, source, list)
) strict;
