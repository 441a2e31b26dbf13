-- Who a person is on another platform, by their own word: a one-time code shown in one chat and typed in another.

-- One per person: a new code replaces the one before.
create table link_offer (
    person text primary key,
    -- The identity that it was shown to, and where.
    actor text not null,
    place text,
    -- The inbox key or the like of the line that asked for it.
    key text not null,
    -- SHA-256 of the code.
    code bytea not null unique check (octet_length(code) = 32),
    expires_at timestamptz not null,
    used_by text,
    used_at timestamptz,
    check ((used_by is null) = (used_at is null))
);

create table identity (
    actor text primary key,
    person text not null,
    -- The identity that vouched.
    by_actor text not null,
    linked_at timestamptz not null,
    unlinked_at timestamptz
);
create index identity_person on identity (person) where unlinked_at is null;

-- Wrong codes, per identity that typed them.
create table link_attempt (
    actor text primary key,
    failures integer not null,
    since timestamptz not null
);

-- G4 holds also when an identity goes from one person to another: one identity has one vote, and none on what it asked for.
create or replace function vote_guard() returns trigger language plpgsql as $$
begin
    perform from request r
    where r.id = new.request and r.revision = new.revision and r.digest = new.digest and r.person <> new.person
      and r.actor <> new.actor and r.state = 'awaiting'
      and not exists (select from vote v where v.request = r.id and v.revision = r.revision and v.actor = new.actor);
    if not found then
        raise exception 'this vote on request % does not count', new.request using errcode = 'check_violation';
    end if;
    return new;
end $$;
