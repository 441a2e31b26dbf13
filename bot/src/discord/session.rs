//! What is known of a gateway session, and what to do when a connection ends. Pure.

use ledger::GatewaySession;
use serde_json::{Value, json};
use serenity::{all::Opcode, constants::close_codes};
use std::time::Duration;

/// Between tries; doubled with each failure, up to [`LONGEST`], and anything from half of it on.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// A session at Discord, as far as there is one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    known: Option<Known>,
    seq: Option<u64>,
    good: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    id: String,
    bot: String,
    url: Option<String>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We were told to stop.
    Told,
    /// Discord asks for a new connection (op 7).
    Asked,
    /// Discord does not know the session (op 9).
    Invalid {
        /// It may be asked for once more.
        resumable: bool,
    },
    /// No answer to a heartbeat.
    Zombie,
    /// Closed by Discord, perhaps with a code.
    Closed(Option<u16>),
    /// Torn.
    Lost(String),
    /// There never was one.
    Unreachable(String),
    /// No session may be begun for so long.
    Spent(Duration),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Connect again after this wait.
    Again(Duration),
    /// There is no use: these words say what to do.
    Stop(String),
}

impl Session {
    /// As somebody else left it.
    pub fn left(kept: GatewaySession) -> Session {
        let GatewaySession { session, bot, url, seq } = kept;
        Session { known: Some(Known { id: session, bot, url }), seq, good: false }
    }

    /// As it is to be kept for somebody else; None: there is none.
    pub fn kept(&self) -> Option<GatewaySession> {
        let Known { id, bot, url } = self.known.clone()?;
        Some(GatewaySession { session: id, bot, url, seq: self.seq })
    }

    /// `READY`.
    pub fn begun(&mut self, ready: &Value) {
        let text = |name: &str| ready[name].as_str().map(str::to_string);
        let bot = ready["user"]["id"].as_str().unwrap_or_default().to_string();
        self.known = text("session_id").map(|id| Known { id, bot, url: text("resume_gateway_url") });
        self.good = true;
    }

    /// `RESUMED`.
    pub fn resumed(&mut self) {
        self.good = true;
    }

    /// Has it begun or resumed since this was last asked?
    pub fn take_good(&mut self) -> bool {
        std::mem::take(&mut self.good)
    }

    /// A dispatch with this number.
    pub fn seen(&mut self, seq: Option<u64>) {
        self.seq = seq.or(self.seq);
    }

    /// Where to resume; None: begin anew at the gateway's own address.
    pub fn resume_url(&self) -> Option<&str> {
        self.known.as_ref().and_then(|known| known.url.as_deref())
    }

    /// The payload that resumes; None: begin anew.
    pub fn resume(&self, token: &str) -> Option<Value> {
        let known = self.known.as_ref()?;
        Some(
            json!({ "op": Opcode::Resume, "d": { "token": token, "session_id": known.id, "seq": self.seq } }),
        )
    }

    /// The payload that says that we are there.
    pub fn heartbeat(&self) -> Value {
        json!({ "op": Opcode::Heartbeat, "d": self.seq })
    }

