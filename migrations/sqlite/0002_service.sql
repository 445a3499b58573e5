-- What may be deleted, and what belongs to the service rather than to the log.

-- Personal data by field, outside the log so that it can be erased; events say only that a field changed.
-- `as_of` is when the value was true at its source: an older delivery that comes late does not overwrite.
create table person (
  part integer not null,
  stream_id text not null,
  field text not null,
  value text,
  as_of integer not null,
  updated_at integer not null,
  primary key (part, stream_id, field)
) strict;

-- What a tenant said about itself. It lives in the part of its account's stream.
create table tenant_profile (
  part integer not null,
  tenant text not null,
  stream_id text not null,
  name text,
  email text,
  currency text,
  metadata text not null,
  created_at integer not null,
  updated_at integer not null,
  primary key (part, tenant)
) strict;
create index tenant_profile_stream on tenant_profile (part, stream_id);

-- API keys: the secret only as HMAC under the pepper. Few rows, all in part 0.
create table api_key (
  part integer not null check (part = 0),
  key_id text not null,
  name text not null,
  secret_hmac blob not null check (length(secret_hmac) = 32),
  scopes text not null,
  tenant text,
  cidrs text not null,
  created_at integer not null,
  expires_at integer,
  revoked_at integer,
  overlap_until integer,
  rotated_from text,
  last_used_at integer,
  primary key (part, key_id)
) strict;

-- Every plan catalogue ever loaded, so that an old event still finds its plan's words. Small.
create table catalogue_version (
  version integer primary key,
  content_hash blob not null unique check (length(content_hash) = 32),
  body text not null,
  loaded_at integer not null
) strict;
