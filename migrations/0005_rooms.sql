-- Rooms: notices, deliveries that come to an end, events that come to an end, pictures.

-- What people hear of who did not ask: written by the database itself in the statement that makes it true, posted by a worker.
create table notice (
    request uuid not null references request,
    revision integer not null,
    kind text not null check (kind in ('approvals', 'break-glass', 'unknown')),
    due_at timestamptz not null default clock_timestamp(),
    posted_at timestamptz,
    primary key (request, revision, kind)
);
create index notice_due on notice (due_at) where posted_at is null;

create function request_notice() returns trigger language plpgsql as $$
begin
    insert into notice (request, revision, kind)
    select new.id, new.revision, kind from unnest(array[
        case when new.state = 'awaiting' then 'approvals' end,
        case when new.break_glass and new.state not in ('planned', 'refused') then 'break-glass' end,
        case when new.state = 'unknown' then 'unknown' end]) kind
    where kind is not null
    on conflict do nothing;
    return null;
end $$;

create trigger request_made after insert on request for each row
    when (new.state = 'awaiting' or new.break_glass) execute function request_notice();
create trigger request_moved after update of state on request for each row
    when (new.state <> old.state and new.state in ('awaiting', 'unknown')) execute function request_notice();

alter table delivery
    -- Its message was deleted and it was posted anew; that happens once.
    add column reposted boolean not null default false,
    -- Since when every try has failed.
    add column failing_since timestamptz,
    -- Tried for long enough; `error` says what was wrong.
    add column given_up_at timestamptz;
drop index delivery_due;
create index delivery_due on delivery (platform, due_at) where shown < wanted and given_up_at is null;
create index delivery_given_up on delivery (given_up_at) where given_up_at is not null;

-- Why an event was given up; its token counts the tries.
alter table inbox add column error text;

create table picture (
    id uuid primary key,
    alt text not null,
    svg text not null,
    png bytea not null,
    at timestamptz not null
);

-- For pruning.
create index inbox_handled on inbox (handled_at) where handled_at is not null;
create index room_message_at on room_message (at);
