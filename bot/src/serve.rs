//! `petrel serve`: starts what is configured, and stops it in order. One token says stop to everything; a second signal
//! does not wait.

use crate::{
    api, app::App, checkpoint, config::Config, console, database, discord, door::Rooms, drill, external,
    healing, inbox, intake, lookout, notice, outbox, prune, schedule, slack, watch,
};
use actions::{
    policy::PolicyHandle,
    runner::{Runner, RunnerConfig},
};
use anyhow::{Context, Result};
use axum::serve::ListenerExt;
use jiff::Timestamp;
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration, time::Instant};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

/// How long a clean stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(25);
/// How often requests whose time is over are marked so; nothing depends on it (G2).
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Every page and call.
pub fn router(app: App) -> axum::Router {
    let log = TraceLayer::new_for_http();
    let mut router = console::router().merge(api::router()).merge(intake::router());
    if app.config.slack.is_some() {
        router = router.merge(slack::router(&app));
    }
    if app.config.discord.is_some() {
        router = router.merge(discord::router());
    }
    router.with_state(app).layer(log).layer(CatchPanicLayer::new())
}

/// Serves until SIGINT or SIGTERM.
pub async fn serve(config: Config) -> Result<()> {
    let begun = Instant::now();
    let stop = CancellationToken::new();
    watch_signals(stop.clone())?;
    // What can be wrong without a database is said first.
    let policy = PolicyHandle::load(&config.policy).context("the policy is not in force")?;
    let listen = config.server.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let metrics = match &config.external_metrics {
        None => None,
        Some(external) => {
            external::tls(external).context("external metrics cannot be served")?;
            let listen = external.listen;
            let bound = TcpListener::bind(listen).await;
            Some(bound.with_context(|| format!("listen on {listen} for external metrics"))?)
        }
    };
    let key =
        config.audit.as_ref().map(|audit| checkpoint::signing_key(&audit.signing_key_file)).transpose()?;
    let Some(database) = database::open(&config.database, &stop).await? else { return Ok(()) };
    let app = App::new(config, database.ledger.clone(), policy, stop.clone());
    app.rules.reload().context("the rules are not in force")?;

    let tasks = TaskTracker::new();
    start(&app, &tasks);
    if let Some((external, listener)) = app.config.external_metrics.as_ref().zip(metrics) {
        external::start(&app, external, listener, &tasks).context("external metrics cannot be served")?;
    }
    match app.config.audit.clone().zip(key) {
        Some((audit, key)) => {
            tracing::info!(public_key = checkpoint::public_key(&key), "checkpoints of the record are signed");
            tasks.spawn(checkpoint::keep(app.ledger.clone(), audit, key, app.worker.clone(), stop.clone()));
        }
        None => tracing::warn!(
            "no [audit] in the config: no checkpoint is kept outside the database, so a cut tail would not show"
        ),
    }
    // Sealed last, so that what the others write while they stop is sealed too.
    let seal_until = CancellationToken::new();
    let sealer = tokio::spawn({
        let (ledger, worker, until) = (app.ledger.clone(), app.worker.clone(), seal_until.clone());
        async move { ledger.keep_sealed(&worker, until.cancelled()).await }
    });

    let listener = listener.tap_io(|stream| {
        // A live update is small and must not wait for the next one.
        let _ = stream.set_nodelay(true);
    });
    let address = app.config.address("/");
    tracing::info!(address, worker = app.worker, took_ms = begun.elapsed().as_millis(), "ready");
    let server =
        axum::serve(listener, router(app.clone()).into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the HTTP server ended");
        }
    });

    stop.cancelled().await;
    tasks.close();
    if tokio::time::timeout(STOP_WITHIN, tasks.wait()).await.is_err() {
        tracing::warn!("something did not stop in time; its work is taken over when its lease runs out");
    }
    seal_until.cancel();
    let _ = sealer.await;
    drop(app);
    database.close().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Starts every worker of one replica.
pub fn start(app: &App, tasks: &TaskTracker) {
    tasks.spawn(listen(app.clone()));
    tasks.spawn(inbox::work(app.clone()));
    tasks.spawn(outbox::work(app.clone(), Arc::new(Rooms(app.ledger.clone()))));
    tasks.spawn(notice::work(app.clone()));
    tasks.spawn(prune::work(app.clone()));
    healing::start(app, tasks);
    lookout::start(app, tasks);
    tasks.spawn(drill::work(app.clone()));
    tasks.spawn(schedule::work(app.clone()));
    tasks.spawn(watch::work(app.clone()));
    if app.config.slack.is_some() {
        slack::start(app, tasks);
    }
    if app.config.discord.is_some() {
        discord::start(app, tasks);
    }
    tasks.spawn(sweep(app.clone()));
    tasks.spawn({
        let (policy, stop) = (app.policy.clone(), app.stop.clone());
        async move { policy.watch(stop).await }
    });
    if app.config.runner.concurrency > 0 {
        let config = RunnerConfig {
            worker: app.worker.clone(),
            concurrency: app.config.runner.concurrency,
            lease: app.config.runner.lease,
        };
        let (ledger, clusters, policy) = (app.ledger.clone(), app.clusters.clone(), app.policy.clone());
        tasks.spawn(Runner { ledger, clusters, policy, config }.run(app.stop.clone()));
    }
}

/// One connection hears what other processes change, for everyone who waits.
async fn listen(app: App) {
    until(&app.stop, async {
        loop {
            match app.ledger.listen().await {
                Ok(_listening) => std::future::pending().await,
                Err(error) => {
                    tracing::warn!(%error, "could not listen for changes; polling meanwhile");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    })
    .await;
}

async fn sweep(app: App) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    until(&app.stop, async {
        loop {
            tick.tick().await;
            match app.ledger.expire(Timestamp::now(), 100).await {
                Ok(0) => {}
                Ok(expired) => tracing::info!(expired, "requests expired"),
                Err(error) => tracing::warn!(%error, "could not expire requests"),
            }
        }
    })
    .await;
}

async fn until(stop: &CancellationToken, work: impl Future<Output = std::convert::Infallible>) {
    tokio::select! {
        () = stop.cancelled() => {}
        never = work => match never {},
    }
}

fn watch_signals(stop: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watch for SIGINT")?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if first {
                tracing::info!("stopping; a second signal stops at once");
                stop.cancel();
            }
        }
        tracing::warn!("stopped at once; what was in hand is taken over when its lease runs out");
        std::process::exit(130);
    });
    Ok(())
}
