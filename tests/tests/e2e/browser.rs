//! The console in a real browser: headless Chromium, driven over WebDriver.

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, key::Key};
use serde_json::json;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tests::{
    wait,
    world::{World, token},
};
use tokio::process::{Child, Command};

const WITHIN: Duration = Duration::from_secs(30);

/// A browser and the driver it hangs on.
struct Browser {
    client: Client,
    _driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// None, with a word, where there is no Chromium.
    async fn start(width: u32, height: u32, dark: bool) -> Option<Browser> {
        let port = practice::free_port().expect("a port");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(driver) = driver else {
            println!("skipped: no chromedriver here (./dev test installs it)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder");
        let mut args = vec![
            "--headless=new".into(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-quic".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--hide-scrollbars".into(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if dark {
            args.push("--blink-settings=preferredColorScheme=0".into());
        }
        let capabilities =
            json!({"goog:chromeOptions": {"args": args}}).as_object().expect("an object").clone();
        let client = wait::until("the browser", WITHIN, || async {
            ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
                .capabilities(capabilities.clone())
                .connect(&format!("http://127.0.0.1:{port}"))
                .await
                .ok()
        })
        .await;
        Some(Browser { client, _driver: driver, _profile: profile })
    }

    async fn sign_in(&self, base: &str, name: &str) {
        self.client.goto(&format!("{base}/sign-in")).await.expect("the sign-in page");
        self.find("input[name=token]")
            .await
            .send_keys(&format!("{}{}", token(name), char::from(Key::Enter)))
            .await
            .expect("typing");
        self.find("form[data-composer]").await;
    }

    async fn find(&self, css: &str) -> Element {
        wait::until(&format!("{css} on the page"), WITHIN, || async {
            self.client.find(Locator::Css(css)).await.ok()
        })
        .await
    }

    async fn type_line(&self, line: &str) {
        let field = self.find("#line").await;
        field.send_keys(&format!("{line}{}", char::from(Key::Enter))).await.expect("typing");
    }

    /// The newest request's id, once its card is there.
    /// Clicks a button on a request's card, which a chat may have scrolled out of view.
    async fn click(&self, request: &str, button: &str) {
        let css = format!("article[data-request='{request}'] form[data-button={button}] button[name=button]");
        let element = self.find(&css).await;
        let script = "arguments[0].scrollIntoView({block: 'center'})";
        let argument = serde_json::to_value(&element).expect("an element");
        self.client.execute(script, vec![argument]).await.expect("scrolled");
        element.click().await.expect("a click");
    }

    async fn newest_request(&self) -> String {
        wait::until("a request's card", WITHIN, || async {
            let cards = self.client.find_all(Locator::Css("article[data-request]")).await.ok()?;
            cards.last()?.attr("data-request").await.ok()?
        })
        .await
    }

    async fn status_says(&self, request: &str, word: &str) {
        wait::until(&format!("status '{word}'"), WITHIN, || async {
            let css = format!("article[data-request='{request}'] [data-status]");
            // Not the visible text: the room may have scrolled the card's head out of view.
            let text = self.client.find(Locator::Css(&css)).await.ok()?.prop("textContent").await.ok()??;
            text.to_lowercase().contains(word).then_some(())
        })
        .await;
    }

    async fn picture(&self, name: &str) {
        let png = self.client.screenshot().await.expect("a screenshot");
        assert!(png.len() > 10_000, "an empty picture");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), png).expect("the picture");
    }

    async fn close(self) {
        let _ = self.client.close().await;
    }
}

#[tokio::test]
async fn a_person_types_a_command_and_another_clicks_approve_and_both_see_it_happen() {
    let Some(ann) = Browser::start(1280, 1100, false).await else { return };
    let bob = Browser::start(390, 844, true).await.expect("a second browser");
    let world = World::with(1).await.expect("a world");
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    let base = &world.replicas[0].base;
    ann.sign_in(base, "ann").await;
    bob.sign_in(base, "bob").await;

    ann.type_line(&format!("scale deploy/checkout 3 -n {} --why \"the sale\"", world.cluster.namespace))
        .await;
    let request = ann.newest_request().await;
    ann.status_says(&request, "await").await;
    // The other browser shows it without being asked to.
    assert_eq!(bob.newest_request().await, request);
    bob.picture("room-waiting-phone-dark.png").await;

    // One's own request: refused, privately, in words.
    ann.click(&request, "approve").await;
    let notice = ann.find("[data-notice]").await.text().await.expect("text");
    assert!(notice.contains("someone else"), "{notice}");
    assert!(bob.client.find(Locator::Css("[data-notice]")).await.is_err(), "bob sees ann's private refusal");

    bob.click(&request, "approve").await;
    ann.status_says(&request, "succeeded").await;
    bob.status_says(&request, "succeeded").await;
    ann.picture("room-done.png").await;
    let replicas = world.cluster.get("apps/v1", "Deployment", "checkout").await["spec"]["replicas"].clone();
    assert_eq!(replicas, 3);

    for page in ["requests", "clusters", "audit", "help", &format!("requests/{request}")] {
        ann.client.goto(&format!("{base}/{page}")).await.expect("a page");
        let errors = ann.find("main").await.text().await.expect("text");
        assert!(errors.len() > 40, "{page} is empty");
        ann.picture(&format!("{}.png", page.split('/').next().expect("a name"))).await;
    }
    ann.close().await;
    bob.close().await;
}

#[tokio::test]
async fn hostile_text_is_shown_and_not_obeyed() {
    let Some(browser) = Browser::start(1280, 900, false).await else { return };
    let world = World::with(1).await.expect("a world");
    browser.sign_in(&world.replicas[0].base, "ann").await;
    browser.type_line("restart <img/src=x/onerror=document.title='owned'> -n shop").await;
    wait::until("the answer", WITHIN, || async {
        let all = browser.client.find_all(Locator::Css("li.message")).await.ok()?;
        (all.len() >= 2).then_some(())
    })
    .await;
    assert!(browser.client.find(Locator::Css("li.message img[src=x]")).await.is_err(), "markup came through");
    assert_ne!(browser.client.title().await.expect("a title"), "owned");
    browser.close().await;
}
