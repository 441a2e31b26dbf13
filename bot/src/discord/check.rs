//! For `petrel check`: what is right and what is missing, in plain words.

use super::{
    api::{Api, Failed},
    command,
    hear::DIRECT,
};
use crate::{config::Config, door::Checked};
use serde_json::Value;
use serenity::all::Permissions;

/// What the bot must be allowed in a channel it speaks in.
pub const PERMISSIONS: Permissions = Permissions::VIEW_CHANNEL
    .union(Permissions::SEND_MESSAGES)
    .union(Permissions::SEND_MESSAGES_IN_THREADS)
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    .union(Permissions::READ_MESSAGE_HISTORY);

/// What is right and what is missing.
pub async fn check(config: &Config) -> Vec<Checked> {
    let Some(discord) = &config.discord else { return Vec::new() };
    let api = match Api::new(discord) {
        Ok(api) => api,
        Err(error) => return vec![bad("discord", error.to_string(), "check the machine's certificates")],
    };
    let mut found = Vec::new();
    let bot = match api.read("say who the bot is", "users/@me".into()).await {
        Ok(bot) => bot,
        Err(error) => {
            return vec![match error {
                Failed::Token(_) | Failed::Refused { status: 401, .. } => bad(
                    "discord",
                    "the bot's token is not accepted".into(),
                    "put the one from the developer portal (page Bot, Reset Token) into the token file; it is not the client secret",
                ),
                _ => {
                    let mend = format!("can this machine reach {}?", discord.api_url);
                    bad("discord", error.to_string(), &mend)
                }
            }];
        }
    };
    let name = bot["username"].as_str().unwrap_or("?");
    found.push(good("discord", format!("the token is good; the bot is {name}")));
    let invite = invite(&application(&api, discord, &mut found).await);
    gateway(&api, &mut found).await;
    for guild in &discord.guilds {
        in_guild(&api, guild, &invite, &mut found).await;
    }
    commands(&api, &discord.guilds, &invite, &mut found).await;
    for room in config.rooms.iter().filter(|room| room.place.platform() == "discord") {
        if let Some((guild, channel)) = room.place.room().split_once(':')
            && guild != DIRECT
        {
            in_channel(&api, &bot, guild, channel, &mut found).await;
        }
    }
    found
}

/// Compares what is configured with whose token it is; the id of that application.
async fn application(api: &Api, config: &super::Config, found: &mut Vec<Checked>) -> String {
    let application = match api.read("describe the application", "applications/@me".into()).await {
        Ok(application) => application,
        Err(error) => {
            found.push(mind(
                "discord",
                error.to_string(),
                "try again; the application's id and key could not be compared",
            ));
            return config.application_id.clone();
        }
    };
    let id = application["id"].as_str().unwrap_or("?").to_string();
    if id != config.application_id {
        let text = format!("application_id is {}, and the token belongs to {id}", config.application_id);
        found.push(bad("discord", text, "take both from the same application"));
    }
    let Some(key) = &config.public_key else {
        if let Some(url) = application["interactions_endpoint_url"].as_str() {
            let text =
                format!("interactions go to {url}, and there is no public_key to check their signature with");
            found.push(bad(
                "discord",
                text,
                "set public_key, or empty Interactions Endpoint URL (page General Information)",
            ));
        }
        return id;
    };
    match application["verify_key"].as_str() {
        Some(theirs) if theirs == hex::encode(key.as_bytes()) => {}
        _ => found.push(bad(
            "discord",
            "public_key is not the application's".into(),
            "copy it from the developer portal, page General Information",
        )),
    }
    match application["interactions_endpoint_url"].as_str() {
        Some(url) if url.ends_with("/discord/interactions") => {
            found.push(good("discord", format!("interactions come to {url}")))
        }
        Some(url) => found.push(mind(
            "discord",
            format!("interactions go to {url}"),
            "set Interactions Endpoint URL to your address and /discord/interactions",
        )),
        None => found.push(good(
            "discord",
            "interactions come by the gateway (no Interactions Endpoint URL is set)".into(),
        )),
    }
    id
}

async fn gateway(api: &Api, found: &mut Vec<Checked>) {
    match api.gateway().await {
        Ok(gateway) if gateway.session_start_limit.remaining == 0 => {
            let text = "no gateway session may be begun today any more".into();
            found.push(mind("discord", text, "find out what restarts so often; Discord allows 1,000 a day"));
        }
        Ok(_) => {
            found.push(good("discord", "the gateway can be reached; no privileged intent is needed".into()))
        }
        Err(error) => found.push(bad("discord", error.to_string(), "check the way to discord")),
    }
}

async fn in_guild(api: &Api, guild: &str, invite: &str, found: &mut Vec<Checked>) {
    let what = format!("discord guild {guild}");
    match api.read("describe a guild", format!("guilds/{guild}")).await {
        Ok(described) => {
            found.push(good(&what, format!("the bot is in {}", described["name"].as_str().unwrap_or("it"))))
        }
        Err(error) => {
            let why = if error.is_status(403) || error.is_status(404) {
                "the bot is not in it".into()
            } else {
                error.to_string()
            };
            found.push(bad(&what, why, invite));
        }
    }
}

async fn commands(api: &Api, guilds: &[String], invite: &str, found: &mut Vec<Checked>) {
    let scopes: Vec<Option<&str>> = if guilds.is_empty() {
        vec![None]
    } else {
        guilds.iter().map(|guild| Some(guild.as_str())).collect()
    };
    for scope in scopes {
        let what = scope.map_or("discord commands".into(), |guild| format!("discord commands in {guild}"));
        match api.commands(scope).await {
            Ok(there) if command::is_same(&there, &command::definition()) => {
                found.push(good(&what, "/petrel is registered".into()))
            }
            Ok(_) => found.push(mind(
                &what,
                "/petrel is not registered as it is now".into(),
                "`petrel serve` does it when it starts",
            )),
            Err(error) if error.is_status(403) || error.is_status(404) => {
                let why = "/petrel cannot be registered there; the bot was invited without applications.commands, or not at all";
                found.push(bad(&what, why.into(), invite));
            }
            Err(error) => found.push(bad(&what, error.to_string(), "try again")),
        }
    }
}

