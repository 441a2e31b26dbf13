-- What a platform gave to answer an event with, for a short time: Slack's response_url, Discord's interaction token.
alter table inbox add column reply_to text;
