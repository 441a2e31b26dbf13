//! One request in several chats: it stays in step everywhere, whatever the platforms do to the messages.

use serde_json::json;
use std::{collections::BTreeSet, time::Duration};
use tests::{
    discord::{self, Discord},
    door::{ByConsole, ByDiscord, BySlack, Door},
    fault::Trouble,
    slack::{self, Slack},
    wait,
    world::{Inward, Platforms, World},
};

/// Longer than a chat that was away is left alone at most, on a busy machine.
const WITHIN: Duration = Duration::from_secs(90);

/// Both chats, in each a channel that hears what waits for approval.
struct Rooms {
    world: World,
    slack: BySlack,
    discord: ByDiscord,
    console: ByConsole,
}

impl Rooms {
    async fn new(change: impl FnOnce(&mut Platforms)) -> Rooms {
        let mut platforms = Platforms::both(Inward::Connection);
        platforms.room = "notices = [\"approvals\"]".into();
        change(&mut platforms);
        let world = World::with_platforms(1, platforms).await.expect("a world");
        world.cluster.deployment("checkout", 1).await.expect("a deployment");
        let (slack, discord) = (BySlack::new(world.slack()), ByDiscord::new(world.discord(), false));
        let console = ByConsole { base: world.replicas[0].base.clone() };
        Rooms { world, slack, discord, console }
    }

    /// A request that needs one vote, asked by ann.
    async fn ask(&self, door: &dyn Door) -> String {
        let said = door.say("ann", &format!("scale deploy/checkout 2{}", self.world.at())).await;
        said.request.unwrap_or_else(|| panic!("no request: {}\n{}", said.text, self.world.logs()))
    }

    /// Both chats show the request so.
    async fn both_show(&self, request: &str, words: &str) {
        let cards = || {
            let slack = self.slack.card(request).map(|card| card.content.read());
            (slack, self.discord.card(request).map(|card| card.content.read()))
        };
        let shown = wait::within(WITHIN, || async {
            let (slack, discord) = cards();
            (slack?.contains(words) && discord?.contains(words)).then_some(())
        });
        assert!(shown.await.is_some(), "{}\n'{words}' is not on both: {:#?}", self.world.logs(), cards());
    }

    fn slack(&self) -> &Slack {
        self.world.slack()
    }

    fn discord(&self) -> &Discord {
        self.world.discord()
    }

    /// Live cards of a request: in Slack, in Discord.
    fn cards(&self, request: &str) -> (usize, usize) {
        let slack = self.slack().messages(&slack::channel_id("ops"));
        let discord = self.discord().messages(&discord::channel_id("ops"));
        let slack = slack.iter().filter(|one| {
            !one.deleted
                && one.only_for.is_none()
                && tests::door::slack_request(one).as_deref() == Some(request)
        });
        let discord = discord.iter().filter(|one| {
            !one.deleted
                && one.only_for.is_none()
                && tests::door::discord_request(one).as_deref() == Some(request)
        });
        (slack.count(), discord.count())
    }
}

#[tokio::test]
async fn asked_in_discord_approved_in_slack_and_seen_in_the_console() {
    let rooms = Rooms::new(|_| {}).await;
    let id = rooms.ask(&rooms.discord).await;
    rooms.slack.card_soon(&id).await;
    let told = rooms.slack.click("bob", &id, "approve").await;
    assert!(told.contains("bob"), "the vote is on the card: {told}");
    rooms.both_show(&id, "succeeded").await;
    assert_eq!(rooms.cards(&id), (1, 1));
    let seen = rooms.console.say("ann", &format!("request {id}")).await.text;
    assert!(seen.contains("succeeded") && seen.contains("bob"), "{seen}");
}

#[tokio::test]
async fn asked_in_slack_approved_in_discord() {
    let rooms = Rooms::new(|_| {}).await;
    let id = rooms.ask(&rooms.slack).await;
    rooms.discord.card_soon(&id).await;
    rooms.discord.click("bob", &id, "approve").await;
    rooms.both_show(&id, "succeeded").await;
    assert_eq!(rooms.cards(&id), (1, 1));
}