async fn in_channel(api: &Api, bot: &Value, guild: &str, channel: &str, found: &mut Vec<Checked>) {
    let what = format!("room discord:{guild}:{channel}");
    let described = match api.read("describe a channel", format!("channels/{channel}")).await {
        Ok(described) => described,
        Err(error) => {
            let (why, mend) = match error {
                Failed::Refused { status: 403, .. } => (
                    "the bot may not see it".into(),
                    "give it View Channel there, in the channel's permissions",
                ),
                Failed::Refused { status: 404, .. } => {
                    ("there is no such channel".into(), "copy both ids again")
                }
                error => (error.to_string(), "try again"),
            };
            return found.push(bad(&what, why, mend));
        }
    };
    let name = described["name"].as_str().unwrap_or(channel);
    if described["guild_id"].as_str().is_some_and(|there| there != guild) {
        return found.push(bad(&what, format!("#{name} is in another guild"), "copy both ids again"));
    }
    let (roles, member) = (
        api.read("describe the roles", format!("guilds/{guild}/roles")).await,
        api.read(
            "describe the bot's roles",
            format!("guilds/{guild}/members/{}", bot["id"].as_str().unwrap_or_default()),
        )
        .await,
    );
    let (Ok(roles), Ok(member)) = (roles, member) else {
        return found.push(mind(
            &what,
            format!("#{name} is there; what the bot may do in it is not known"),
            "say something there with /petrel",
        ));
    };
    let may = allowed(guild, bot["id"].as_str().unwrap_or_default(), &roles, &member, &described);
    match PERMISSIONS - may {
        missing if missing.is_empty() => found.push(good(&what, format!("the bot can speak in #{name}"))),
        missing => {
            let names = missing.get_permission_names().join(", ");
            found.push(bad(
                &what,
                format!("in #{name} the bot lacks: {names}"),
                "grant it to the bot's role, in the channel's permissions",
            ));
        }
    }
}

/// <https://docs.discord.com/developers/topics/permissions#permission-hierarchy>.
fn allowed(guild: &str, bot: &str, roles: &Value, member: &Value, channel: &Value) -> Permissions {
    let bits = |value: &Value| {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0);
        Permissions::from_bits_truncate(number)
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let own: Vec<String> =
        list(&member["roles"]).iter().filter_map(|role| role.as_str().map(str::to_string)).collect();
    let has = |id: Option<&str>| id.is_some_and(|id| id == guild || own.iter().any(|role| role == id));
    let roles = list(roles);
    let mut may = roles
        .iter()
        .filter(|role| has(role["id"].as_str()))
        .fold(Permissions::empty(), |may, role| may | bits(&role["permissions"]));
    if may.contains(Permissions::ADMINISTRATOR) {
        return Permissions::all();
    }
    let overwrites = list(&channel["permission_overwrites"]);
    let of = |fits: &dyn Fn(&str) -> bool| {
        let fitting = overwrites.iter().filter(|overwrite| overwrite["id"].as_str().is_some_and(fits));
        fitting.fold((Permissions::empty(), Permissions::empty()), |(allow, deny), overwrite| {
            (allow | bits(&overwrite["allow"]), deny | bits(&overwrite["deny"]))
        })
    };
    // Everybody's first, then the roles' together, then the bot's own.
    for (allow, deny) in [
        of(&|id| id == guild),
        of(&|id| id != guild && own.iter().any(|role| role == id)),
        of(&|id| id == bot),
    ] {
        may = (may - deny) | allow;
    }
    may
}

/// What a first-timer opens in a browser.
fn invite(application: &str) -> String {
    format!(
        "invite it: https://discord.com/oauth2/authorize?client_id={application}&scope=bot+applications.commands&permissions={}",
        PERMISSIONS.bits()
    )
}

fn good(what: &str, text: String) -> Checked {
    Checked::Good { what: what.into(), text }
}

fn mind(what: &str, text: String, mend: &str) -> Checked {
    Checked::Mind { what: what.into(), text, mend: mend.into() }
}

fn bad(what: &str, text: String, mend: &str) -> Checked {
    Checked::Bad { what: what.into(), text, mend: mend.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overwrites_of_a_channel_are_counted_as_discord_does() {
        let all = PERMISSIONS.bits().to_string();
        let roles = json!([{ "id": "g", "permissions": "0" }, { "id": "r", "permissions": all }, { "id": "x", "permissions": "8" }]);
        let member = json!({ "roles": ["r"] });
        let may = |overwrites: Value| {
            allowed("g", "b", &roles, &member, &json!({ "permission_overwrites": overwrites }))
        };
        assert_eq!(may(json!([])), PERMISSIONS);
        let send = Permissions::SEND_MESSAGES.bits().to_string();
        assert_eq!(PERMISSIONS - may(json!([{ "id": "g", "deny": send }])), Permissions::SEND_MESSAGES);
        assert_eq!(may(json!([{ "id": "g", "deny": send }, { "id": "b", "allow": send }])), PERMISSIONS);
        assert_eq!(may(json!([{ "id": "x", "deny": send }])), PERMISSIONS, "not the bot's role");
    }

    #[test]
    fn the_permissions_of_the_invitation_are_those_of_the_documents() {
        assert_eq!(PERMISSIONS.bits(), 274_878_024_704);
    }
}
