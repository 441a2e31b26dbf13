-- Requests, votes, runs and steps. The state machine in ledger/src/words/request.rs decides; what stands here is the same
-- promises as the database itself keeps them, whoever writes.

create table request (
    id          uuid primary key,
    key         text not null unique,
    actor       text not null,
    person      text not null,
    place       text,
    line        text not null,
    why         text,
    action      text not null,
    -- json, not jsonb: a digest is taken over exactly what was written.
    parameters  json not null,
    cluster     text not null,
    namespace   text,
    kind        text not null,
    name        text not null,
    -- Target::key, what two runs must not hold at once.
    target      text not null,
    break_glass boolean not null,
    dry_run     boolean not null,
    revision    integer not null check (revision >= 1),
    plan        json not null,
    digest      bytea not null check (octet_length(digest) = 32),
    decision    json not null,
    policy      text not null,
    state       text not null check (state in (
        'planned', 'awaiting', 'approved', 'running', 'verifying', 'succeeded', 'refused', 'denied', 'expired', 'cancelled',
        'failed', 'rolled_back', 'unknown')),
    note        text,
    expires_at  timestamptz,
    cancel      text,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,

    -- What waits has an end to its waiting (G2).
    check ((state in ('awaiting', 'approved')) = (expires_at is not null)),
    -- A dry run never runs.
    check (state <> 'planned' or dry_run),
    check (not dry_run or state in ('planned', 'refused')),
    -- Policy's word stands.
    check ((state = 'refused') = (decision ->> 'decision' = 'refuse')),
    check (state not in ('awaiting', 'denied') or decision ->> 'decision' = 'needs'),
    -- Only what has started needs a mark to be called off.
    check (cancel is null or state in ('running', 'verifying', 'succeeded', 'cancelled', 'failed', 'rolled_back', 'unknown'))
)
-- A request changes some four times in its life. No index is on its state, and there is room beside it, so that most of its
-- changes touch no index. Those at work are found through their runs.
with (fillfactor = 60);

create index request_created on request (created_at desc);
create index request_target on request (target, created_at desc);
create index request_person on request (person, created_at desc);
create index request_cluster on request (cluster, created_at desc);
-- The eight characters that people type (RequestId::short).
create index request_short on request (right(id::text, 8));
create index request_expiring on request (expires_at) where expires_at is not null;

-- Which state may follow which, and what never changes.
create function request_guard() returns trigger language plpgsql as $$
begin
    if (new.id, new.key, new.actor, new.person, new.place, new.line, new.why, new.action, new.parameters::text, new.cluster,
        new.namespace, new.kind, new.name, new.target, new.break_glass, new.dry_run, new.created_at)
       is distinct from
       (old.id, old.key, old.actor, old.person, old.place, old.line, old.why, old.action, old.parameters::text, old.cluster,
        old.namespace, old.kind, old.name, old.target, old.break_glass, old.dry_run, old.created_at) then
        raise exception 'what was asked in request % never changes', old.id using errcode = 'check_violation';
    end if;
    if new.revision = old.revision then
        if (new.digest, new.plan::text, new.decision::text, new.policy)
           is distinct from (old.digest, old.plan::text, old.decision::text, old.policy) then
            raise exception 'another plan for request % is another revision', old.id using errcode = 'check_violation';
        end if;
        if not (case old.state
            when 'awaiting'  then new.state in ('awaiting', 'approved', 'denied', 'expired', 'cancelled')
            when 'approved'  then new.state in ('running', 'expired', 'cancelled')
            when 'running'   then new.state in ('running', 'verifying', 'failed', 'rolled_back', 'unknown', 'cancelled')
            when 'verifying' then new.state in ('verifying', 'succeeded', 'failed', 'rolled_back', 'unknown', 'cancelled')
            else false
        end) then
            raise exception 'request % cannot go from % to %', old.id, old.state, new.state using errcode = 'check_violation';
        end if;
        -- By this clock too, with room for clocks that differ (G2).
        if new.state = 'running' and old.state = 'approved' and old.expires_at < now() - interval '5 minutes' then
            raise exception 'request % has expired', old.id using errcode = 'check_violation';
        end if;
    elsif new.revision <> old.revision + 1 or old.state <> 'running' or new.state not in ('awaiting', 'approved', 'refused') then
        raise exception 'request % cannot be planned anew from % to %', old.id, old.state, new.state using errcode = 'check_violation';
    end if;
    return new;
end $$;

