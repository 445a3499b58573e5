-- Tickets that open one stream once: only their hash, whom they speak for and until when. Few rows, all in part 0;
-- using one deletes it, and issuing one deletes those that ended.
create table stream_ticket (
  part integer not null check (part = 0),
  ticket_hash blob not null check (length(ticket_hash) = 32),
  stream text not null,
  speaks_for text not null,
  expires_at integer not null,
  primary key (part, ticket_hash)
) strict;
