-- What brakes and caps count (G8) is not rewritten: not by a mistake of ours, and not by whoever has only the serving role's rights.

-- A healing begins once and ends once.
create function attempt_guard() returns trigger language plpgsql as $$
begin
    raise exception 'healing % has ended, or another one is made of it', old.id using errcode = 'check_violation';
end $$;
create trigger attempt_guard before update on attempt for each row
    when (old.ended_at is not null
        or (new.id, new.incident, new.rule, new.cluster, new.at) is distinct from (old.id, old.incident, old.rule, old.cluster, old.at))
    execute function attempt_guard();

-- A brake stays that of its rule and place; and only a healing that helped, or a person, makes its count smaller.
create function brake_guard() returns trigger language plpgsql as $$
begin
    raise exception 'the brake of rule % at % is that of another one, or counts less than before', old.rule, old.place
        using errcode = 'check_violation';
end $$;
create trigger brake_guard before update on brake for each row
    when ((new.rule, new.place, new.cluster) is distinct from (old.rule, old.place, old.cluster)
        or ((new.doc ->> 'ineffective')::int < (old.doc ->> 'ineffective')::int
            and coalesce(old.doc -> 'last' ->> 1, '') <> 'true'
            and (old.blocked_at is null or new.blocked_at is not null)))
    execute function brake_guard();

-- A block is lifted only together with the entry that says who lifted it.
create function brake_unblocked() returns trigger language plpgsql as $$
begin
    if not exists (select from entry where xid = pg_current_xact_id() and kind = 'rule.unblocked'
            and body ->> 'rule' = new.rule and body ->> 'place' = new.place) then
        raise exception 'nobody is on record for lifting the block of rule % at %', new.rule, new.place
            using errcode = 'check_violation';
    end if;
    return null;
end $$;
create constraint trigger brake_unblocked after update on brake deferrable initially deferred for each row
    when (old.blocked_at is not null and new.blocked_at is null) execute function brake_unblocked();
