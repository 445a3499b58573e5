-- What may be deleted, and what belongs to the service rather than to the log.

-- Personal data by field, outside the log so that it can be erased; events say only that a field changed.
-- `as_of` is when the value was true at its source: an older delivery that comes late does not overwrite.
create table person (
  part int not null,
  stream_id text not null,
  field text not null,
  value text,
  as_of timestamptz not null,
  updated_at timestamptz not null,
  primary key (part, stream_id, field)
);

-- What a tenant said about itself. It lives in the part of its account's stream.
create table tenant_profile (
  part int not null,
  tenant text not null,
  stream_id text not null,
  name text,
  email text,
  currency text,
  metadata json not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (part, tenant)
);
create index tenant_profile_stream on tenant_profile (part, stream_id);

-- API keys: the secret only as HMAC under the pepper. Few rows, all in part 0.
create table api_key (
  part int not null check (part = 0),
  key_id text not null,
  name text not null,
  secret_hmac bytea not null check (octet_length(secret_hmac) = 32),
  scopes json not null,
  tenant text,
  cidrs json not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  overlap_until timestamptz,
  rotated_from text,
  last_used_at timestamptz,
  primary key (part, key_id)
);

-- Every plan catalogue ever loaded, so that an old event still finds its plan's words. Small.
create table catalogue_version (
  version int primary key,
  content_hash bytea not null unique check (octet_length(content_hash) = 32),
  body text not null,
  loaded_at timestamptz not null
);
