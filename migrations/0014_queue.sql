-- A claim looks at what may be claimed, and not at all that is held: with a thousand runs held, each claim walked past them.
drop index run_queue;
-- Live runs, for whoever counts them.
create index run_live on run (request) where ended_at is null;
-- What nobody holds, oldest first; and what is held, by the end of its lease.
create index run_free on run (queued_at) where ended_at is null and lease_until is null;
create index run_leased on run (lease_until) where lease_until is not null;

-- A run that may be claimed now, and its request, both locked: one whose lease ran out, else the oldest that nobody holds. A
-- queue grows and shrinks faster than statistics follow, and a plan that sorts it makes every claim as slow as the queue is
-- long: so it is always walked in order.
create or replace function next_run() returns table (request request, run json) language plpgsql set enable_sort = off as $$
begin
    return query
    select r, row_to_json(u)
    from run u join request r on r.id = u.request
    where u.lease_until < now() and r.state in ('approved', 'running', 'verifying')
    order by u.lease_until limit 1
    for no key update of r, u skip locked;
    if found then
        return;
    end if;
    return query
    select r, row_to_json(u)
    from run u join request r on r.id = u.request
    where u.ended_at is null and u.lease_until is null
      and r.state in ('approved', 'running', 'verifying')
      and not exists (
          select from run other
          where other.target = u.target and other.id <> u.id and other.started_at is not null and other.ended_at is null)
    order by u.queued_at limit 1
    for no key update of r, u skip locked;
end $$;
