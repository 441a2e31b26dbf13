-- What Petrel says, what it hears, and the console's rooms.

-- A card shows a request, drawn from its state when it is delivered, or says one thing once.
create table card (
    id uuid primary key,
    request uuid unique,
    said json,
    -- The caller's idempotency key for what is said.
    key text unique,
    version bigint not null default 1,
    check ((request is null) = (said is not null)),
    check ((said is null) = (key is null)),
    check (said is null or version = 1)
);

-- One row per card and place: the version wanted and the version shown. Many changes while one is being delivered
-- are one more delivery.
create table delivery (
    card uuid not null references card (id),
    place text not null,
    platform text not null generated always as (split_part(place, ':', 1)) stored,
    only_for text,
    wanted bigint not null,
    shown bigint not null default 0,
    -- The platform's id of the message to edit.
    message text,
    -- Due from here on: while claimed, the end of the lease; after a failure, the end of the wait.
    due_at timestamptz not null default clock_timestamp(),
    worker text,
    -- Grows with every claim.
    token bigint not null default 0,
    attempts integer not null default 0,
    error text,
    primary key (card, place),
    check (shown <= wanted),
    check (shown = 0 or message is not null)
);
create index delivery_due on delivery (platform, due_at) where shown < wanted;

-- What came in through a door, by the platform's own delivery key.
create table inbox (
    id uuid primary key,
    key text not null unique,
    actor text not null,
    place text not null,
    event json not null,
    at timestamptz not null,
    worker text not null,
    token bigint not null default 1,
    due_at timestamptz not null,
    handled_at timestamptz
);
create index inbox_due on inbox (id) where handled_at is null;

-- The console's rooms.
create table room_message (
    id bigint generated always as identity primary key,
    place text not null,
    author text,
    only_for text,
    text text,
    card json,
    card_id uuid references card (id),
    request uuid,
    -- The inbox key of a typed line.
    key text unique,
    -- The delivery's fencing token: an overtaken worker does not draw over a later one.
    token bigint not null default 0,
    at timestamptz not null,
    edited_at timestamptz,
    unique (card_id, place),
    check ((author is null) = (text is null)),
    check ((text is null) = (card is not null)),
    check ((card is null) = (card_id is null)),
    check ((text is null) = (key is null))
);
create index room_message_place on room_message (place, id);
-- What changed since a moment, for a page that was away.
create index room_message_changed on room_message (place, (coalesce(edited_at, at)));
