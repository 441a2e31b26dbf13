//! `people`: which identities you have, and how to link another.
//!
//! A code is shown to one identity, privately, and typed by the other. Only an identity of the policy file gets one: who
//! stole a code and became somebody cannot go on to link more, and is out again with one `people unlink`. The person is told
//! where the code was shown as soon as it is used.

use super::Command;
use crate::{
    app::App,
    card::{Card, Tone},
    draw,
    grammar::OwnLine,
    line::{Caller, Reply},
};
use actions::identity;
use clap::Arg;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use ledger::{Actor, CodeHash, LedgerError, LinkOffer, Person, Redeemed};
use rand::Rng;
use sha2::{Digest, Sha256};

/// How long a code counts.
const LASTS: SignedDuration = SignedDuration::from_mins(10);
/// Crockford's base 32: no letter that looks like another. 12 of them are 60 bits.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// See the module.
pub struct People;

impl Command for People {
    fn name(&self) -> &'static str {
        "people"
    }

    fn group(&self) -> &'static str {
        "About"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("people")
            .about("Your identities; link one of another chat to yourself, or take one away")
            .arg(
                Arg::new("do")
                    .value_name("link|unlink")
                    .value_parser(["link", "unlink"])
                    .hide_possible_values(true)
                    .help("link: shows a code to type in the other chat. unlink: takes an identity away"),
            )
            .arg(
                Arg::new("what")
                    .value_name("CODE|IDENTITY")
                    .requires("do")
                    .help("The code that the other chat showed, or the identity to take away"),
            )
            .after_help("Example: people link")
    }

    fn is_private(&self) -> bool {
        true
    }

    /// What changes is in the record by itself, and a code does not belong there.
    fn is_recorded(&self) -> bool {
        false
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        let text = |id| line.matches.get_one::<String>(id).map(String::as_str);
        Box::pin(async move {
            match (text("do"), text("what")) {
                (Some("link"), None) => offer(app, caller).await,
                (Some("link"), Some(code)) => known(app, caller, code).await,
                (Some(_), Some(identity)) => unlink(app, caller, identity).await,
                (Some(_), None) => Ok(Reply::wrong(Card {
                    text: Some("`people` lists yours.".into()),
                    ..Card::titled(Tone::Bad, "which identity?")
                })),
                (None, _) => list(app, caller).await,
            }
        })
    }
}

/// The code, if that is what the line is about: the one line that is read also from those whom nobody knows.
pub fn typed_code(text: &str) -> Option<&str> {
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["people", "link", code] => Some(code),
        _ => None,
    }
}

/// A code typed by an identity that nobody knows yet.
pub async fn redeem(app: &App, actor: &Actor, code: &str, now: Timestamp) -> Result<Reply, LedgerError> {
    let hash = hash(code);
    let wrong = |text: &str| {
        let text = Some(text.to_string());
        Reply::wrong(Card { text, ..Card::titled(Tone::Bad, "You are still nobody here") })
    };
    let offer = match app.ledger.redeem_link(&hash, actor, now).await? {
        Redeemed::Linked(offer) => offer,
        Redeemed::Wrong => {
            return Ok(wrong(
                "That code does not count: a typing mistake, used already, replaced by a newer one, or older than ten \
                 minutes. Type `people link` again where I know you.",
            ));
        }
        Redeemed::TooMany => return Ok(wrong("Too many wrong codes; try again in an hour.")),
        Redeemed::Known(person) => {
            return Ok(wrong(&format!(
                "This identity was linked to {person}, whom the policy file does not name any more. It must be \
                 unlinked by its person, or added to the policy file."
            )));
        }
    };
    if let Some(place) = &offer.place {
        let card = Card {
            text: Some(format!(
                "Votes and requests of {actor} count as yours from now on. If that was not you, type \
                 `people unlink {actor}` at once, and tell whoever keeps the policy file."
            )),
            ..Card::titled(Tone::Urgent, format!("{actor} is you now"))
        };
        let key = format!("people:{}", hex::encode(hash));
        app.ledger.say(&key, place, Some(&offer.actor), &draw::json(&card)).await?;
    }
    let LinkOffer { person, actor: by, .. } = offer;
    let text = Some(format!("Linked by {by}, who was told. `people` lists all your identities."));
    Ok(Reply::private(Card { text, ..Card::titled(Tone::Good, format!("You are {person} here, too")) }))
}

async fn offer(app: &App, caller: &Caller) -> Result<Reply, LedgerError> {
    if app.policy.current().who(&caller.actor).is_none() {
        return Ok(Reply::wrong(Card {
            text: Some(
                "Ask for a code from an identity that the policy file names; `people` lists them.".into(),
            ),
            ..Card::titled(Tone::Bad, "this identity was linked itself")
        }));
    }
    let code = code(&mut rand::rng());
    let offer = LinkOffer {
        person: caller.who.person.clone(),
        actor: caller.actor.clone(),
        place: caller.place.clone(),
        key: caller.key.clone(),
    };
    if !app.ledger.offer_link(&offer, &hash(&code), LASTS, caller.now).await? {
        // The process that made it has died; only its hash is left.
        return Ok(Reply::wrong(Card::titled(Tone::Bad, "Type it again, please: the code was lost")));
    }
    Ok(Reply::private(Card {
        text: Some(format!(
            "Within ten minutes, type this in the other chat:\n`people link {code}`\nIt works once. Show it to nobody: \
             whoever types it is you."
        )),
        once: true,
        ..Card::titled(Tone::Neutral, "A code to link another identity")
    }))
}