#[tokio::test]
async fn a_late_click_elsewhere_is_refused_to_that_person_alone() {
    let rooms = Rooms::new(|_| {}).await;
    let id = rooms.ask(&rooms.slack).await;
    rooms.discord.card_soon(&id).await;
    rooms.slack.click("bob", &id, "deny").await;
    rooms.both_show(&id, "denied").await;
    let before = rooms.discord().seen_by(&discord::account("ann"), &discord::channel_id("ops")).len();
    let told = rooms.discord.click("cat", &id, "approve").await;
    assert!(told.contains("denied") && told.contains("bob"), "says how it ended and who ended it: {told}");
    let after = rooms.discord().seen_by(&discord::account("ann"), &discord::channel_id("ops")).len();
    assert_eq!(before, after, "nobody else sees the refusal");
    let before = rooms.slack().seen_by(&slack::account("ann"), &slack::channel_id("ops")).len();
    let told = rooms.slack.click("cat", &id, "approve").await;
    assert!(told.contains("denied"), "{told}");
    assert_eq!(before, rooms.slack().seen_by(&slack::account("ann"), &slack::channel_id("ops")).len());
}

#[tokio::test]
async fn a_chat_that_is_away_holds_nobody_up_and_catches_up() {
    let rooms = Rooms::new(|_| {}).await;
    rooms.slack().away(true);
    let id = rooms.ask(&rooms.discord).await;
    // Decided before Slack was to hear of it, it would never be asked there.
    let pool = sqlx::PgPool::connect(&rooms.world.owner_url).await.expect("the owner");
    wait::until("the card to be due in Slack", WITHIN, || async {
        let due = "select count(*) from delivery where platform = 'slack'";
        (sqlx::query_scalar::<_, i64>(due).fetch_one(&pool).await.expect("a count") == 1).then_some(())
    })
    .await;
    rooms.discord.click("bob", &id, "approve").await;
    let shown = || rooms.discord.card(&id).map(|card| card.content.read());
    let ended = wait::within(WITHIN, || async { shown()?.contains("succeeded").then_some(()) });
    assert!(ended.await.is_some(), "{}\nnot ended in Discord: {:#?}", rooms.world.logs(), shown());
    rooms.slack().away(false);
    rooms.both_show(&id, "succeeded").await;
    assert_eq!(rooms.cards(&id), (1, 1));
    rooms.discord().away(true);
    rooms.world.connected_to_slack().await;
    let said = rooms.slack.say("ann", &format!("scale deploy/checkout 3{}", rooms.world.at())).await;
    let id = said.request.unwrap_or_else(|| panic!("no request: {}", said.text));
    rooms.slack.click("bob", &id, "approve").await;
    rooms.discord().away(false);
    rooms.both_show(&id, "succeeded").await;
    assert_eq!(rooms.cards(&id), (1, 1));
}

#[tokio::test]
async fn a_deleted_card_is_posted_anew_once() {
    let rooms = Rooms::new(|_| {}).await;
    let id = rooms.ask(&rooms.slack).await;
    let first = rooms.discord.card_soon(&id).await;
    rooms.slack.card_soon(&id).await;
    rooms.slack().delete(&slack::channel_id("ops"), &rooms.slack.card(&id).expect("a card").ts);
    rooms.discord().delete(&discord::channel_id("ops"), first.id);
    rooms.world.api("bob").vote(&id, "approve", None).await.expect("a vote");
    rooms.both_show(&id, "succeeded").await;
    assert_eq!(rooms.cards(&id), (1, 1), "one each, and the live one");
}

#[tokio::test]
async fn a_card_whose_posting_was_not_answered_is_found_and_not_posted_twice() {
    let rooms = Rooms::new(|_| {}).await;
    rooms.slack().faults().plan("chat.postMessage", Trouble::LoseAnswer);
    rooms.discord().faults().plan("POST /channels", Trouble::LoseAnswer);
    let key = uuid::Uuid::new_v4().to_string();
    let line = format!("scale deploy/checkout 2{}", rooms.world.at());
    let asked = rooms.world.api("ann").ask(&key, &line).await.expect("an answer");
    let id = asked["request"]["id"].as_str().expect("an id").to_string();
    rooms.slack.card_soon(&id).await;
    rooms.discord.card_soon(&id).await;
    rooms.world.api("bob").vote(&id, "approve", None).await.expect("a vote");
    rooms.both_show(&id, "succeeded").await;
    let calls: Vec<_> =
        rooms.slack().calls().into_iter().map(|call| (call.name, call.error, call.at.elapsed())).collect();
    assert_eq!(rooms.cards(&id), (1, 1), "{calls:?}\n{}", rooms.world.logs());
    assert_eq!(
        (rooms.slack().faults().left(), rooms.discord().faults().left()),
        (0, 0),
        "the answers were lost"
    );
}

