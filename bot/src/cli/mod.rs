//! `petrel`: what can be done on a command line.

mod api;
mod ask;
mod audit;
mod check;
mod drill;
mod explain;
mod forecast;
mod heal;
mod replay;

use crate::{config::Config, database, grammar, serve};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};
use tracing_subscriber::EnvFilter;

/// Changes to clusters, asked for in chat, approved by people, done once, verified and recorded.
#[derive(Parser)]
#[command(name = "petrel", version)]
struct Petrel {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the console, the API and approved requests
    Serve(Configured),
    /// Look at config, policy, database and clusters, one line each, and say how to mend what is wrong
    Check(Configured),
    /// Bring the database's schema up to date, as its owner
    Migrate(Configured),
    /// Type a command to a running Petrel (its token in PETREL_TOKEN)
    Ask(ask::Ask),
    /// Verify, export or sign the record
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Explain what policy says
    #[command(subcommand)]
    Policy(explain::Policy),
    /// Forecast series from a CSV file
    Forecast(forecast::Forecast),
    /// Check, format, try and replay healing rules
    #[command(subcommand)]
    Heal(heal::Heal),
    /// Break things on purpose and see whether they are healed (its token in PETREL_TOKEN)
    #[command(subcommand)]
    Drill(drill::Drill),
    /// Print reference pages
    #[command(subcommand)]
    Docs(Docs),
}

/// Where the config is.
#[derive(Args)]
pub struct Configured {
    /// The config file
    #[arg(long, short = 'f', env = "PETREL_CONFIG", default_value = "petrel.toml")]
    config: PathBuf,
}

impl Configured {
    fn load(&self) -> Result<Config> {
        Ok(Config::load(&self.config)?)
    }
}

#[derive(Subcommand)]
enum Docs {
    /// docs/COMMANDS.md
    Commands,
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    // Before anything opens a connection: with two providers linked in, rustls would not choose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let petrel = Petrel::parse();
    // What the libraries below say of a failed call is said again, in our words, by whoever made the call.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(match petrel.command {
            Command::Serve(_) => "info,kube_client=off,sqlx=warn",
            _ => "error,kube_client=off",
        })
    });
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    // Two threads carry a replica; Postgres and the clusters do the work.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.map_err(Into::into).and_then(|runtime| {
        let outcome = runtime.block_on(run(petrel.command));
        // Whatever is left is a blocking call that nobody waits for any more.
        runtime.shutdown_timeout(std::time::Duration::from_millis(200));
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("petrel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(configured) => serve::serve(configured.load()?).await.map(|()| ExitCode::SUCCESS),
        Command::Check(configured) => check::check(&configured.config).await,
        Command::Migrate(configured) => {
            database::migrate(&configured.load()?.database).await?;
            println!("the schema is up to date");
            Ok(ExitCode::SUCCESS)
        }
        Command::Ask(ask) => ask.run().await,
        Command::Audit(audit) => audit.run().await,
        Command::Policy(policy) => policy.run().await,
        Command::Forecast(forecast) => forecast.run(),
        Command::Heal(heal) => heal.run().await,
        Command::Drill(drill) => drill.run().await,
        Command::Docs(Docs::Commands) => {
            print(&grammar::reference())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// To standard output; a closed pipe ends the program without a word, as people expect of `| head`.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}