/// A code typed by somebody whom we know already.
async fn known(app: &App, caller: &Caller, code: &str) -> Result<Reply, LedgerError> {
    let hash = hash(code);
    let title = format!("You are {} already", caller.who.person);
    if app.policy.current().who(&caller.actor).is_some() {
        // It has been seen by whoever reads along here.
        app.ledger.spoil_link(&hash, &caller.actor, caller.now).await?;
        let text = "A code is typed where I do not know you yet. This one is worth nothing any more; `people link` makes \
                    another.";
        return Ok(Reply::wrong(Card { text: Some(text.into()), ..Card::titled(Tone::Bad, title) }));
    }
    // Linked: perhaps the second time that the very line comes in, after a crash.
    match app.ledger.redeem_link(&hash, &caller.actor, caller.now).await? {
        Redeemed::Linked(_) => Ok(Reply::private(Card::titled(Tone::Good, title))),
        Redeemed::Known(_) | Redeemed::Wrong | Redeemed::TooMany => {
            let text = Some("`people unlink` takes an identity away, from any of your chats.".into());
            Ok(Reply::wrong(Card { text, ..Card::titled(Tone::Bad, title) }))
        }
    }
}

async fn list(app: &App, caller: &Caller) -> Result<Reply, LedgerError> {
    let person = &caller.who.person;
    let mut fields: Vec<(String, String)> = named(app, person)
        .into_iter()
        .map(|actor| (actor.to_string(), "in the policy file".to_string()))
        .collect();
    for link in app.ledger.links(person).await? {
        let who = app.policy.current().who(&link.actor);
        let said = match who.filter(|who| who.person != *person) {
            Some(who) => format!("linked, but the policy file says it is {}", who.person),
            None => format!("linked by {} on {}", link.by, draw::time(link.at)),
        };
        fields.push((link.actor.to_string(), said));
    }
    let text = Some("`people link` adds one of another chat.".to_string());
    Ok(Reply::private(Card { fields, text, ..Card::titled(Tone::Neutral, format!("You are {person}")) }))
}

async fn unlink(app: &App, caller: &Caller, identity: &str) -> Result<Reply, LedgerError> {
    let person = &caller.who.person;
    let wrong = |title: String| {
        let text = Some("`people` lists yours.".to_string());
        Ok(Reply::wrong(Card { text, ..Card::titled(Tone::Bad, title) }))
    };
    let Ok(actor) = identity.parse::<Actor>() else { return wrong(format!("{identity} is no identity")) };
    if named(app, person).contains(&actor) {
        return wrong(format!("{actor} is yours by the policy file; it is taken out there"));
    }
    if !app.ledger.unlink(person, &actor, &caller.actor, caller.now).await? {
        return wrong(format!("{actor} is not linked to you"));
    }
    let now = match identity::who(&app.policy.current(), &app.ledger, &actor).await? {
        Some(who) => format!("The policy file says it is {}.", who.person),
        None => "It is nobody from now on. What it asked for and voted stands.".into(),
    };
    Ok(Reply::private(Card {
        text: Some(now),
        ..Card::titled(Tone::Good, format!("{actor} is not you any more"))
    }))
}

/// A person's identities in the policy file.
fn named(app: &App, person: &Person) -> Vec<Actor> {
    let people = app.policy.current().people();
    people.into_iter().find(|(name, ..)| name == person).map(|(_, actors, _)| actors).unwrap_or_default()
}

/// `K7QF-M2XD-9TRA`.
fn code(random: &mut impl Rng) -> String {
    let mut bytes = [0u8; 12];
    random.fill_bytes(&mut bytes);
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Of the code as it is meant: dashes and case do not matter, nor do letters that look like others.
fn hash(code: &str) -> CodeHash {
    let meant = code.chars().filter(|c| !matches!(c, '-' | '`')).map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    });
    Sha256::digest(meant.collect::<String>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_meant() {
        let code = code(&mut rand::rng());
        assert_eq!(code.len(), 14);
        assert!(code.split('-').all(|four| four.len() == 4 && four.bytes().all(|b| LETTERS.contains(&b))));
        assert_eq!(hash("k7qf-m2xd9tr1"), hash("K7QF-M2XD-9TRI"));
        assert_ne!(hash("K7QF-M2XD-9TRA"), hash("K7QF-M2XD-9TRB"));
    }

    #[test]
    fn only_a_whole_line_with_a_code_is_read_from_strangers() {
        assert_eq!(typed_code(" people  link ABCD "), Some("ABCD"));
        for other in ["people link", "people unlink x", "people link A; restart x", "restart people link"] {
            assert_eq!(typed_code(other), None, "{other}");
        }
    }
}