    /// What follows from the end of a connection. `failures` have happened in a row; `chance` is from 0 to 1.
    pub fn after(&mut self, ended: &Ended, failures: u32, chance: f64) -> Next {
        let portal = "https://discord.com/developers/applications";
        if let Ended::Closed(Some(code)) = ended {
            let stop = match *code {
                close_codes::AUTHENTICATION_FAILED => "discord does not take the bot's token: put a new one (page Bot) into the token file".to_string(),
                close_codes::INVALID_SHARD | close_codes::SHARDING_REQUIRED => "discord wants this bot to be sharded: it is in too many guilds for one petrel".into(),
                4_012 => "discord does not speak version 10 of its gateway any more: this petrel is too old".into(),
                close_codes::INVALID_GATEWAY_INTENTS => "discord does not know the intents that petrel asks for: this petrel is too old".into(),
                close_codes::DISALLOWED_GATEWAY_INTENTS => "discord does not grant the intents that petrel asks for: look at page Bot, Privileged Gateway Intents".into(),
                _ => String::new(),
            };
            if !stop.is_empty() {
                return Next::Stop(format!("{stop}; {portal}; then restart petrel (closed with {code})"));
            }
        }
        let forget = match ended {
            Ended::Invalid { resumable } => !resumable,
            // Sessions that Discord has given up.
            Ended::Closed(Some(code)) => {
                matches!(
                    *code,
                    close_codes::NOT_AUTHENTICATED
                        | close_codes::INVALID_SEQUENCE
                        | close_codes::SESSION_TIMEOUT
                )
            }
            // "If the reconnect fails": begin anew at the gateway's own address.
            Ended::Unreachable(_) => failures >= 3,
            _ => false,
        };
        if forget {
            self.known = None;
            self.seq = None;
        }
        let backed_off = || {
            let longest = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST);
            longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
        };
        Next::Again(match ended {
            Ended::Spent(wait) => *wait,
            // "Wait a random amount of time between 1 and 5 seconds".
            Ended::Invalid { .. } => {
                Duration::from_secs_f64(1.0 + 4.0 * chance.clamp(0.0, 1.0)).max(backed_off())
            }
            // At once, the first time.
            _ if failures <= 1 && self.known.is_some() => Duration::ZERO,
            _ => backed_off(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Session {
        let mut session = Session::default();
        session.begun(&json!({ "session_id": "s", "resume_gateway_url": "wss://resume.example", "user": { "id": "9" } }));
        session.seen(Some(42));
        session.seen(None);
        session
    }

    #[test]
    fn a_dropped_connection_is_resumed_at_once_where_discord_said() {
        for ended in [
            Ended::Asked,
            Ended::Zombie,
            Ended::Closed(None),
            Ended::Closed(Some(4_000)),
            Ended::Lost("reset".into()),
        ] {
            let mut session = begun();
            assert_eq!(session.after(&ended, 0, 0.5), Next::Again(Duration::ZERO), "{ended:?}");
            assert_eq!(session.resume_url(), Some("wss://resume.example"));
            let resume = session.resume("t").unwrap();
            assert_eq!(resume, json!({ "op": 6, "d": { "token": "t", "session_id": "s", "seq": 42 } }));
        }
    }

    #[test]
    fn what_is_kept_is_resumed_by_another_as_if_it_were_its_own() {
        let begun = begun();
        let heir = Session::left(begun.kept().unwrap());
        assert_eq!((heir.resume("t"), heir.resume_url()), (begun.resume("t"), begun.resume_url()));
        assert_eq!(Session::default().kept(), None);
    }

    #[test]
    fn a_session_that_discord_gave_up_is_begun_anew_after_one_to_five_seconds() {
        let mut session = begun();
        for chance in [0.0, 1.0] {
            let Next::Again(wait) = session.after(&Ended::Invalid { resumable: false }, 0, chance) else {
                panic!()
            };
            assert!((1.0..=5.0).contains(&wait.as_secs_f64()));
        }
        assert_eq!(
            (session.resume("t"), session.resume_url(), session.heartbeat()["d"].clone()),
            (None, None, Value::Null)
        );
        let mut session = begun();
        session.after(&Ended::Invalid { resumable: true }, 0, 0.5);
        assert!(session.resume("t").is_some());
        for code in [4_003, 4_007, 4_009] {
            let mut session = begun();
            session.after(&Ended::Closed(Some(code)), 0, 0.5);
            assert_eq!(session.resume("t"), None, "{code}");
        }
    }

    #[test]
    fn what_cannot_get_better_by_itself_stops_and_says_what_to_do() {
        for code in [4_004, 4_010, 4_011, 4_012, 4_013, 4_014] {
            let Next::Stop(words) = begun().after(&Ended::Closed(Some(code)), 0, 0.5) else {
                panic!("{code}")
            };
            assert!(words.contains(&code.to_string()) && words.contains("restart petrel"), "{words}");
        }
    }

    #[test]
    fn waits_grow_to_a_minute_and_differ() {
        let wait = |failures, chance| match Session::default().after(
            &Ended::Unreachable("refused".into()),
            failures,
            chance,
        ) {
            Next::Again(wait) => wait,
            Next::Stop(words) => panic!("{words}"),
        };
        assert!(wait(1, 1.0) <= Duration::from_millis(500) && wait(1, 0.0) >= Duration::from_millis(250));
        assert!(wait(99, 0.0) >= Duration::from_secs(30) && wait(99, 1.0) <= Duration::from_secs(60));
        assert_ne!(wait(4, 0.1), wait(4, 0.9));
    }
}