#[tokio::test]
async fn busy_and_broken_platforms_are_asked_again_as_they_say() {
    let rooms = Rooms::new(|_| {}).await;
    for trouble in [Trouble::TooMany(1), Trouble::Status(503), Trouble::Break] {
        rooms.slack().faults().plan("chat.", trouble);
        rooms.discord().faults().plan("POST /channels", trouble);
    }
    let key = uuid::Uuid::new_v4().to_string();
    let line = format!("scale deploy/checkout 2{}", rooms.world.at());
    let asked = rooms.world.api("ann").ask(&key, &line).await.expect("an answer");
    let id = asked["request"]["id"].as_str().expect("an id").to_string();
    rooms.slack.card_soon(&id).await;
    rooms.discord.card_soon(&id).await;
    assert_eq!(rooms.cards(&id), (1, 1));
    let limited =
        rooms.slack().calls().iter().filter(|call| call.error.as_deref() == Some("ratelimited")).count();
    assert_eq!(limited, 0, "the door keeps Slack's pace by itself");
}

#[tokio::test]
async fn an_approval_long_after_the_token_has_run_out_still_works() {
    let rooms = Rooms::new(|platforms| platforms.discord_rules.token = Duration::from_millis(3_200)).await;
    let id = rooms.ask(&rooms.discord).await;
    let asked = rooms.discord.card_soon(&id).await.at;
    wait::until("the token's end", WITHIN, || async {
        (asked.elapsed() > Duration::from_millis(3_300)).then_some(())
    })
    .await;
    rooms.discord.click("bob", &id, "approve").await;
    rooms.both_show(&id, "succeeded").await;
    assert_eq!(rooms.cards(&id), (1, 1));
    assert!(rooms.discord().invalid_requests() < 5, "and nothing hammers a token that is dead");
}

#[tokio::test]
async fn strangers_are_refused_kindly_and_alone() {
    let rooms = Rooms::new(|_| {}).await;
    let (line, id) = (format!("restart deploy/checkout{}", rooms.world.at()), rooms.ask(&rooms.slack).await);
    rooms.discord.card_soon(&id).await;
    for door in [&rooms.slack as &dyn Door, &rooms.discord] {
        let said = door.say("zed", &line).await;
        assert_eq!(said.request, None);
        assert!(said.text.to_lowercase().contains("ask"), "says whom to ask: {}", said.text);
        let told = door.click("zed", &id, "approve").await;
        assert!(told.to_lowercase().contains("ask"), "{told}");
    }
    let others = rooms.slack().seen_by(&slack::account("ann"), &slack::channel_id("ops"));
    let shown = others.iter().filter(|message| message.user == slack::BOT).count();
    assert_eq!(shown, 1, "ann sees the card of her request and nothing else: {others:#?}");
    assert_eq!(rooms.world.api("ann").request(&id).await.expect("the request")["state"], "awaiting");
}

#[tokio::test]
async fn a_channel_has_its_defaults_and_takes_what_it_may() {
    let rooms = Rooms::new(|platforms| {
        platforms.room = "namespace = \"nowhere\"\ncommands = [\"get\", \"scale\"]".into()
    })
    .await;
    for door in [&rooms.slack as &dyn Door, &rooms.discord] {
        let refused = door.say("ann", "restart deploy/checkout").await;
        assert_eq!(refused.request, None, "{}", refused.text);
        let elsewhere = door.say("ann", "scale deploy/checkout 2").await;
        assert!(
            elsewhere.text.contains("nowhere"),
            "the default namespace is meant and said: {}",
            elsewhere.text
        );
        let explicit =
            door.say("ann", &format!("scale deploy/checkout 2 -n {}", rooms.world.cluster.namespace)).await;
        assert!(
            explicit.request.is_some() && explicit.text.contains("test"),
            "the card names the cluster: {}",
            explicit.text
        );
        let helped = door.say("ann", "help").await;
        assert!(helped.text.contains("scale"), "{}", helped.text);
    }
}

