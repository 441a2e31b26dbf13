-- What a dead process held is taken over at once, not only when its claim has run out; and Discord's gateway is listened to
-- where it was left.

-- What the holder's connections to this database are called (application_name). When none of that name is left, it is dead.
alter table lease add column process text;
-- The same of whoever handles an event.
alter table inbox add column process text;

-- What Discord must be told to go on with a session where it was left.
create table gateway_session (
    application text primary key,
    session text not null,
    -- The bot's own account.
    bot text not null,
    -- Where Discord wants to be asked; null: at the gateway's own address.
    url text,
    -- All events up to this one have been taken in.
    seq bigint
);
