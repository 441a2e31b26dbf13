-- Healing: events, troubles, incidents, silences, storms, and the brakes on healing. What the values in `doc` mean is in the crate
-- `heal`; the columns beside it are what is searched for and what must be unique.

-- What was told through [[intake]]: durable before it is acknowledged, folded into incidents afterwards.
create table event (
    id bigint generated always as identity primary key,
    -- The same key is the same message about the same event.
    key text not null unique,
    source text not null,
    body json not null,
    at timestamptz not null,
    handled_at timestamptz
);
create index event_due on event (id) where handled_at is null;
create index event_handled on event (handled_at) where handled_at is not null;

-- Trouble at one place, from its first event to its end.
create table incident (
    id uuid primary key,
    place text not null,
    cluster text,
    doc json not null,
    -- What is being done about it.
    handling json not null,
    -- The request it waits for, and the state that was last seen of it.
    request uuid,
    request_state text,
    opened_at timestamptz not null,
    ended_at timestamptz,
    -- When a worker is to look at it again; while one does, the end of its claim.
    due_at timestamptz not null
);
create unique index incident_open on incident (place) where ended_at is null;
create index incident_due on incident (due_at) where ended_at is null;
create index incident_cluster on incident (cluster) where ended_at is null;
create index incident_opened on incident (opened_at);

-- It ends once.
create function incident_guard() returns trigger language plpgsql as $$
begin
    raise exception 'incident % has ended and never changes', old.id using errcode = 'check_violation';
end $$;
create trigger incident_guard before update on incident for each row
    when (old.ended_at is not null) execute function incident_guard();

-- What is known about one fingerprint, and the last event that said it goes on.
create table trouble (
    fingerprint text primary key,
    cluster text,
    name text not null,
    incident uuid references incident,
    going_on boolean not null,
    -- While it comes and goes: when it will have calmed down.
    settle_at timestamptz,
    began_at timestamptz,
    doc json not null,
    event json not null,
    at timestamptz not null
);
create index trouble_settle on trouble (settle_at) where settle_at is not null;
create index trouble_began on trouble (cluster, began_at);
create index trouble_incident on trouble (incident);
create index trouble_name on trouble (cluster, name) where going_on;
create index trouble_over on trouble (at) where not going_on;

create table silence (
    id uuid primary key,
    doc json not null,
    until timestamptz not null
);
create index silence_until on silence (until);

create table storm (
    cluster text primary key,
    doc json not null,
    rages boolean not null
);

-- G8, of one rule and one place.
create table brake (
    rule text not null,
    place text not null,
    cluster text,
    doc json not null,
    blocked_at timestamptz,
    primary key (rule, place)
);
create index brake_blocked on brake (blocked_at) where blocked_at is not null;

-- Healings that were begun: caps and limits count them.
create table attempt (
    id uuid primary key,
    incident uuid not null references incident,
    rule text not null,
    cluster text,
    doc json not null,
    at timestamptz not null,
    ended_at timestamptz,
    -- effective, ineffective, not_done
    result text,
    check ((result is null) = (ended_at is null))
);
create index attempt_rule on attempt (rule, at);
create index attempt_cluster on attempt (cluster, at);

-- A card shows a request or an incident, drawn from its state when it is delivered, or says one thing once.
alter table card add column incident uuid unique;
alter table card drop constraint card_check;
alter table card add constraint card_subject check (num_nonnulls(request, incident, said) = 1);

-- Why a person must agree, whatever policy says.
alter table request add column with_person text;
alter table request add constraint request_with_person
    check (with_person is null or decision ->> 'decision' <> 'allow');
create function request_with_person_guard() returns trigger language plpgsql as $$
begin
    raise exception 'what was asked in request % never changes', old.id using errcode = 'check_violation';
end $$;
create trigger request_with_person_guard before update on request for each row
    when (new.with_person is distinct from old.with_person) execute function request_with_person_guard();
