-- Runs that may be claimed at a moment, and their requests, both locked, `most` at most: those whose lease ran out, then the oldest that
-- nobody holds. Of those that wait for one target only the first, so that what is claimed together never holds a target twice. One whose
-- time is over is left to whoever expires it (G2).
--
-- A queue grows and shrinks faster than statistics follow, and a plan that sorts or hashes all of it makes every claim as slow as the
-- queue is long: so it is always walked in order, and who asks for a few expects a few.
drop function next_run();
create function next_runs(at timestamptz, most integer) returns table (request request, run run)
language plpgsql rows 1 set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    found_so_far bigint;
begin
    return query
    select r, u
    from run u join request r on r.id = u.request
    where u.lease_until < now() and r.state in ('approved', 'running', 'verifying')
    order by u.lease_until limit most
    for no key update of r, u skip locked;
    get diagnostics found_so_far = row_count;
    if found_so_far >= most then
        return;
    end if;
    return query
    select r, u
    from run u join request r on r.id = u.request
    where u.ended_at is null and u.lease_until is null
      and r.state in ('approved', 'running', 'verifying') and (u.started_at is not null or r.expires_at > at)
      and not exists (
          select from run other
          where other.target = u.target and other.id <> u.id and other.ended_at is null
            -- What was begun holds its target, also when it was given back.
            and (other.started_at is not null
                or u.started_at is null and (other.queued_at, other.id) < (u.queued_at, u.id)))
    order by u.queued_at limit most - found_so_far
    for no key update of r, u skip locked;
end $$;
-- What lives at a target.
drop index run_waiting;
create index run_at on run (target) where ended_at is null;