#[tokio::test]
async fn people_link_their_identities_by_a_code() {
    let rooms = Rooms::new(|_| {}).await;
    let shown = rooms.slack.say("ann", "people link").await.text;
    let code: String = shown
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .find(|word| {
            word.len() >= 8 && word.chars().any(|c| c.is_ascii_digit()) && *word == word.to_uppercase()
        })
        .unwrap_or_else(|| panic!("no code in {shown}"))
        .to_string();
    let others = rooms.slack().seen_by(&slack::account("bob"), &slack::channel_id("ops"));
    assert!(!format!("{others:?}").contains(&code), "nobody else sees the code");
    rooms.discord.say("zed", &format!("people link {code}")).await;
    let who = rooms.discord.say("zed", "whoami").await.text;
    assert!(who.contains("ann"), "{who}");
    let again = rooms.discord.say("zed", &format!("people link {code}")).await.text;
    assert!(!again.contains("linked to ann now"), "a code works once: {again}");
}

/// What people might write to fool others or the platform.
const HOSTILE: [&str; 10] = [
    "<!channel> <!here> <@U0ANN0000> <#C0OPS0000>",
    "@everyone @here <@100000000006385262> <@&41771983423143937>",
    "<https://evil.example|the console> [the console](https://evil.example)",
    "https://evil.example/approve http://evil.example",
    "``` end of the block # Approved by bob ```",
    "`a` *b* _c_ ~d~ **e** __f__ ||g|| :tada:",
    "> quoted - [ ] listed",
    "# Approved by bob",
    "<!date^1392734382^{date}^https://evil.example|now> <t:1:R> </petrel:1>",
    "&lt;!channel&gt; &amp; <script>",
];

#[tokio::test]
async fn hostile_texts_ping_nobody_link_nowhere_and_break_out_of_nothing() {
    let rooms = Rooms::new(|_| {}).await;
    let mut pictures = Vec::new();
    for hostile in HOSTILE {
        let line = format!("scale deploy/checkout 2 --why '{hostile}'{}", rooms.world.at());
        let asked =
            rooms.world.api("ann").ask(&uuid::Uuid::new_v4().to_string(), &line).await.expect("an answer");
        let id = asked["request"]["id"].as_str().unwrap_or_else(|| panic!("{hostile}: {asked}")).to_string();
        let (slack, discord) = (rooms.slack.card_soon(&id).await, rooms.discord.card_soon(&id).await);
        assert_eq!(slack::pings(&slack.content), Vec::<String>::new(), "{hostile}");
        assert_eq!(discord.pings(), Vec::<String>::new(), "{hostile}");
        let links: Vec<String> =
            slack::links(&slack.content).into_iter().chain(discord.content.links()).collect();
        assert!(!links.iter().any(|link| link.contains("evil")), "{hostile}: {links:?}");
        let labels = |labels: Vec<String>| labels.into_iter().collect::<BTreeSet<_>>();
        let told =
            slack.content.buttons().iter().map(|(_, button)| button["text"]["text"].to_string()).collect();
        assert!(labels(told).iter().all(|label| !label.contains("evil")));
        let drawn =
            format!("{}\n{}", lines_about(&slack.content.drawn()), lines_about(&discord.content.drawn()));
        pictures.push(format!("{}\n{drawn}", json!(hostile)));
        rooms.world.api("ann").cancel(&id).await.expect("cancelled");
    }
    insta::assert_snapshot!("hostile_texts", pictures.join("\n\n"));
}

/// The part of a card that shows the reason.
fn lines_about(drawn: &str) -> String {
    let mut lines: Vec<&str> = drawn.lines().skip_while(|line| !line.contains("Why")).collect();
    let end =
        lines.iter().skip(1).position(|line| line.contains("Impact")).map_or(lines.len(), |end| end + 1);
    lines.truncate(end);
    lines.iter().map(|line| line.escape_default().to_string()).collect::<Vec<_>>().join("\n")
}