create trigger request_guard before update on request for each row execute function request_guard();

-- One person, one vote on one revision.
create table vote (
    request  uuid not null references request,
    revision integer not null,
    person   text not null,
    actor    text not null,
    groups   text[] not null,
    verdict  text not null check (verdict in ('approve', 'deny')),
    digest   bytea not null,
    reason   text,
    typed    text,
    at       timestamptz not null,
    primary key (request, revision, person)
);

-- A vote is on the plan that stands, by someone else, while it is asked for.
create function vote_guard() returns trigger language plpgsql as $$
begin
    perform from request r
    where r.id = new.request and r.revision = new.revision and r.digest = new.digest and r.person <> new.person
      and r.state = 'awaiting';
    if not found then
        raise exception 'this vote on request % does not count', new.request using errcode = 'check_violation';
    end if;
    return new;
end $$;

create trigger vote_guard before insert on vote for each row execute function vote_guard();

-- One execution of one revision's plan, and its place in the queue.
create table run (
    id           uuid primary key,
    request      uuid not null references request,
    revision     integer not null,
    target       text not null,
    phase        text not null check (phase in ('act', 'verify', 'undo', 'done')),
    attempt      integer not null default 0,
    -- Fencing token: grows with every claim, and every write must name it.
    token        bigint not null default 0,
    worker       text,
    lease_until  timestamptz,
    verify_until timestamptz,
    undo_because text,
    progress     text,
    queued_at    timestamptz not null,
    started_at   timestamptz,
    ended_at     timestamptz,

    unique (request, revision),
    check ((phase = 'done') = (ended_at is not null)),
    check ((worker is null) = (lease_until is null)),
    -- Everything taken is given back (G6).
    check (ended_at is null or lease_until is null),
    check ((attempt = 0) = (started_at is null)),
    check (attempt > 0 or phase in ('act', 'done')),
    check (phase <> 'verify' or verify_until is not null),
    check (phase <> 'undo' or undo_because is not null)
);

-- The queue, oldest first.
create index run_queue on run (queued_at) where ended_at is null;
-- One live run per target: what has started and has not ended, whether or not somebody holds it now.
create unique index run_one_per_target on run (target) where started_at is not null and ended_at is null;

-- Who waits for a target.
create index run_waiting on run (target) where started_at is null and ended_at is null;

-- The oldest run that may be claimed now, and its request, both locked. A queue grows and shrinks faster than statistics
-- follow, and a plan that sorts it makes every claim as slow as the queue is long: so it is always walked in order.
create function next_run() returns table (request request, run json) language plpgsql set enable_sort = off as $$
begin
    return query
    select r, row_to_json(u)
    from run u join request r on r.id = u.request
    where u.ended_at is null and (u.lease_until is null or u.lease_until < now())
      and r.state in ('approved', 'running', 'verifying')
      and not exists (
          select from run other
          where other.target = u.target and other.id <> u.id and other.started_at is not null and other.ended_at is null)
    order by u.queued_at limit 1
    for no key update of r, u skip locked;
end $$;

create function run_guard() returns trigger language plpgsql as $$
begin
    if old.ended_at is not null then
        raise exception 'run % has ended', old.id using errcode = 'check_violation';
    end if;
    if new.token < old.token or new.attempt < old.attempt then
        raise exception 'the token of run % only grows', old.id using errcode = 'check_violation';
    end if;
    if (new.id, new.request, new.revision, new.target) is distinct from (old.id, old.request, old.revision, old.target) then
        raise exception 'run % stays what it is', old.id using errcode = 'check_violation';
    end if;
    return new;
end $$;

create trigger run_guard before update on run for each row execute function run_guard();

-- A checkpoint: intended before the effect, ended after it was read back.
create table step (
    run         uuid not null references run,
    phase       text not null check (phase in ('act', 'undo')),
    index       integer not null check (index >= 0),
    state       text not null check (state in ('intended', 'done', 'failed', 'unknown')),
    intent      json not null,
    outcome     json,
    intended_at timestamptz not null,
    ended_at    timestamptz,
    primary key (run, phase, index),
    check ((state = 'intended') = (ended_at is null)),
    check ((state = 'intended') = (outcome is null))
);

create function step_guard() returns trigger language plpgsql as $$
begin
    if old.state <> 'intended' then
        raise exception 'step % of run % has ended as %', old.index, old.run, old.state using errcode = 'check_violation';
    end if;
    return new;
end $$;

create trigger step_guard before update on step for each row execute function step_guard();
