-- The record (G10): entries are written inside the transaction of the change they describe, and sealed into one hash
-- chain afterwards, in batches, by whichever replica holds the lease `sealer`.

create table entry (
    id bigint generated always as identity primary key,
    -- The transaction that wrote it. Ids are given out before commit, so they become visible out of order; a snapshot
    -- of transaction ids tells exactly which entries the sealer has not seen yet.
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null,
    kind text not null check (kind <> ''),
    actor text not null check (actor <> ''),
    request uuid,
    -- json, not jsonb: it keeps the exact text that is hashed.
    body json not null
);
create index entry_xid on entry (xid);
create index entry_request on entry (request, id) where request is not null;

-- One row seals one batch of entries: their ids in chain order, and the running hash after each of them.
create table seal (
    last_seq bigint primary key,
    -- Unique: two seals can never continue from the same place, so the chain cannot fork.
    first_seq bigint not null unique,
    prev_seq bigint references seal (last_seq),
    prev_hash bytea not null check (octet_length(prev_hash) = 32),
    entry_id bigint[] not null check (array_ndims(entry_id) = 1),
    hash bytea not null,
    -- Sealed here is what `snapshot` sees and `since` did not, up to the id `cut` when the batch was full. The next
    -- seal goes on from `snapshot`, or from `cut` within the same two snapshots.
    since pg_snapshot not null,
    snapshot pg_snapshot not null,
    cut bigint,
    -- Ids up to here are settled whatever their xid: older than a restore from a dump, which counts xids anew.
    floor bigint not null,
    epoch bigint not null,
    sealed_at timestamptz not null default clock_timestamp(),
    check (first_seq = coalesce(prev_seq, 0) + 1),
    check (last_seq = first_seq + cardinality(entry_id) - 1),
    check (octet_length(hash) = 32 * cardinality(entry_id))
);
-- Hashes do not compress; do not try.
alter table seal alter column hash set storage external;
-- Which seal holds an entry, for pages: ids ascend within a seal.
create index seal_last_id on seal ((entry_id[cardinality(entry_id)]));

-- Nobody changes the record, whatever their grants. (A superuser can switch the triggers off; the chain and a
-- checkpoint kept elsewhere show that. `always`: also when a session pretends to be a replica.)
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % is refused: the record is append-only', lower(tg_op), tg_table_name
        using errcode = 'integrity_constraint_violation';
end $$;

create trigger entry_append_only before update or delete on entry for each row execute function refuse_change();
create trigger entry_no_truncate before truncate on entry for each statement execute function refuse_change();
create trigger seal_append_only before update or delete on seal for each row execute function refuse_change();
create trigger seal_no_truncate before truncate on seal for each statement execute function refuse_change();
alter table entry enable always trigger entry_append_only;
alter table entry enable always trigger entry_no_truncate;
alter table seal enable always trigger seal_append_only;
alter table seal enable always trigger seal_no_truncate;

-- What must be alone: the sealer, the checkpoint writer.
create table lease (
    name text primary key,
    holder text not null,
    -- Grows with every change of holder.
    epoch bigint not null,
    until timestamptz not null
);
